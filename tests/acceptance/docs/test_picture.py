from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).parents[3]
PICTURE = ROOT / "docs" / "images" / "rooms.svg"


def test_the_picture_of_the_rooms_is_what_the_code_gives() -> None:
    command = [sys.executable, "scripts/picture.py", "--check"]
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
