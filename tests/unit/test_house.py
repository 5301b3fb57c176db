"""The bounds of the house: how long a file, a class, a function may be, and how full a folder."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
PRODUCT: Final = (ROOT / "producer", ROOT / "worker")
ALL: Final = (*PRODUCT, ROOT / "tests", ROOT / "scripts", ROOT / "benchmarks")
TIERS: Final = tuple(ROOT / "tests" / tier for tier in ("unit", "integration", "acceptance"))

FILE_LINES: Final = 400
FOLDER_FILES: Final = 15
CLASS_LINES: Final = 200
FUNCTION_LINES: Final = 40
ARGUMENTS: Final = 7

SIGNATURES: Final = {"producer/rq_ses/outbox/base.py OutboxBase"}
"""Classes that may take more arguments: Outbox's are what its users write, and stand in the docs."""

THEMES: Final = {"programs", "examples", "builds", "docs", "dashboard", "faults"}
"""Folders of tests that are about all rooms together."""


def files(places: tuple[Path, ...]) -> Iterator[Path]:
    for place in places:
        for path in sorted(place.rglob("*")):
            if path.suffix in (".py", ".lua") and "__pycache__" not in path.parts:
                yield path


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def rooms() -> list[Path]:
    """Return the packages that stand at the top of one of the two."""
    return [folder.parent for place in PRODUCT for folder in sorted(place.glob("*/*/__init__.py"))]


def defined() -> Iterator[tuple[str, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef]]:
    """Yield each class and function of the product, by its file and name."""
    for path in files(PRODUCT):
        if path.suffix == ".py":
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                    yield f"{named(path)} {node.name}", node


def lines(node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def test_something_is_looked_at() -> None:
    assert len(list(files(ALL))) > 400
    assert len(list(defined())) > 1500
    assert {"outbox", "engine", "ses"} <= {room.name for room in rooms()}


def test_no_file_is_longer_than_somebody_reads() -> None:
    sizes = {named(path): len(path.read_text("utf-8").splitlines()) for path in files(ALL)}
    assert {path: size for path, size in sizes.items() if size > FILE_LINES} == {}


def test_no_folder_is_fuller_than_somebody_overlooks() -> None:
    full: dict[str, int] = {}
    for path in files(ALL):
        full[named(path.parent)] = full.get(named(path.parent), 0) + 1
    assert {folder: count for folder, count in full.items() if count > FOLDER_FILES} == {}


def test_no_class_does_too_much() -> None:
    sizes = {name: lines(node) for name, node in defined() if isinstance(node, ast.ClassDef)}
    assert {name: size for name, size in sizes.items() if size > CLASS_LINES} == {}


def test_no_function_does_too_much() -> None:
    sizes = [(name, lines(node)) for name, node in defined() if not isinstance(node, ast.ClassDef)]
    assert [(name, size) for name, size in sizes if size > FUNCTION_LINES] == []


def test_no_object_is_made_of_too_many_arguments() -> None:
    many = {}
    for name, node in defined():
        for item in node.body if isinstance(node, ast.ClassDef) else ():
            if isinstance(item, ast.FunctionDef) and item.name == "__init__":
                given = item.args
                count = len(given.posonlyargs) + len(given.args) + len(given.kwonlyargs) - 1
                if count > ARGUMENTS:
                    many[name] = count
    assert set(many) == SIGNATURES, many


def test_every_room_says_what_it_is_for() -> None:
    silent = [
        named(path)
        for path in files(PRODUCT)
        if path.name == "__init__.py" and not ast.get_docstring(ast.parse(path.read_text("utf-8")))
    ]
    assert silent == []


@pytest.mark.parametrize("tier", TIERS, ids=lambda tier: tier.name)
def test_the_tests_of_a_room_are_found_by_its_name(tier: Path) -> None:
    folders = {path.name for path in tier.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert folders - {room.name for room in rooms()} - THEMES == set()
    assert folders
