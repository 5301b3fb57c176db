"""What `rq-ses --help` says of each command that comes with rq-ses, so that it needn't import them for it.

A test compares it with the commands' own help.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

SUMMARIES: Final[Mapping[str, str]] = {
    "audit": "Find jobs that stand nowhere or where they don't belong, and with --repair put them back.",
    "breaker": "See, open and close the breaker of an SES account, which all its workers obey.",
    "campaign": (
        "Send a template to many recipients, fifty a request, each once; follow it, hold it, call it back."
    ),
    "cancel": "Cancel one mail that waits, queued or scheduled: nobody will send it, and its key is free.",
    "demo": "Watch about 200 mails go through a real queue, a worker and a signature-checking SES stand-in.",
    "discard": "Delete failed mails for good: those named by JOB_ID, those the options choose, or all.",
    "doctor": "Look at all that must be right for mails to go out, and say what to do about what isn't.",
    "failed": (
        "Show the mails that failed: in groups by SES's error and cause, as a list, or one of them whole."
    ),
    "feedback": (
        "Take what SES tells of mails, over HTTP or out of a queue of SQS, until SIGTERM or SIGINT."
    ),
    "health": (
        "Tell whether a worker of this host is alive: registered, and its last heartbeat at most 30 s old."
    ),
    "import": "Put mails back that `rq-ses failed --export` wrote to FILE (- for standard input).",
    "partitions": "Bring the mails of a queue where they belong, when its partitions change.",
    "resend": (
        "Put failed mails back into their queue: those named by JOB_ID, those the options choose, or all."
    ),
    "send": "Enqueue one mail from flags, or one a line of --jsonl, and print a job id a line.",
    "sendmail": "Take a mail from standard input as /usr/sbin/sendmail does, and enqueue it.",
    "show": "Show one mail whatever its state: where it stands, how its attempts ended, its life in order.",
    "simulator": "Stand in for Amazon SES v2 on this machine.",
    "smtp": "Take mails over SMTP and enqueue them, until SIGTERM or SIGINT.",
    "status": (
        "Show queues, send rate, breaker, workers, what happens a second, and which mails are being sent."
    ),
    "suppression": "See and change the list of addresses that no mail is sent to.",
    "worker": "Send what is queued, many mails at once, until SIGTERM or SIGINT.",
}
"""The first sentence of each, by its name."""

NEEDS: Final[Mapping[str, tuple[str, ...]]] = {
    "doctor": ("dns", "requests", "urllib3"),
    "feedback": ("cryptography", "waitress"),
    "smtp": ("aiosmtpd",),
    "worker": ("requests", "urllib3"),
}
"""The packages of an extra without which a command can't be imported."""
