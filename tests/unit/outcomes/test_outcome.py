"""An outcome's form, read with suspicion: whoever can write to Redis wrote it."""

from __future__ import annotations

import pytest

from rq_ses.outcomes import Outcome


def test_an_outcome_is_read_as_it_was_written() -> None:
    one = Outcome(
        id="j:e",
        kind="Bounce",
        job_id="j",
        to=("a@example.com",),
        in_doubt=True,
        detail={"bounceType": "Permanent"},
    )
    assert Outcome.from_json(one.to_json()) == one


def test_fields_of_a_later_build_are_left_out() -> None:
    assert Outcome.from_json('{"id":"i","kind":"k","novel":1,"to":"nobody"}') == Outcome(id="i", kind="k")


@pytest.mark.parametrize(
    "text", [b"", b"no JSON", b"[]", b'{"id":1,"kind":"k"}', b'{"id":"i"}', b"[" * 100_000]
)
def test_what_is_no_outcome_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError):
        Outcome.from_json(text)
