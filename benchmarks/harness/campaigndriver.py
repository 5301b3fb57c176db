"""A producer of newsletters, as it is told on its standard input, of this revision or one before campaigns.

    python -m benchmarks.harness.campaigndriver URL

    send_many COUNT                 a mail each, whole
    send_bulk COUNT [NAME FIRST]    to a campaign, which may have entries up to there

says "ready", and then answers each line by one of JSON: seconds, CPU seconds and the most memory (KB) of this
process.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from typing import Any

from benchmarks.harness.newsletter import HTML, SENDER, SUBJECT, readers
from rq_ses import Message, Outbox


def main() -> None:
    """Do what each line says."""
    outbox: Any = Outbox(sys.argv[1], enqueue_timeout=60)
    print("ready", flush=True)
    for number, line in enumerate(sys.stdin):
        order, count, *more = line.split()
        began, used = time.perf_counter(), time.process_time()
        told: dict[str, Any] = {}
        if order == "send_many":
            send_many(outbox, int(count))
        else:
            name, first = more or (f"news-{number}", "0")
            send_bulk(outbox, name, int(count), int(first))
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


def send_bulk(outbox: Any, name: str, count: int, first: int) -> None:
    """Enqueue so many entries to a campaign."""
    from rq_ses.campaign import Campaign, Entry, Template

    campaign = Campaign(name=name, sender=SENDER, template=Template(subject=SUBJECT, html=HTML))
    outbox.send_bulk(campaign, (Entry(to, data) for to, data in readers(count, first)))


if __name__ == "__main__":
    main()
