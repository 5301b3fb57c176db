"""The code in a page of Markdown, and what the page says about running it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[3]
DOCS: Final = ROOT / "docs"

_BLOCK: Final = re.compile(
    r"(?:^<!-- not run: (?P<reason>[^\n]+) -->\n)?^```(?P<language>\w*)(?P<attributes>[^\n`]*)\n"
    r"(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
_TITLE: Final = re.compile(r'title="([^"]+)"')


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, the file it is to be written to, and why it isn't run."""

    language: str
    title: str | None
    text: str
    reason: str | None
    line: int


@dataclass(frozen=True)
class Step:
    """A command of a console block with the output that the page shows under it."""

    command: str
    output: str

    @property
    def background(self) -> bool:
        return self.command.endswith(" &")


def pages() -> list[Path]:
    """Return every page of docs/, in the order of their paths."""
    return sorted(DOCS.rglob("*.md"))


def blocks(page: str, language: str | None = None) -> list[Block]:
    """Return the fenced blocks of a page, or those of one language."""
    found = [
        Block(
            match["language"],
            title[1] if (title := _TITLE.search(match["attributes"])) else None,
            match["text"],
            match["reason"],
            page.count("\n", 0, match.start("text")),
        )
        for match in _BLOCK.finditer(page)
    ]
    return [block for block in found if language in (None, block.language)]


def steps(console: str) -> list[Step]:
    """Return the commands of a console block, each with what is shown under it."""
    found: list[Step] = []
    for part in re.split(r"^\$ ", console, flags=re.MULTILINE)[1:]:
        command, *output = re.split(r"(?<!\\)\n", part, maxsplit=1)
        found.append(Step(command.replace("\\\n", " "), "".join(output).strip()))
    return found


def shown(output: str) -> re.Pattern[str]:
    """Return what matches the output that a page shows; … stands for anything, and spaces for each other."""
    words = [re.escape(word) for word in re.split(r"\s+", output)]
    return re.compile(r"\s+".join(words).replace("…", ".*?"), re.DOTALL)
