"""What the simulator tells of mails: which events follow, to whom they are posted, and how often."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any

import pytest

from rq_ses.message.render import send_email_body
from rq_ses_worker.simulator.events import publisher, subscription
from rq_ses_worker.simulator.options import Options
from rq_ses_worker.simulator.service import Service
from support.mails.mail import mail
from support.ses.simulated import call, send, submit
from support.waiting import wait_for

from .conftest import App

Telling = Callable[..., Service]
AWS = "simulator.amazonses.com"


@pytest.mark.parametrize(
    ("address", "kinds"),
    [
        ("anna@example.com", ["Send", "Delivery"]),
        (f"success@{AWS}", ["Send", "Delivery"]),
        (f"bounce+label@{AWS}", ["Send", "Bounce"]),
        (f"complaint@{AWS}", ["Send", "Delivery", "Complaint"]),
        (f"suppressionlist@{AWS}", ["Send", "Bounce"]),
        (f"ooto@{AWS}", ["Send", "Delivery", "Bounce"]),
        ("bounce.anna@faults.example", ["Send", "Bounce"]),
        ("softbounce.anna@faults.example", ["Send", "Bounce"]),
        ("complaint.anna@faults.example", ["Send", "Delivery", "Complaint"]),
        ("delay.anna@faults.example", ["Send", "DeliveryDelay", "Delivery"]),
        ("virus.anna@faults.example", ["Reject"]),
        ("drop.anna@faults.example", ["Send", "Delivery"]),
    ],
)
def test_what_follows_is_what_the_address_says(
    telling: Telling, app: App, address: str, kinds: list[str]
) -> None:
    assert send(telling(), address, tags={"kind": "welcome"}) == 200
    app.wait(len(kinds))
    assert app.kinds == kinds
    assert {one["mail"]["tags"]["kind"][0] for one in app.events} == {"welcome"}
    assert {tuple(one["mail"]["destination"]) for one in app.events} == {(address,)}


@pytest.mark.parametrize(
    ("address", "kind", "recipient"),
    [
        (f"bounce@{AWS}", ("Permanent", "General"), {"action": "failed", "status": "5.1.1"}),
        (f"suppressionlist@{AWS}", ("Permanent", "Suppressed"), {}),
        (f"ooto@{AWS}", ("Transient", "General"), {}),
        ("softbounce@faults.example", ("Transient", "MailboxFull"), {"status": "5.2.2"}),
    ],
)
def test_a_bounce_has_the_types_of_its_reason_and_a_report_only_if_a_server_made_one(
    telling: Telling, app: App, address: str, kind: tuple[str, str], recipient: dict[str, str]
) -> None:
    send(telling(), address)
    wait_for(lambda: "Bounce" in app.kinds, what="a bounce")
    bounce = app.events[-1]["bounce"]
    assert (bounce["bounceType"], bounce["bounceSubType"]) == kind
    [bounced] = bounce["bouncedRecipients"]
    assert bounced["emailAddress"] == address
    assert bounced.items() >= recipient.items()
    assert ("status" in bounced) is bool(recipient)


def test_recipients_of_one_mail_have_each_their_fate(telling: Telling, app: App) -> None:
    to = ["bounce.a@faults.example", "anna@example.com", "bounce.b@faults.example", f"complaint@{AWS}"]
    assert submit(telling(), send_email_body(mail(to[0], cc=to[1:]))) == 200
    app.wait(4)
    told = {one["eventType"]: one for one in app.events}
    assert [one["emailAddress"] for one in told["Bounce"]["bounce"]["bouncedRecipients"]] == [to[0], to[2]]
    assert told["Delivery"]["delivery"]["recipients"] == [to[1], to[3]]
    assert told["Complaint"]["complaint"]["complainedRecipients"] == [{"emailAddress": to[3]}]


def test_what_a_script_says_of_a_mail_comes_after_what_it_says_of_its_attempts(
    telling: Telling, app: App
) -> None:
    service = telling()
    service.faults.script("anna@example.com", ["503", "bouncex1"])
    assert [send(service) for _ in range(3)] == [503, 200, 200]
    app.wait(4)
    assert app.kinds == ["Send", "Bounce", "Send", "Delivery"]
    assert service.inbox.mails()[0].events == {"anna@example.com": "bounce"}


def test_a_template_that_cant_be_filled_in_brings_one_event_with_the_reason(
    telling: Telling, app: App
) -> None:
    service = telling()
    service.add_template("welcome", "Hi {{name}}", "Dear {{name}}")
    template = {"TemplateName": "welcome", "TemplateData": "{}"}
    call(
        service, "POST", "/v2/email/outbound-emails",
        {
            "FromEmailAddress": "shop@example.com",
            "Destination": {"ToAddresses": ["anna@example.com"]},
            "Content": {"Template": template},
        },
    )  # fmt: skip
    app.wait(1)
    [event] = app.events
    assert event["eventType"] == "Rendering Failure"
    assert event["failure"]["templateName"] == "welcome"
    assert "name" in event["failure"]["errorMessage"]


def test_entries_of_a_bulk_request_are_told_of_with_their_own_tags(telling: Telling, app: App) -> None:
    service = telling()
    service.add_template("welcome", "Hi {{name}}", "Dear {{name}}")
    entries = [
        {
            "Destination": {"ToAddresses": [f"{name}@example.com"]},
            "ReplacementTags": [{"Name": "rq-ses-job", "Value": name}],
            "ReplacementEmailContent": {
                "ReplacementTemplate": {"ReplacementTemplateData": json.dumps({"name": name})}
            },
        }
        for name in ("anna", "ben")
    ]
    call(
        service, "POST", "/v2/email/outbound-bulk-emails",
        {
            "FromEmailAddress": "shop@example.com",
            "DefaultContent": {"Template": {"TemplateName": "welcome", "TemplateData": "{}"}},
            "BulkEmailEntries": entries,
        },
    )  # fmt: skip
    app.wait(4)
    told = [(one["eventType"], one["mail"]["tags"]["rq-ses-job"], one["mail"]["commonHeaders"].get("subject"))
            for one in app.events]  # fmt: skip
    assert told == [
        ("Send", ["anna"], None), ("Delivery", ["anna"], "Hi anna"),
        ("Send", ["ben"], None), ("Delivery", ["ben"], "Hi ben"),
    ]  # fmt: skip
    assert {one["mail"]["messageId"] for one in app.events} == {
        one.message_id for one in service.inbox.mails()
    }


@pytest.mark.parametrize(
    ("form", "kinds"),
    [
        ("event", [("eventType", "Send"), ("eventType", "Bounce")]),
        ("notification", [("notificationType", "Bounce")]),
        ("both", [("eventType", "Send"), ("eventType", "Bounce"), ("notificationType", "Bounce")]),
    ],
)
def test_identities_are_notified_of_fewer_kinds_and_without_tags(
    telling: Telling, app: App, form: str, kinds: list[tuple[str, str]]
) -> None:
    send(telling(form=form), f"bounce@{AWS}")
    app.wait(len(kinds))
    assert [(member, one[member]) for one in app.events for member in one if member.endswith("Type")] == kinds
    assert ["tags" in one["mail"] for one in app.events] == [member == "eventType" for member, _ in kinds]


def test_both_forms_of_an_event_have_one_feedback_id_and_one_time(telling: Telling, app: App) -> None:
    send(telling(form="both"), f"complaint@{AWS}")
    app.wait(5)
    for name in ("complaint", "delivery"):
        one, other = (event[name] for event in app.events if name in event)
        assert one == other


def test_a_repetition_has_the_same_id_and_is_the_same_to_the_byte(telling: Telling, app: App) -> None:
    send(telling(repeat=2), f"bounce@{AWS}")
    app.wait(6)
    assert len({body for _, body in app.posts}) == 2
    assert len({one["MessageId"] for one in app.bodies}) == 2


def test_disorder_loses_nothing(telling: Telling, app: App) -> None:
    service = telling(shuffle=True)
    for _ in range(20):
        send(service)
    app.wait(40)
    told = [one["mail"]["messageId"] for one in app.events]
    assert sorted(told) == sorted(one.message_id for one in service.inbox.mails() for _ in range(2))
    assert app.kinds != ["Send", "Delivery"] * 20


def test_raw_delivery_is_the_event_alone(telling: Telling, app: App) -> None:
    send(telling(raw=True))
    app.wait(2)
    assert [one["eventType"] for one in app.bodies] == ["Send", "Delivery"]
    assert {headers["HTTP_X_AMZ_SNS_RAWDELIVERY"] for headers, _ in app.posts} == {"true"}


@pytest.mark.parametrize("version", ["1", "2"])
def test_messages_carry_the_version_of_their_signature(telling: Telling, app: App, version: str) -> None:
    send(telling(signature=version))
    app.wait(2)
    assert {one["SignatureVersion"] for one in app.bodies} == {version}


def test_a_target_is_asked_to_confirm_before_all_else_and_once(telling: Telling, app: App) -> None:
    service = telling(subscribed=False)
    service.publisher.base_url = "http://127.0.0.1:4579"
    send(service)
    send(service)
    app.wait(5)
    assert [one["Type"] for one in app.bodies] == ["SubscriptionConfirmation", *["Notification"] * 4]
    assert app.bodies[0]["SubscribeURL"].startswith("http://127.0.0.1:4579/?Action=ConfirmSubscription&")


def test_what_is_answered_by_a_5xx_comes_again_and_what_is_refused_does_not(
    telling: Telling, app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscription, "PAUSES", (0.001, 0.001, 0.001))
    app.answers = ["403 Forbidden", "503 Away", "503 Away", "503 Away", "503 Away"]
    service = telling()
    send(service)
    app.wait(5)
    wait_for(
        lambda: service.publisher.log.all()[1].deliveries["app App"].attempts == 4, what="the last repetition"
    )
    assert app.kinds == ["Send", *["Delivery"] * 4]
    sent, delivered = (one.deliveries["app App"] for one in service.publisher.log.all())
    assert (sent.state, sent.status, sent.attempts, sent.text) == ("refused", 403, 1, "said")
    assert (delivered.state, delivered.status, delivered.attempts) == ("refused", 503, 4)


def test_an_app_that_raises_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscription, "PAUSES", ())

    def app(_environ: Any, _start: Any) -> Any:
        raise LookupError("secret")

    service = Service(Options(events=[app], events_subscribed=True))
    send(service)
    wait_for(
        lambda: sum(one.deliveries["app app"].attempts for one in service.publisher.log.all()) == 2,
        what="two posts",
    )
    delivery = service.publisher.log.all()[0].deliveries["app app"]
    assert (delivery.state, delivery.text) == ("not answered", "the app raised LookupError")
    service.publisher.close()


def test_sending_goes_on_while_a_target_hangs_and_what_has_no_room_is_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(subscription, "MOST", 3)
    go_on = threading.Event()

    def app(_environ: Any, start: Any) -> list[bytes]:
        go_on.wait(30)
        start("200 OK", [])
        return []

    service = Service(Options(events=[app], events_subscribed=True))
    assert [send(service) for _ in range(5)] == [200] * 5
    wait_for(lambda: len(service.publisher.log.all()) == 10, what="ten events")
    [target] = service.publisher.describe()["targets"]
    assert target["dropped"] >= 6
    go_on.set()
    service.publisher.close()


def test_mails_that_find_no_room_are_counted(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publisher, "MOST", 1)
    service = Service(Options(events=[app], events_subscribed=True))
    with service.publisher._lock:
        assert [send(service) for _ in range(9)] == [200] * 9
    assert service.publisher.describe()["dropped"] >= 6
    service.publisher.close()


def test_a_mail_that_isnt_kept_any_more_is_counted(telling: Telling) -> None:
    service = telling()
    with service.publisher._lock:
        send(service)
        service.inbox.clear()
    wait_for(lambda: service.publisher.describe()["dropped"] == 1, what="the count")


def test_nobody_is_told_without_targets_and_no_thread_begins(service: Service) -> None:
    send(service, f"bounce@{AWS}")
    assert service.publisher.log.all() == []
    assert service.publisher._thread is None


def test_forgetting_goes_back_to_the_targets_of_the_beginning(telling: Telling, app: App) -> None:
    service = telling()
    service.publisher.change({"targets": ["http://127.0.0.1:1/"], "repeat": 3})
    service.clear()
    assert service.publisher.way.targets == (app,)
    assert service.publisher.way.repeat == 0
    send(service)
    app.wait(2)
