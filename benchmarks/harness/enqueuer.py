"""A producer as a process of its own: build mails, enqueue them, print what that took.

    python -m benchmarks.harness.enqueuer send|send_many URL COUNT

prints one line of JSON: the CPU seconds of building so many Messages, and of enqueueing them.
"""

from __future__ import annotations

import json
import sys
import time

from benchmarks.harness.mails import message
from rq_ses import Outbox


def main() -> None:
    """Enqueue what the command line says."""
    way, url, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
    outbox = Outbox(url)
    if hasattr(outbox, "server_time"):  # a9dedb1 has none, and is charged with its connection
        outbox.server_time()  # opens the connection
    began = time.process_time()
    messages = [message(number) for number in range(count)]
    built = time.process_time()
    if way == "send_many":
        outbox.send_many(messages)
    else:
        for item in messages:
            outbox.send(item)
    print(json.dumps({"build": built - began, "send": time.process_time() - built}))


if __name__ == "__main__":
    main()
