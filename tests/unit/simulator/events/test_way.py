"""How events are told can be changed by JSON and by a form, and what makes no sense is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from rq_ses_worker.simulator.options import Options
from rq_ses_worker.simulator.service import Service
from support.ses.simulated import ask, page, send, told
from support.waiting import wait_for

from .conftest import App
from .test_told import Telling

URL = "http://127.0.0.1:1/ses/events"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"events": ["ftp://a.example"]}, "'ftp://a.example' is no URL to post to"),
        ({"events": ["http://"]}, "is no URL to post to"),
        ({"events": ["http://a b"]}, "is no URL to post to"),
        ({"events": ["http://a:99999"]}, "is no URL to post to"),
        ({"events": ["http://me:secret@a.example"]}, "has a user or a password"),
        ({"events": [f"http://a.example/{n}" for n in range(11)]}, "11 targets are too many"),
        ({"events_form": "odd"}, "events_form: 'odd' is none of event, notification, both"),
        ({"events_signature": "3"}, "events_signature: '3' is none of 1, 2"),
        ({"events_repeat": 101}, "events_repeat: 101 is more than 100"),
        ({"events_repeat": -1}, "events_repeat: -1 is not a number from 0 upwards"),
        ({"events_certificate": "/tmp/sns.pem"}, "name the file as SNS does"),
        ({"events_certificate": "SimpleNotificationService-xyz.pem"}, "name the file as SNS does"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError) as caught:
        Options(**options)
    assert words in str(caught.value)
    assert "secret" not in str(caught.value)


def test_json_says_whom_to_tell_and_how(service: Service) -> None:
    way = {"targets": [URL, URL], "form": "both", "signature": "2", "repeat": 1, "shuffle": True}
    found = told(service, "/_simulator/events", "POST", json.dumps(way).encode())
    assert found["targets"] == [{"target": URL, "confirmed": False, "dropped": 0}]
    assert [found[name] for name in ("form", "signature", "repeat", "shuffle", "raw", "subscribed")] == [
        "both", "2", 1, True, False, False,
    ]  # fmt: skip
    assert told(service, "/_simulator/events", "POST", b'{"raw": true}')["form"] == "both"
    assert told(service, "/_simulator/events", "DELETE") == {}
    assert told(service, "/_simulator/events")["targets"] == []


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"{", "not JSON"),
        (b"[]", "no JSON object"),
        (b'{"targets": "http://a.example"}', "give a list of URLs"),
        (b'{"targets": [1]}', "neither a URL"),
        (b'{"targets": ["x"]}', "no URL to post to"),
        (b'{"repeat": "1"}', "events_repeat: '1' is no int"),
        (b'{"shuffle": 1}', "events_shuffle: 1 is no bool"),
        (b'{"colour": "red"}', "'colour' is none of targets, form"),
    ],
)
def test_json_that_makes_no_sense_is_refused(service: Service, body: bytes, words: str) -> None:
    shown = ask(service, "/_simulator/events", "POST", body)
    assert (shown.status, words in shown.body.decode()) == (400, True), shown.body


def test_json_tells_of_a_mail_and_has_what_was_told_of_it(telling: Telling, app: App) -> None:
    service = telling()
    send(service)
    app.wait(2)
    place = f"/_simulator/mails/{service.inbox.mails()[0].message_id}/events"
    asked = {"kind": "Bounce", "about": {"bounceType": "Transient"}}
    [made] = told(service, place, "POST", json.dumps(asked).encode())["notifications"]
    app.wait(3)
    assert app.posts[-1][1].decode() == made["body"]
    assert app.events[-1]["bounce"]["bounceType"] == made["event"]["bounce"]["bounceType"] == "Transient"
    wait_for(lambda: all(one.taken for one in service.publisher.log.all()), what="three answers")
    found = told(service, place)["events"]
    assert [one["kind"] for one in found] == ["Send", "Delivery", "Bounce"]
    assert found[2]["notification_id"] == made["message_id"]
    assert found[2]["deliveries"] == [
        {"target": "app App", "state": "taken", "status": 200, "text": "", "attempts": 1, "taken": 1}
    ]
    assert [one["number"] for one in told(service, "/_simulator/events?after=2")["events"]] == [3]
    for wrong in (b'{"kind": "Odd"}', b'{"kind": 1}', b'{"kind": "Bounce", "x": 1}', b"{}",
                  b'{"kind": "Bounce", "about": []}', b'{"kind": "Bounce", "recipients": "a"}'):  # fmt: skip
        assert ask(service, place, "POST", wrong).status == (200 if b"[]" in wrong else 400), wrong
    assert ask(service, "/_simulator/mails/absent/events").status == 404
    assert ask(service, "/_simulator/events?after=x").status == 400


def test_the_certificate_and_the_subscribe_url_are_served(telling: Telling, app: App) -> None:
    service = telling(subscribed=False)
    service.publisher.base_url = "http://localhost"
    send(service)
    app.wait(3)
    asked = app.bodies[0]
    place = asked["SubscribeURL"].removeprefix("http://localhost")
    name = asked["SigningCertURL"].rpartition("/")[2]
    pem = service.publisher.topic.signer.certificate
    assert ask(service, f"/{name}").body == ask(service, "/_simulator/events/certificate").body == pem
    assert ask(service, "/SimpleNotificationService-0a.pem").status == 404
    confirmed = ask(service, place)
    assert confirmed.status == 200
    assert b"<SubscriptionArn>arn:aws:sns:us-east-1:123456789012:ses-events:" in confirmed.body
    assert told(service, "/_simulator/events")["targets"][0]["confirmed"] is True
    assert ask(service, place + "0").status == 400


def test_the_page_shows_how_each_event_was_taken_and_its_form_changes_that(
    telling: Telling, app: App
) -> None:
    service = telling()
    app.answers = ["403 <b>"]
    send(service, "bounce@simulator.amazonses.com")
    wait_for(lambda: [one.deliveries["app App"].attempts for one in service.publisher.log.all()] == [1, 1],
             what="two answers")  # fmt: skip
    for shown in (page(service, "/_simulator/view/events"), page(service, "/_simulator/view/requests/1")):
        assert ">Bounce</span>" in shown
        assert ">taken</span>" in shown
        assert ">refused: 403</span>" in shown
    form = b"targets=http%3A%2F%2F127.0.0.1%3A1%2Fses%2Fevents&form=both&signature=2&repeat=2&raw=on"
    assert ask(service, "/_simulator/view/events", "POST", form).status == 303
    way = service.publisher.way
    assert (way.targets, way.form, way.signature, way.repeat) == ((URL, app), "both", "2", 2)
    assert (way.raw, way.shuffle, way.subscribed) == (True, False, False)
    wrong = ask(service, "/_simulator/view/events", "POST", b"targets=%3Cb%3E&repeat=0")
    assert wrong.status == 400
    assert "&lt;b&gt;" in wrong.body.decode()
    assert "<b>" not in wrong.body.decode()
    assert ask(service, "/_simulator/view/events", "POST", b"repeat=x").status == 400


def test_an_event_is_told_by_a_form_on_a_mails_page(telling: Telling, app: App) -> None:
    service = telling()
    send(service)
    app.wait(2)
    place = f"/_simulator/view/mails/{service.inbox.mails()[0].message_id}/events"
    assert place in page(service, "/_simulator/view/requests/1")
    done = ask(service, place, "POST", b"kind=Complaint&place=1")
    assert (done.status, done.headers["Location"]) == (303, "/_simulator/view/requests/1")
    app.wait(3)
    assert app.kinds[-1] == "Complaint"
    elsewhere = ask(service, place, "POST", b"kind=Complaint&place=//attacker.example")
    assert elsewhere.headers["Location"] == "/_simulator/view/events"
    assert ask(service, place, "POST", b"kind=Odd").status == 400
    assert ask(service, "/_simulator/view/mails/absent/events", "POST", b"kind=Bounce").status == 404


@pytest.mark.parametrize(
    "target", ["/_simulator/events", "/_simulator/view/events", "/_simulator/mails/m/events"]
)
def test_another_sites_page_tells_nobody(service: Service, target: str) -> None:
    body = json.dumps({"targets": [URL]}).encode()
    assert ask(service, f"/_simulator{target}", "POST", body, origin="http://attacker.example").status == 403
    assert service.publisher.way.targets == ()


def test_clearing_forgets_what_was_told_and_keeps_whom_to_tell(telling: Telling, app: App) -> None:
    service = telling()
    send(service)
    app.wait(2)
    assert ask(service, "/_simulator/view/clear", "POST").status == 303
    assert (service.publisher.log.all(), service.publisher.way.targets) == ([], (app,))
