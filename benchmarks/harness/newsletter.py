"""A newsletter of 20 KB of HTML, and its readers: what campaigns are measured with."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Final

from benchmarks.harness.mails import prose

SENDER: Final = "Shop <news@example.com>"
SUBJECT: Final = "{{name}}, your offers of the week"
SIZE: Final = 20_000


def _html() -> str:
    """Return a page as designers' tools make them: tables in tables, styles in line, links, words."""
    chance, parts = (
        random.Random(9),
        ["<html><body style='margin:0;background:#f4f4f4'><p>Dear {{name}},</p>"],
    )
    words = iter(" ".join(prose(seed) for seed in range(10)).split())
    number = 0
    while sum(map(len, parts)) < SIZE - 200:
        number += 1
        text = " ".join(next(words) for _ in range(18))
        parts.append(
            f"<table width='600' cellpadding='0' cellspacing='0' style='font-family:Arial,sans-serif;"
            f"color:#{chance.randrange(16**6):06x}'><tr><td style='padding:{chance.randrange(40)}px'>"
            f"<img src='https://img.example.com/{chance.randrange(16**8):08x}.jpg' width='280' alt=''></td>"
            f"<td><a href='https://shop.example.com/p/{number}?t={{{{token}}}}'>{text}</a></td></tr></table>\n"
        )
    return f"{''.join(parts)}</body></html>"


HTML: Final = _html()


def readers(count: int, first: int = 0) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield addresses, each with data of 60 bytes as JSON."""
    for number in range(first, first + count):
        name = f"{_NAMES[number % len(_NAMES)]} {_NAMES[number // 7 % len(_NAMES)]}"
        yield (
            f"reader{number}@mail{number % 50}.example.org",
            {"name": name, "token": f"{number * 2654435761 % 2**80:020x}"},
        )


_NAMES: Final = (
    "Anna",
    "Beatrice",
    "Clara",
    "Dorothea",
    "Emil",
    "Friedrich",
    "Gustav",
    "Hedwig",
    "Ida",
    "Jakob",
)
