"""What a declaration of a setting says, to those that make options and tables of it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import ValidationError

from rq_ses.settings.base import Settings
from rq_ses.settings.declared import describe
from rq_ses.settings.producer import ProducerSettings
from rq_ses.settings.sendmail import SendmailSettings
from rq_ses.settings.setting import Count, Real, Setting, setting
from rq_ses_worker.settings.feedback import FeedbackCommandSettings
from rq_ses_worker.settings.smtp import SmtpSettings
from rq_ses_worker.settings.worker import WorkerSettings

ROOT = Path(__file__).parents[3]

pytestmark = pytest.mark.usefixtures("no_settings")


class Example(Settings):
    pause: Real = setting(
        5.0,
        "Seconds of a pause ([why](why.md#a-pause)), `0.1` at least.",
        above=0,
        at_most=60,
        option="--pause S",
    )
    tries: Count = setting(3, "How often it is tried, and [no more](more.md).", at_least=1)
    form: Literal["console", "json"] = setting("console", "Form.", option="--form")
    loud: bool = setting(False, "Whether it is told.")
    place: Annotated[str, "a note"] | None = setting(None, "Where.", variables=("RQ_SES_PLACE", "PLACE"))
    needed: str = setting(..., "What somebody must give.", shown=False)


DECLARED = {one.name: one for one in describe(Example)}


def test_its_name_and_type_are_those_of_the_class_none_left_out() -> None:
    assert {name: one.kind for name, one in DECLARED.items()} == {
        "pause": float,
        "tries": int,
        "form": Literal["console", "json"],
        "loud": bool,
        "place": Annotated[str, "a note"],
        "needed": str,
    }
    assert (DECLARED["form"].choices, DECLARED["pause"].choices) == (("console", "json"), ())


def test_its_range_and_default_are_given_in_words() -> None:
    assert [one.range for one in DECLARED.values()] == ["above 0 to 60", "from 1", "", "", "", ""]
    assert [one.default_text for one in DECLARED.values()] == ["5", "3", "console", "false", "", ""]
    assert [one.required for one in DECLARED.values()] == [False] * 5 + [True]


def test_its_meaning_is_markdown_in_tables_and_text_in_help() -> None:
    assert DECLARED["pause"].meaning == "Seconds of a pause, 0.1 at least."
    assert DECLARED["pause"].markdown == "Seconds of a pause ([why](why.md#a-pause)), `0.1` at least."
    assert DECLARED["tries"].meaning == "How often it is tried, and no more."


def test_it_is_read_from_its_variables_the_first_of_which_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    assert DECLARED["pause"].variables == ("RQ_SES_PAUSE",)
    assert DECLARED["place"].variables == ("RQ_SES_PLACE", "PLACE")
    for name in ("RQ_SES_PAUSE", "RQ_SES_NEEDED", "PLACE"):
        monkeypatch.setenv(name, "7")
    example = Example()
    assert (example.pause, example.place) == (7.0, "7")
    monkeypatch.setenv("RQ_SES_PLACE", "8")
    assert Example().place == "8"
    assert "needed" not in repr(example)


@pytest.mark.parametrize(
    ("name", "value"),
    [("pause", 0), ("pause", 60.1), ("pause", "nan"), ("pause", True), ("tries", 0), ("tries", True)],
)
def test_what_is_out_of_its_range_is_refused(name: str, value: object) -> None:
    with pytest.raises(ValidationError):
        Example(needed="x", **{name: value})


def test_a_declaration_that_several_classes_have_is_the_same_in_all() -> None:
    workers = {one.name: one for one in describe(WorkerSettings)}
    assert [workers[one.name] for one in describe(ProducerSettings)] == list(describe(ProducerSettings))


def test_every_rq_ses_variable_that_the_code_names_is_a_setting() -> None:
    kinds = (WorkerSettings, SendmailSettings, SmtpSettings, FeedbackCommandSettings)
    known = {variable for kind in kinds for one in describe(kind) for variable in one.variables}
    sources = [path for package in ("producer", "worker") for path in (ROOT / package).rglob("*.py")]
    named = {name for path in sources for name in re.findall(r"RQ_SES_[A-Z_]*[A-Z]", path.read_text())}
    # What names of Services begin with, and options of a command of its own.
    others = {name for name in named if name.startswith("RQ_SES_SIMULATOR")}
    assert named - known - others == set()
    assert len(named & known) > 20


def test_a_setting_of_a_plain_field_has_neither_option_nor_range() -> None:
    class Plain(Settings):
        number: int = 4

    assert Setting.of("number", Plain.model_fields["number"]) == Setting(
        "number", int, ("RQ_SES_NUMBER",), False, 4, "", "", ""
    )
