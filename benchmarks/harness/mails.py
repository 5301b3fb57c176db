"""The mails of the benchmarks: bodies of SendEmail of about 2.1 KB."""

from __future__ import annotations

import random
import string
from typing import Any

from rq_ses import Message

SENDER, RECIPIENT = "Shop <shop@example.com>", "anna@example.com"
TEXT_SIZE = 1_900
POOL = 200
"""Different texts; each is used again and again."""

_PRINTABLE = string.ascii_letters + string.digits + string.punctuation + " "


def prose(seed: int) -> str:
    """Return a text in the manner of a mail: deflate halves it, about."""
    chance = random.Random(seed)
    words = ["".join(chance.choices(string.ascii_lowercase, k=chance.randint(2, 9))) for _ in range(400)]
    text = " ".join(chance.choices(words, weights=range(400, 0, -1), k=TEXT_SIZE // 4))
    return text[:TEXT_SIZE]


def scramble(seed: int) -> str:
    """Return a text that deflate can hardly shorten: random printable characters, each as likely."""
    return "".join(random.Random(seed).choices(_PRINTABLE, k=TEXT_SIZE))


def message(number: int, *, text: str | None = None, subject: str | None = None) -> Message:
    """Return one mail for our queue."""
    return Message(
        sender=SENDER,
        to=[RECIPIENT],
        subject=subject or f"Your order {number}",
        text=text if text is not None else _POOL[number % POOL],
    )


def request(number: int, *, subject: str | None = None) -> dict[str, Any]:
    """Return the same mail as the arguments of SendEmail, as boto3 takes them."""
    return {
        "FromEmailAddress": SENDER,
        "Destination": {"ToAddresses": [RECIPIENT]},
        "Content": {
            "Simple": {
                "Subject": {"Data": subject or f"Your order {number}"},
                "Body": {"Text": {"Data": _POOL[number % POOL]}},
            }
        },
    }


_POOL = [prose(seed) for seed in range(POOL)]
