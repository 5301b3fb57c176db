"""What the forms of the page change, and what no other request changes."""

from __future__ import annotations

import pytest

from rq_ses_worker.simulator.service import Service
from rq_ses_worker.simulator.web import router
from support.ses.simulated import ask, page, send


def test_the_forms_clear_and_script(service: Service) -> None:
    send(service)
    done = ask(service, "/_simulator/view/clear", "POST")
    assert (done.status, done.headers["Location"]) == (303, "/")
    assert service.inbox.mails() == []
    form = b"action=add&address=Anna%40example.com&steps=429x2%2B+503%2C+reject"
    assert ask(service, "/_simulator/view/faults", "POST", form).status == 303
    [script] = service.faults.scripts()
    assert (script.address, script.steps) == ("anna@example.com", ("429x2", "503", "reject"))
    assert "429x2+503+reject" in page(service, "/_simulator/view/faults")
    assert (
        ask(service, "/_simulator/view/faults", "POST", b"action=remove&address=anna%40example.com").status
        == 303
    )
    assert service.faults.scripts() == []
    service.faults.script("a@example.com", ["503"])
    assert ask(service, "/_simulator/view/faults", "POST", b"action=remove-all").status == 303
    assert service.faults.scripts() == []


def test_a_wrong_step_is_said_beside_the_form_which_keeps_its_values(service: Service) -> None:
    shown = ask(service, "/_simulator/view/faults", "POST", b"action=add&address=a%40b.example&steps=%3Cb%3E")
    text = shown.body.decode()
    assert shown.status == 400
    assert "is not a step" in text
    assert 'value="a@b.example"' in text
    assert 'value="&lt;b&gt;"' in text
    assert "<b>" not in text


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("POST", "/_simulator/view/clear"),
        ("POST", "/_simulator/view/faults"),
        ("POST", "/_simulator/faults"),
        ("DELETE", "/_simulator/faults"),
        ("DELETE", "/_simulator/mails"),
        ("DELETE", "/_simulator"),
    ],
)
@pytest.mark.parametrize("origin", ["http://attacker.example", "null", "http://localhost:3000"])
def test_another_sites_page_changes_nothing(service: Service, method: str, target: str, origin: str) -> None:
    send(service)
    service.faults.script("kept@example.com", ["503"])
    body = b"action=add&address=a%40example.com&steps=503"
    if target == "/_simulator/faults":
        body = b'{"address": "a@example.com", "steps": ["503"]}'
    assert ask(service, target, method, body, origin=origin).status == 403
    assert ask(service, target, method, body, sec_fetch_site="cross-site").status == 403
    assert len(service.inbox.mails()) == 1
    assert [script.address for script in service.faults.scripts()] == ["kept@example.com"]


def test_a_get_changes_nothing(service: Service) -> None:
    send(service)
    for target in ("/_simulator/view/clear", "/_simulator/view/faults?action=remove-all", "/_simulator"):
        ask(service, target)
        ask(service, target, "HEAD")
    assert len(service.inbox.mails()) == 1


def test_browsers_that_ask_for_an_icon_are_not_taken_for_ses_clients() -> None:
    for target, is_ours in [
        (b"/", True),
        (b"/favicon.ico", True),
        (b"/_simulator", True),
        (b"/_simulators", False),
    ]:
        assert router.serves("GET", target) is is_ours
    assert not router.serves("POST", b"/")
