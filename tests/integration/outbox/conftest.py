"""Tests of what both faces of an Outbox do ask both: the module's name `Outbox` stands for either.

One that has nothing to do with them is parametrised with `face` itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from rq_ses.outbox.plans import retrying
from support.faces import FACES, Awaited


@pytest.fixture(autouse=True, params=FACES)
def face(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Let the module's Outbox be one of the two faces."""
    made: list[Any] = []

    class Noted(Awaited):
        def __init__(self, *args: Any, **terms: Any) -> None:
            super().__init__(*args, **terms)
            made.append(self)

    kind = FACES[request.param]
    monkeypatch.setattr(retrying, "_away", {})
    monkeypatch.setattr(request.module, "Outbox", Noted if kind is Awaited else kind)
    yield request.param
    for outbox in made:
        outbox.close()
