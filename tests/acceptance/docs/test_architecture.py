from __future__ import annotations

import importlib
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).parents[3]
PICTURE = ROOT / "docs" / "images" / "rooms.svg"
PAGE = (ROOT / "docs" / "architecture.md").read_text()
PLACE = re.compile(r"`(rq_ses(?:_worker)?/[\w/]+\.(?:py|lua))`(?: `([\w.]+)`)?")
OTHER = re.compile(r"`((?:tests|compose|docs)/[\w/.]*|mkdocs\.yml|pyproject\.toml)`")


def test_the_picture_and_the_table_of_the_rooms_are_what_the_code_gives() -> None:
    command = [sys.executable, "scripts/rooms.py", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_it_is_an_svg_that_fits_a_page_on_a_ground_of_its_own() -> None:
    svg = ElementTree.fromstring(PICTURE.read_text("utf-8"))
    assert svg.tag == "{http://www.w3.org/2000/svg}svg"
    assert int(svg.attrib["width"]) <= 1000
    [ground] = [part for part in svg if part.get("fill") == "#fff"]
    assert (ground.get("width"), ground.get("height")) == tuple(svg.attrib["viewBox"].split()[2:])


def test_every_room_stands_in_it() -> None:
    texts = (part.text for part in ElementTree.fromstring(PICTURE.read_text("utf-8")).iter())
    drawn = {text.removesuffix("/") for text in texts if text}
    found = (path for place in ("producer", "worker") for path in (ROOT / place).glob("*/*/__init__.py"))
    rooms = {path.parent.name for path in found}
    assert rooms
    assert rooms <= drawn


def test_every_file_and_function_that_the_page_names_is_there() -> None:
    places = PLACE.findall(PAGE)
    assert len(places) > 40
    missing = []
    for name, attribute in places:
        [path] = ROOT.glob(f"*/{name}")
        found: object = None
        if attribute:
            found = importlib.import_module(name.removesuffix(".py").replace("/", "."))
            for part in attribute.split("."):
                found = getattr(found, part, None)
            missing += [] if found else [f"{name} {attribute}"]
        assert path.stat().st_size
    assert missing == []
    others = OTHER.findall(PAGE)
    assert others
    assert [name for name in others if not (ROOT / name).exists()] == []


def test_every_step_of_a_mail_follows_the_arrows_down() -> None:
    """What a step names first calls what it names next, so the first stands on no lower floor."""
    walk = PAGE[PAGE.index("## A mail on its way") : PAGE.index("## Where do I change")]
    heights = {f"{package}/{room}": height for package, room, height in floors()}
    for row in walk.splitlines():
        rooms = ["/".join(name.split("/")[:2]).removesuffix(".py") for name, _ in PLACE.findall(row)]
        steps = [heights[room] for room in rooms if room.startswith("rq_ses_worker")]
        assert steps == sorted(steps, reverse=True), row


def floors() -> Iterator[tuple[str, str, int]]:
    """Yield each room, its package, and how high it stands."""
    rules = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    for rule in rules:
        if rule["type"] == "layers" and rule["containers"][0] in ("rq_ses", "rq_ses_worker"):
            for height, line in enumerate(reversed(rule["layers"])):
                yield from ((rule["containers"][0], room, height) for room in re.findall(r"\w+", line))
