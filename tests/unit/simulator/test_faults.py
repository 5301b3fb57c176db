"""The grammar of scripted recipients and how a story goes on."""

from __future__ import annotations

import pytest

from rq_ses_worker.simulator.api.faults import Faults
from rq_ses_worker.simulator.api.steps import ScriptError, Step, parse, script_of


@pytest.mark.parametrize(
    ("local", "steps"),
    [
        ("429x2.anna", (Step("429", 2),)),
        ("503", (Step("503"),)),
        ("429x1+503x2.anna", (Step("429"), Step("503", 2))),
        ("html502x3.a.b", (Step("html502", 3),)),
        ("reject.anna", (Step("reject", None),)),
        ("rejectx2.anna", (Step("reject", 2),)),
        ("paused", (Step("paused", None),)),
        ("suspended", (Step("suspended", None),)),
        ("quota+throttle.anna", (Step("quota"), Step("throttle"))),
        ("slow-2.5.anna", (Step("slow", 1, 2.5),)),
        ("slow-2.anna", (Step("slow", 1, 2.0),)),
        ("slow-2", (Step("slow", 1, 2.0),)),
        ("slow-0.25x2+drop", (Step("slow", 2, 0.25), Step("drop"))),
        ("DROP.Anna", (Step("drop"),)),
        ("reset", (Step("reset"),)),
        ("anna", ()),
        ("rejections", ()),
        ("dropbox.anna", ()),
    ],
)
def test_a_local_part_spells_its_steps(local: str, steps: tuple[Step, ...]) -> None:
    assert script_of(f"{local}@faults.example") == steps


@pytest.mark.parametrize(
    "address", ["429x2.anna@example.com", "429@sub.faults.example", "429@notfaults.example"]
)
def test_other_domains_tell_no_story(address: str) -> None:
    assert script_of(address) == ()


@pytest.mark.parametrize(
    "local",
    [
        "429y2.anna",
        "399",
        "600.anna",
        "429+",
        "429+anna",
        "slow.anna",
        "slow-",
        "html200",
        "429x.a",
        "reset+x",
    ],
)
def test_a_mistyped_step_is_refused_instead_of_passing_as_a_name(local: str) -> None:
    with pytest.raises(ScriptError):
        script_of(f"{local}@faults.example")


def test_a_mistyped_step_in_a_script_is_named() -> None:
    with pytest.raises(ScriptError, match="'429x-1' is not a step"):
        parse("429x-1")


def _story(faults: Faults, *recipients: str, attempts: int) -> list[str]:
    words = []
    for _ in range(attempts):
        found = faults.next(recipients)
        words.append(found[1].word if found else "sent")
        if found:
            faults.consume(found[0])
    return words


def test_each_attempt_consumes_one_step_in_order() -> None:
    faults = Faults("us-east-1")
    assert _story(faults, "429x2+503.a@faults.example", attempts=5) == ["429", "429", "503", "sent", "sent"]


def test_looking_at_a_step_does_not_consume_it() -> None:
    faults = Faults("us-east-1")
    assert faults.next(["503.a@faults.example"]) == faults.next(["503.a@faults.example"])


def test_a_rejected_address_is_rejected_every_time_after_its_other_steps() -> None:
    faults = Faults("us-east-1")
    assert _story(faults, "503+reject.a@faults.example", attempts=4) == ["503", "reject", "reject", "reject"]


def test_every_full_address_has_a_story_of_its_own() -> None:
    faults = Faults("us-east-1")
    assert _story(faults, "503.a@faults.example", attempts=2) == ["503", "sent"]
    assert _story(faults, "503.b@faults.example", attempts=2) == ["503", "sent"]
    assert _story(faults, "503.A@FAULTS.example", attempts=1) == ["sent"]


def test_the_first_recipient_with_a_step_left_decides() -> None:
    faults = Faults("us-east-1")
    recipients = ("x@example.com", "503.a@faults.example", "429.b@faults.example")
    assert _story(faults, *recipients, attempts=3) == ["503", "429", "sent"]


def test_any_address_can_be_scripted_by_the_program() -> None:
    faults = Faults("us-east-1")
    faults.script("Anna@example.com", ["429", "drop"])
    assert _story(faults, "anna@example.com", attempts=3) == ["429", "drop", "sent"]
    faults.script("anna@example.com", ["reset"])
    assert _story(faults, "anna@example.com", attempts=2) == ["reset", "sent"]


def test_a_script_of_the_program_replaces_the_one_in_the_address() -> None:
    faults = Faults("us-east-1")
    faults.script("429x5.a@faults.example", [])
    assert _story(faults, "429x5.a@faults.example", attempts=1) == ["sent"]


def test_clearing_starts_every_story_anew() -> None:
    faults = Faults("us-east-1")
    faults.script("anna@example.com", ["429"])
    _story(faults, "503.a@faults.example", attempts=2)
    faults.clear()
    assert _story(faults, "503.a@faults.example", attempts=1) == ["503"]
    assert _story(faults, "anna@example.com", attempts=1) == ["sent"]


def test_the_address_that_rested_longest_is_forgotten_first() -> None:
    faults = Faults("us-east-1", limit=2)
    address = "429+503+500x9.{}@faults.example".format
    for name in "abac":
        faults.consume(address(name))
    words = {
        name: step.word for name in "abc" for _, step in [faults.next([address(name)]) or ("", Step(""))]
    }
    assert words == {"a": "500", "b": "429", "c": "503"}
