"""How SES's events are read: both forms, every kind, and whatever else may stand in their places."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rq_ses.feedback.event import OBJECTS, NoEvent, Recipient, read_event
from rq_ses_worker.simulator.events import event as made
from rq_ses_worker.simulator.events.event import KINDS, NOTIFIED, Form, Sent, event

AT = datetime(2026, 5, 31, 9, 0, 0, 250_000, tzinfo=UTC)
MAIL = Sent(
    message_id="0100-m", recipients=("b@example.org", "c@example.org"), at=AT, tags={"rq-ses-job": "j"}
)


def test_the_kinds_are_those_that_the_simulator_plays() -> None:
    assert set(OBJECTS) == set(KINDS)


@pytest.mark.parametrize("kind", sorted(NOTIFIED))
def test_both_forms_say_the_same(kind: made.Kind) -> None:
    told = {
        form: event(kind, MAIL, form=form, at=AT, about=same(kind))
        for form in ("eventType", "notificationType")
    }  # type: ignore[arg-type]
    published, notified = (read_event(one) for one in told.values())
    assert published.recipients == notified.recipients
    assert (published.kind, published.at) == (notified.kind, notified.at) == (kind, AT.timestamp())
    assert published.feedback_id == notified.feedback_id
    assert (published.job_id, notified.job_id) == ("j", "")


def same(kind: str) -> dict[str, Any]:
    return {} if kind == "Delivery" else {"feedbackId": "0100-f"}


def test_a_rendering_failure_has_its_object_under_another_name() -> None:
    told = read_event(event("Rendering Failure", MAIL))
    assert told.detail == "welcome Attribute 'name' is not present in the rendering data."
    assert told.recipients == ()


def test_a_delay_names_whom_it_is_about() -> None:
    told = read_event(event("DeliveryDelay", MAIL, recipients=["c@example.org"]))
    assert told.recipients == (
        Recipient("c@example.org", "", "4.4.1", "smtp; 421 4.4.1 Unable to connect to remote host"),
    )
    assert told.detail == "TransientCommunicationFailure"


def test_a_bounce_has_its_types_and_what_the_other_server_said() -> None:
    told = read_event(event("Bounce", MAIL, about={"bounceSubType": "Suppressed", "feedbackId": "f"}))
    assert (told.type, told.subtype, told.feedback_id) == ("Permanent", "Suppressed", "f")
    assert told.recipients[0].diagnostic == "smtp; 550 5.1.1 user unknown"
    assert told.destination == ("b@example.org", "c@example.org")


def test_a_template_that_is_sent_has_no_subject_yet() -> None:
    told = read_event(event("Send", Sent(message_id="0100-m", subject=None, at=AT)))
    assert (told.kind, told.at) == ("Send", AT.timestamp())


def test_a_bounce_may_name_nobody_and_have_no_status() -> None:
    assert read_event(event("Bounce", MAIL, recipients=[])).recipients == ()
    bare = {"bouncedRecipients": [{"emailAddress": "b@example.org"}], "bounceSubType": None}
    assert read_event(event("Bounce", MAIL, about=bare)).recipients == (Recipient("b@example.org"),)


def test_the_tag_is_found_among_those_of_ses() -> None:
    told = event("Send", MAIL)
    assert set(told["mail"]["tags"]) > {"ses:operation", "ses:configuration-set", "rq-ses-job"}
    assert read_event(told).job_id == "j"


@pytest.mark.parametrize(
    "tags",
    [None, [], {}, *({"rq-ses-job": value} for value in ([], "j", ["a:b"], [3], ["x" * 257]))],
)
def test_tags_of_another_shape_name_no_job(tags: Any) -> None:
    told = event("Send", MAIL)
    told["mail"]["tags"] = tags
    assert read_event(told).job_id == ""


def test_neither_form_is_no_event() -> None:
    told = event("Bounce", MAIL)
    del told["eventType"]
    with pytest.raises(NoEvent, match="neither eventType nor notificationType"):
        read_event(told)


def test_an_event_of_no_mail_is_none() -> None:
    told = event("Bounce", MAIL)
    del told["mail"]["messageId"]
    with pytest.raises(NoEvent, match="its eventType is Bounce, and it names no mail"):
        read_event(told)


def test_what_others_wrote_is_one_inert_line_of_some_length() -> None:
    odd = {"emailAddress": "b@example.org\r\n\x1b[31m", "diagnosticCode": "<script>\n" + "x" * 5000}
    told = read_event(event("Bounce", MAIL, about={"bouncedRecipients": [odd], "bounceSubType": "‮x" * 400}))
    (one,) = told.recipients
    assert one.address == "b@example.org [31m"
    assert one.diagnostic.startswith("‹script› x")
    assert len(one.diagnostic) <= 300
    assert len(told.subtype) <= 100


@pytest.mark.parametrize(
    "time", [None, "", "yesterday", 3, "9999-99-99T00:00:00Z", "0001-01-01T00:00:00+23:59"]
)
def test_a_time_that_cannot_be_read_is_that_of_the_mail(time: Any) -> None:
    told = event("Complaint", MAIL)
    told["complaint"]["timestamp"] = time
    assert read_event(told).at == AT.timestamp()


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


@given(st.sampled_from(KINDS), st.data())
def test_any_json_in_any_place_is_read_or_is_no_event(kind: made.Kind, data: st.DataObject) -> None:
    told = event(kind, MAIL)
    place: dict[str, Any] = data.draw(
        st.sampled_from([one for one in (told, told["mail"], told.get(OBJECTS[kind])) if one])
    )
    place[data.draw(st.sampled_from(sorted(place)))] = data.draw(JSON)
    try:
        read = read_event(told)
    except NoEvent:
        return
    assert read.message_id == "0100-m"


def test_forms_are_spelled_as_ses_does() -> None:
    form: Form
    for form in ("eventType", "notificationType"):
        assert read_event(event("Bounce", MAIL, form=form)).form == form
