"""The names of rq_ses: loaded when they are asked for, and otherwise like any module's."""

from __future__ import annotations

import pickle
import subprocess
import sys

import pytest

import rq_ses
from support.programs.processes import PATIENCE, environment


@pytest.mark.parametrize("name", rq_ses.__all__)
def test_each_name_is_there_and_the_same_each_time(name: str) -> None:
    found = getattr(rq_ses, name)
    assert found.__name__ == name
    assert getattr(rq_ses, name) is found
    assert pickle.loads(pickle.dumps(found)) is found


def test_they_are_listed_before_they_are_loaded() -> None:
    program = """\
import rq_ses, sys
print(set(rq_ses.__all__) <= set(dir(rq_ses)), "redis" in sys.modules)
from rq_ses import *
print(Outbox.__module__, Message.__module__)
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment(), capture_output=True, text=True, timeout=PATIENCE, check=True,
    )  # fmt: skip
    assert done.stdout.split() == ["True", "False", "rq_ses.outbox.outbox", "rq_ses.message.message"]


def test_nothing_else_is_listed_but_what_python_itself_puts_there() -> None:
    assert {name for name in dir(rq_ses) if not name.startswith("__")} == set(rq_ses.__all__)
    assert {"__all__", "__doc__", "__name__"} <= set(dir(rq_ses))


def test_another_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match=r"^module 'rq_ses' has no attribute 'Mesage'$"):
        rq_ses.Mesage  # noqa: B018
    with pytest.raises(ImportError, match="cannot import name 'Mesage' from 'rq_ses'"):
        from rq_ses import Mesage  # type: ignore[attr-defined] # noqa: F401
