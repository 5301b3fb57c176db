"""Draw the rooms of both packages, and write their table into docs/architecture.md: `make tables`.

The rooms and their floors are those of the import rule (the two contracts "The floors of …" in
pyproject.toml), the arrows are read from the code's imports, what a room holds from its docstring. An arrow
is left out where a way over other rooms says the same (the transitive reduction); of what the worker imports
of the producer there is one. With --check nothing is written: the exit code is 1 if a file isn't as the code
has it; a test asks for that.
"""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import grimp

ROOT: Final = Path(__file__).parents[1]
PICTURE: Final = ROOT / "docs" / "images" / "rooms.svg"
PAGE: Final = ROOT / "docs" / "architecture.md"
PACKAGES: Final = ("rq_ses_worker", "rq_ses")

_BETWEEN_MARKS: Final = re.compile(
    r"(?<=<!-- rooms: written by `make tables` -->\n)(.*?)(?=<!-- /rooms -->)", re.DOTALL
)

WIDTH, ROW, BOX_HEIGHT, TOP, GAP = 640, 62, 34, 46, 26
COLUMN: Final = WIDTH / 4

PLACES: Final[Mapping[str, float]] = {
    "engine": 1, "audit": 1, "rq_ses_worker.settings": 1, "monitoring": 0.25, "lifecycle": 1, "account": 0.35,
    "identity": 2.6, "ses": 1, "rq_ses_worker.server": 0.25, "logging": 2,
    "__main__": 1, "cli": 1, "mails": 0, "status": 2.5, "deadletter": 0, "outbox": 1, "rq_ses.settings": 1,
    "gate": 2.6, "rq_ses.server": 1, "hints": 0.5, "message": 2, "contract": 0.9, "errors": 1.85,
}  # fmt: skip
"""Columns (0 to 3) in which arrows cross few boxes; other rooms get what is free in their row."""

STYLE: Final = """\
.card{fill:#fff;stroke:#d0d7de}
.room{fill:#eef4fb;stroke:#5b7ea6}
.file{fill:#f6f6f4;stroke:#9a9a92}
.arrow{fill:none;stroke:#5b7ea6;stroke-width:1.3}
text{font:15px system-ui,sans-serif;fill:#1f2328;text-anchor:middle}
.title{font-weight:600;text-anchor:start}
.between{text-anchor:start}
"""


@dataclass(frozen=True)
class Floor:
    """Rooms of one package that stand beside each other; the first is the highest."""

    rooms: tuple[str, ...]


def floors(package: str) -> list[Floor]:
    """Return a package's floors as the import rule has them, the highest first."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    [rule] = [c for c in contracts if c["type"] == "layers" and c.get("containers") == [package]]
    return [Floor(tuple(line.replace("|", ":").replace(" ", "").split(":"))) for line in rule["layers"]]


def arrows(package: str) -> set[tuple[str, str]]:
    """Return the imports between a package's rooms, without those that a way over other rooms tells."""
    graph = grimp.build_graph(*PACKAGES)
    imports: dict[str, set[str]] = {}
    for module in graph.modules:
        for imported in graph.find_modules_directly_imported_by(module):
            start, end = module.split("."), imported.split(".")
            if start[0] == end[0] == package and len(start) > 1 and len(end) > 1 and start[1] != end[1]:
                imports.setdefault(start[1], set()).add(end[1])
    return {
        (room, other)
        for room, others in imports.items()
        for other in others
        if not any(other in _reached(imports, way) for way in others - {other})
    }


def _reached(imports: Mapping[str, set[str]], room: str) -> set[str]:
    found: set[str] = set()
    open_ends = [room]
    while open_ends:
        new = imports.get(open_ends.pop(), set()) - found
        found |= new
        open_ends += new
    return found


def places(package: str, rows: Sequence[Floor], top: float) -> dict[str, tuple[float, float]]:
    """Return the centre of each room's box."""
    found = {}
    for number, row in enumerate(rows):
        y = top + TOP + ROW * number + BOX_HEIGHT / 2
        columns: Iterable[float] = [i * 3 / max(3, len(row.rooms) - 1) for i in range(len(row.rooms))]
        given = {room: PLACES.get(f"{package}.{room}", PLACES.get(room)) for room in row.rooms}
        free = iter([column for column in columns if column not in given.values()])
        for room in row.rooms:
            column = given[room]
            found[room] = (COLUMN * ((next(free) if column is None else column) + 0.5), y)
    return found


