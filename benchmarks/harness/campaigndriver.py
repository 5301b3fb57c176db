"""A producer of newsletters, as it is told on its standard input, of this revision or one before campaigns.

    python -m benchmarks.harness.campaigndriver URL

    send_many COUNT      a mail each, whole
    send_bulk COUNT      a campaign
    grow COUNT AT…       a campaign, and what it took over 20,000 entries before each of these lengths

says "ready", and then answers each line by one of JSON: seconds, CPU seconds and the most memory (KB) of this
process; for grow, entries a second, and this process's and Redis's CPU, µs an entry.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Iterator
from typing import Any

from benchmarks.harness.newsletter import HTML, SENDER, SUBJECT, readers
from rq_ses import Message, Outbox

WINDOW = 20_000


def main() -> None:
    """Do what each line says."""
    outbox: Any = Outbox(sys.argv[1])
    print("ready", flush=True)
    for number, line in enumerate(sys.stdin):
        order, count, *lengths = line.split()
        began, used = time.perf_counter(), time.process_time()
        told: dict[str, Any] = {}
        if order == "send_many":
            send_many(outbox, int(count))
        else:
            told["rates"] = send_bulk(outbox, f"{order}-{number}", int(count), [int(at) for at in lengths])
        told["seconds"] = time.perf_counter() - began
        told["cpu"] = time.process_time() - used
        told["memory"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print(json.dumps(told), flush=True)


def send_many(outbox: Any, count: int) -> None:
    """Enqueue so many mails, each filled in by the program itself."""

    def filled(text: str, data: dict[str, str]) -> str:
        for name, value in data.items():
            text = text.replace(f"{{{{{name}}}}}", value)
        return text

    outbox.send_many(
        Message(sender=SENDER, to=[to], subject=filled(SUBJECT, data), html=filled(HTML, data))
        for to, data in readers(count)
    )


def send_bulk(outbox: Any, name: str, count: int, lengths: list[int]) -> list[list[float]]:
    """Enqueue a campaign; return what it took over the WINDOW before each of these lengths."""
    from rq_ses.campaign import Campaign, Entry, Template

    campaign = Campaign(name=name, sender=SENDER, template=Template(subject=SUBJECT, html=HTML))
    marks = {at: [0.0, 0.0, 0.0] for length in lengths for at in (length - WINDOW, length - 1)}

    def entries() -> Iterator[Entry]:
        for number, (to, data) in enumerate(readers(count)):
            if number in marks:
                told = outbox.connection.info("cpu")
                redis = told["used_cpu_user"] + told["used_cpu_sys"]
                marks[number] = [time.perf_counter(), time.process_time(), redis]
            yield Entry(to, data)

    outbox.send_bulk(campaign, entries())
    found = []
    for length in lengths:
        pairs = zip(marks[length - WINDOW], marks[length - 1], strict=True)
        seconds, cpu, redis = (after - before for before, after in pairs)
        found.append([WINDOW / seconds, cpu / WINDOW * 1e6, redis / WINDOW * 1e6])
    return found


if __name__ == "__main__":
    main()
