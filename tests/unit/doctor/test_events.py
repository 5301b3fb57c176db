"""What the doctor says of a configuration set's events, and how SES's answer about them is read."""

from __future__ import annotations

import json
from typing import Any

import pytest

from rq_ses_worker.doctor.sender.events import check_events
from rq_ses_worker.ses.account import AccountRefused
from rq_ses_worker.ses.lookups.configurationset import EventDestination, destinations_path, read_destinations
from rq_ses_worker.ses.outcome import Outcome, Sent, Terminal, Transient
from support.findings import DENIED, severities

TOPIC = "arn:aws:sns:eu-west-1:123456789012:feedback"
ALL = ("BOUNCE", "COMPLAINT", "DELIVERY")


def found(answer: Any, name: str = "mails", *, given: bool = True) -> tuple[dict[str, str], str]:
    def ask(asked: str) -> Any:
        assert asked == name
        if isinstance(answer, Outcome):
            raise AccountRefused(answer)
        return answer

    findings = list(check_events(name, given=given, ask=ask))
    return severities(findings), " ".join(one.text for one in findings)


def to_sns(*events: str, enabled: bool = True) -> EventDestination:
    return EventDestination("feedback", enabled, events, "SNS", TOPIC)


def test_a_set_that_publishes_bounces_and_complaints_to_a_topic_is_fine() -> None:
    severity, text = found((to_sns("BOUNCE"), to_sns("COMPLAINT", "DELIVERY")))
    assert severity == {"events.published": "ok"}
    assert f"bounce to SNS ({TOPIC}); complaint, delivery to SNS" in text


def test_the_identitys_own_set_is_called_so() -> None:
    assert "mails (the identity's own)" in found((to_sns(*ALL),), given=False)[1]


@pytest.mark.parametrize(
    ("answer", "severity", "words"),
    [
        ((), "warning", "it has no event destination"),
        ((to_sns(*ALL, enabled=False),), "warning", "are switched off"),
        ((to_sns("BOUNCE", "DELIVERY"),), "warning", "but complaint events to no SNS topic"),
        (
            (EventDestination("x", True, ALL, "Firehose", "arn"),),
            "warning",
            "but bounce and complaint events",
        ),
        ((EventDestination("x", True, ALL, "", ""),), "warning", "to another service"),
        (DENIED, "info", "can't be asked"),
        (Transient(503, "ServiceUnavailable", "Busy."), "warning", "is not known"),
    ],
)
def test_one_that_leaves_somebody_in_the_dark_is_told_of(answer: Any, severity: str, words: str) -> None:
    severities_, text = found(answer)
    assert severities_ == {"events.published": severity}
    assert words in text


def test_a_set_that_is_not_there_is_an_error_and_none_at_all_is_said() -> None:
    assert found(None)[0] == {"events.set": "error"}
    assert severities(list(check_events("", given=False, ask=lambda _: ()))) == {"events.none": "info"}


# SES's answer

SENT = Sent(200)


def read(members: Any) -> Any:
    return read_destinations(SENT, json.dumps(members).encode())


def test_an_answer_is_read_with_each_kind_of_destination() -> None:
    answer = {
        "EventDestinations": [
            {
                "Name": "a",
                "Enabled": True,
                "MatchingEventTypes": list(ALL),
                "SnsDestination": {"TopicArn": TOPIC},
            },
            {"Name": "b", "Enabled": False, "MatchingEventTypes": ["SEND"], "CloudWatchDestination": {}},
            {"Name": "c", "Enabled": True, "MatchingEventTypes": ["OPEN"], "NewDestination": {"Arn": "x"}},
        ]
    }
    assert read(answer) == (
        EventDestination("a", True, ALL, "SNS", TOPIC),
        EventDestination("b", False, ("SEND",), "CloudWatch", ""),
        EventDestination("c", True, ("OPEN",), "", ""),
    )


def test_a_set_without_destinations_and_none_at_all_are_told_apart() -> None:
    assert read({}) == read({"EventDestinations": []}) == ()
    assert read_destinations(Terminal(404, "NotFoundException", "no"), b"") is None


@pytest.mark.parametrize("members", [[], {"EventDestinations": "x"}, None])
def test_an_answer_that_is_none_is_refused(members: Any) -> None:
    with pytest.raises(AccountRefused):
        read(members)


def test_what_stands_in_an_answer_can_be_anything() -> None:
    assert read(
        {"EventDestinations": [1, {"Name": 1, "Enabled": "yes", "MatchingEventTypes": [None, {}]}]}
    ) == (EventDestination("", False, ("", ""), "", ""),)


def test_a_name_is_quoted_in_the_path_and_dots_are_none() -> None:
    assert destinations_path("a/b") == "/v2/email/configuration-sets/a%2Fb/event-destinations"
    with pytest.raises(ValueError, match="no name"):
        destinations_path("..")
