"""Draw the rooms of both packages, floor by floor, and who imports whom: docs/images/rooms.svg.

python scripts/picture.py            writes it
python scripts/picture.py --check    exits 1 if it isn't what the code gives

The floors are those that import-linter holds (pyproject.toml), the arrows are the imports it reads. An arrow
is left out where others lead from its room to the same room.
"""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Collection
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Final

import grimp

ROOT: Final = Path(__file__).parents[1]
PICTURE: Final = ROOT / "docs" / "images" / "rooms.svg"

WIDTH: Final = 960
ROOM_HEIGHT, FLOOR_HEIGHT, HEAD, FOOT = 30, 66, 44, 66
COLUMNS: Final = {"rq_ses_worker": (20, 500), "rq_ses": (540, 940)}
"""Left and right edge of each package: the worker beside the producer, whose rooms it imports."""
WORKER_EDGE: Final = COLUMNS["rq_ses_worker"][1]
GAP: Final = 22
LETTER: Final = 8.4
"""Width of a letter of a room's name."""

STYLE: Final = """
  text { font: 14px ui-monospace, SFMono-Regular, Menlo, Consolas, monospace }
  text { fill: #1f2328; text-anchor: middle }
  .title { font-weight: bold; font-size: 16px }
  .note { font: 13px system-ui, sans-serif; fill: #59636e; text-anchor: start }
  .paper { fill: #ffffff }
  .floor { fill: #f6f8fa }
  .room { fill: #ddf4ff; stroke: #0969da }
  .arrow { fill: none; stroke: #59636e; stroke-width: 1.2; marker-end: url(#head) }
  .over { stroke: #bc4c00; stroke-dasharray: 5 3; marker-end: url(#over) }
  .tip { fill: #59636e } .tip-over { fill: #bc4c00 }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc } .note { fill: #9198a1 }
    .paper { fill: #0d1117 } .floor { fill: #151b23 }
    .room { fill: #0c2d6b; stroke: #58a6ff }
    .arrow { stroke: #9198a1 } .over { stroke: #f0883e }
    .tip { fill: #9198a1 } .tip-over { fill: #f0883e }
  }
"""

Room = str
"""PACKAGE.NAME"""
Arrow = tuple[Room, Room]


@dataclass(frozen=True)
class Box:
    """Where a room is drawn."""

    left: float
    top: float
    width: float

    @property
    def middle(self) -> float:
        return self.left + self.width / 2