def panel(package: str, title: str, top: float) -> tuple[list[str], float]:
    """Return the drawing of one package, and where it ends."""
    rows = floors(package)
    at = places(package, rows, top)
    height = TOP + ROW * len(rows) - (ROW - BOX_HEIGHT) + 16
    lines = [
        f'<rect class="card" x="0.5" y="{top + 0.5:g}" width="{WIDTH - 1}" height="{height:g}" rx="8"/>',
        f'<text class="title" x="14" y="{top + 26:g}">{title}</text>',
    ]
    outgoing: dict[str, list[str]] = {}
    for room, other in sorted(arrows(package), key=lambda pair: (pair[0], at[pair[1]])):
        outgoing.setdefault(room, []).append(other)
    lines += [_arrow(at[room], at[other], place, len(others))
              for room, others in sorted(outgoing.items()) for place, other in enumerate(others)]  # fmt: skip
    lines += [line for room, (x, y) in at.items() for line in _box(package, room, x, y, at)]
    return lines, top + height


def _arrow(start: tuple[float, float], end: tuple[float, float], place: int, of: int) -> str:
    x1 = start[0] + (place - (of - 1) / 2) * 26
    y1, x2, y2 = start[1] + BOX_HEIGHT / 2, end[0], end[1] - BOX_HEIGHT / 2 - 5
    bend = min(0.5 * (y2 - y1), 60)
    return (
        f'<path class="arrow" marker-end="url(#head)" '
        f'd="M{x1:g} {y1:g}C{x1:g} {y1 + bend:g} {x2:g} {y2 - bend:g} {x2:g} {y2:g}"/>'
    )


def _box(package: str, room: str, x: float, y: float, at: Mapping[str, tuple[float, float]]) -> list[str]:
    neighbours = sum(1 for _, other in at.values() if other == y)
    width = min(COLUMN, WIDTH / neighbours) - GAP * (1 if neighbours <= 4 else 0.4)
    folder = next(ROOT.glob(f"*/{package}")) / room
    kind, name = ("room", f"{room}/") if folder.is_dir() else ("file", room)
    return [
        f'<rect class="{kind}" x="{x - width / 2:g}" y="{y - BOX_HEIGHT / 2:g}" '
        f'width="{width:g}" height="{BOX_HEIGHT}" rx="5"/>',
        f'<text x="{x:g}" y="{y + 5:g}">{name}</text>',
    ]


def picture() -> str:
    """Return the whole drawing as SVG."""
    worker, end = panel("rq_ses_worker", "rq_ses_worker: what sends", 0)
    producer, height = panel("rq_ses", "rq_ses: what a web app imports", end + 44)
    middle = [
        f'<path class="arrow" marker-end="url(#head)" d="M{WIDTH / 2} {end:g}V{end + 38:g}"/>',
        f'<text class="between" x="{WIDTH / 2 + 12}" y="{end + 26:g}">imports; never the other way</text>',
    ]
    head = (
        '<marker id="head" viewBox="0 0 8 8" refX="6" refY="4" markerWidth="7" markerHeight="7" '
        'orient="auto"><path d="M0 0L8 4L0 8z" fill="#5b7ea6"/></marker>'
    )
    start = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height + 1:g}" width="{WIDTH}">'
    title = "<title>The rooms of rq-ses, floor by floor; arrows are imports and lead down</title>"
    ground = f'<rect width="{WIDTH}" height="{height + 1:g}" fill="#fff"/>'
    parts = [start, title, f"<style>{STYLE}</style><defs>{head}</defs>", ground, *worker, *middle, *producer]
    return "\n".join([*parts, "</svg>", ""])


def table() -> Iterator[str]:
    """Yield the lines of the table of rooms, the highest floor first."""
    yield from ("| room | what it holds |", "|---|---|")
    for package in PACKAGES:
        for room in (room for floor in floors(package) for room in floor.rooms):
            path = next(ROOT.glob(f"*/{package}")) / room
            file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
            sentence = (ast.get_docstring(ast.parse(file.read_text())) or "").partition("\n\n")[0]
            name = f"{package}/{room}/" if path.is_dir() else f"{package}/{room}.py"
            yield f"| `{name}` | {' '.join(sentence.split())} |"


def main(arguments: list[str]) -> int:
    """Write both files, or with --check tell whether they would change."""
    lines = "".join(f"{line}\n" for line in table())
    page = _BETWEEN_MARKS.sub(lambda _: lines, PAGE.read_text())
    stale = 0
    for path, text in ((PICTURE, picture()), (PAGE, page)):
        if not path.exists() or path.read_text() != text:
            stale = 1
            if "--check" not in arguments:
                path.write_text(text)
    return stale if "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