def floors() -> dict[str, list[list[Room]]]:
    """Return each package's floors from the top down, as import-linter's contracts have them."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    found = {}
    for contract in project["tool"]["importlinter"]["contracts"]:
        if contract["type"] == "layers":
            (package,) = contract["containers"]
            lines = [line.replace(":", "|").split("|") for line in contract["layers"]]
            found[package] = [[f"{package}.{name.strip()}" for name in line] for line in lines]
    return found


def arrows() -> set[Arrow]:
    """Return which room imports which."""
    graph = grimp.build_graph("rq_ses", "rq_ses_worker", cache_dir=None)
    found = set()
    for module in graph.modules:
        for other in graph.find_modules_directly_imported_by(module):
            pair = _room(module), _room(other)
            if all("." in room for room in pair) and pair[0] != pair[1]:
                found.add(pair)
    return found


def reduced(pairs: set[Arrow]) -> set[Arrow]:
    """Return the arrows that no way of several others stands for; there are no circles."""
    below: dict[Room, set[Room]] = {}
    for upper, lower in pairs:
        below.setdefault(upper, set()).add(lower)

    def reached(room: Room) -> set[Room]:
        direct = below.get(room, set())
        return direct.union(*(reached(other) for other in direct))

    return {
        (upper, lower)
        for upper, lower in pairs
        if not any(lower in reached(other) for other in below[upper] if other != lower)
    }


def drawn() -> str:
    """Return the picture."""
    plan = floors()
    pairs = arrows()
    shown = sorted(reduced(pairs))
    boxes = placed(plan, shown)
    height = HEAD + FLOOR_HEIGHT * max(map(len, plan.values())) + FOOT
    crossing = sorted({upper for upper, lower in shown if _over(upper, lower)})
    lanes = {upper: lane for lane, upper in enumerate(crossing)}
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" '
        f'height="{height}" role="img" aria-labelledby="title">',
        '<title id="title">The rooms of rq_ses and rq_ses_worker, and which imports which</title>',
        f"<style>{STYLE}</style>",
        f"<defs>{_head('head', 'tip')}{_head('over', 'tip-over')}</defs>",
        f'<rect class="paper" width="{WIDTH}" height="{height}"/>',
        *_storeys(plan),
        *(_line(boxes, upper, lower, lanes.get(upper, 0)) for upper, lower in shown),
        *(_box(room, box) for room, box in boxes.items()),
        *_notes(height, len(shown), len(pairs)),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def placed(plan: dict[str, list[list[Room]]], shown: Collection[Arrow]) -> dict[Room, Box]:
    """Return where each room is drawn: floors are shifted until few arrows run behind a room."""
    most = max(map(len, plan.values()))
    rows = {
        (package, number): _row(package, rooms, HEAD + FLOOR_HEIGHT * (number + most - len(lines)))
        for package, lines in plan.items()
        for number, rooms in enumerate(lines)
    }
    inside = [pair for pair in shown if not _over(*pair)]
    shifts = dict.fromkeys(rows, 0.0)

    def boxes() -> dict[Room, Box]:
        return {
            room: Box(round(box.left + shifts[place], 1), box.top, box.width)
            for place, row in rows.items()
            for room, box in row.items()
        }

    def cost(place: tuple[str, int], shift: float) -> float:
        shifts[place] = shift
        found = boxes()
        aslant = sum(abs(found[upper].middle - found[lower].middle) for upper, lower in inside)
        return 1000 * sum(_behind(found, *pair) for pair in inside) + aslant

    for _ in range(4):
        for place, row in rows.items():
            left, _ = COLUMNS[place[0]]
            free = min(box.left for box in row.values()) - left - 8
            steps = [free * step / 6 for step in range(-6, 7)]
            shifts[place] = min(
                steps, key=lambda shift, place=place: (round(cost(place, shift), 3), abs(shift))
            )
    return boxes()


def _row(package: str, rooms: list[Room], top: float) -> dict[Room, Box]:
    left, right = COLUMNS[package]
    widths = [len(_name(room)) * LETTER + 14 for room in rooms]
    gap = min(GAP * 2, (right - left - sum(widths)) / (len(rooms) + 1))
    at = (left + right) / 2 - (sum(widths) + gap * (len(rooms) - 1)) / 2
    boxes = {}
    for room, width in zip(rooms, widths, strict=True):
        boxes[room] = Box(at, top + (FLOOR_HEIGHT - ROOM_HEIGHT) / 2, round(width, 1))
        at += width + gap
    return boxes


def _behind(boxes: dict[Room, Box], upper: Room, lower: Room) -> int:
    """Return behind how many rooms a straight arrow runs."""
    start, end = boxes[upper], boxes[lower]
    count = 0
    for room, box in boxes.items():
        if start.top < box.top < end.top and room not in (upper, lower):
            part = (box.top - start.top) / (end.top - start.top)
            x = start.middle + part * (end.middle - start.middle)
            count += box.left - 12 < x < box.left + box.width + 12
    return count


def _room(module: str) -> Room:
    return ".".join(module.split(".")[:2])


def _over(upper: Room, lower: Room) -> bool:
    return upper.partition(".")[0] != lower.partition(".")[0]


def _name(room: Room) -> str:
    return room.partition(".")[2]


def _head(name: str, kind: str) -> str:
    return (
        f'<marker id="{name}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
        f'orient="auto"><path class="{kind}" d="M0 0L8 4L0 8z"/></marker>'
    )


def _storeys(plan: dict[str, list[list[Room]]]) -> list[str]:
    found = []
    most = max(map(len, plan.values()))
    for package, lines in sorted(plan.items()):
        left, right = COLUMNS[package]
        first = HEAD + FLOOR_HEIGHT * (most - len(lines))
        found.append(f'<text class="title" x="{(left + right) / 2}" y="{first - 14}">{package}</text>')
        for number in range(len(lines)):
            top = first + FLOOR_HEIGHT * number + 3
            found.append(
                f'<rect class="floor" x="{left}" y="{top}" width="{right - left}" '
                f'height="{FLOOR_HEIGHT - 6}"/>'
            )
    return found


def _line(boxes: dict[Room, Box], upper: Room, lower: Room, lane: int) -> str:
    start, end = boxes[upper], boxes[lower]
    if _over(upper, lower):
        # Below its floor to the space between the packages, and in above the other's: past all rooms.
        x, y = round(start.middle + start.width / 4, 1), start.top + ROOM_HEIGHT
        to_x, to_y = round(end.middle - end.width / 4, 1), end.top
        between = WORKER_EDGE + 4 + lane * 3
        return f'<path class="arrow over" d="M{x} {y}V{y + 11}H{between}V{to_y - 14}H{to_x}V{to_y}"/>'
    lean = max(-0.35, min(0.35, (end.middle - start.middle) / 300))
    x, y = round(start.middle + lean * start.width, 1), start.top + ROOM_HEIGHT
    to_x, to_y = round(end.middle - lean * end.width, 1), end.top
    return f'<path class="arrow" d="M{x} {y}C{x} {y + 24} {to_x} {to_y - 24} {to_x} {to_y}"/>'


def _box(room: Room, box: Box) -> str:
    return (
        f'<rect class="room" x="{box.left}" y="{box.top}" width="{box.width}" height="{ROOM_HEIGHT}" rx="5"/>'
        f'<text x="{round(box.middle, 1)}" y="{box.top + 20}">{escape(_name(room))}</text>'
    )


def _notes(height: int, shown: int, of: int) -> list[str]:
    lines = (
        "An arrow goes from a room to one that it imports: always to a floor below, "
        "or (dashed) from the worker to the producer.",
        f"{shown} of {of} are drawn: the others lead where a way of several arrows leads, too.",
    )
    return [
        f'<text class="note" x="20" y="{height - FOOT + 28 + 20 * number}">{escape(line)}</text>'
        for number, line in enumerate(lines)
    ]


def main(arguments: list[str]) -> int:
    """Write the picture, or check it; return the exit code."""
    picture = drawn()
    if arguments == ["--check"]:
        if PICTURE.is_file() and PICTURE.read_text("utf-8") == picture:
            return 0
        sys.stderr.write(
            f"{PICTURE.relative_to(ROOT)} isn't what the code gives: python scripts/picture.py\n"
        )
        return 1
    PICTURE.write_text(picture, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
