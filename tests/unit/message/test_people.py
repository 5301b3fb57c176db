"""Names and addresses of a header, on Pythons of all kinds."""

from __future__ import annotations

from email import utils
from email.message import Message as Mime
from typing import Any

import pytest

from rq_ses import Message
from rq_ses.message.mime.people import people


def test_addresses_are_found_however_they_are_written() -> None:
    assert people(["root (Cron Daemon)"]) == [("Cron Daemon", "root")]
    assert people(["undisclosed-recipients:;"]) == []
    assert people(['"Doe, John" <j@shop.example>, b@shop.example']) == [
        ("Doe, John", "j@shop.example"),
        ("", "b@shop.example"),
    ]
    assert people(["a@shop.example, , b@shop.example"]) == [("", "a@shop.example"), ("", "b@shop.example")]


def test_a_python_that_reads_strictly_is_asked_not_to(monkeypatch: pytest.MonkeyPatch) -> None:
    def strictly(values: list[str], *, strict: bool = True) -> list[tuple[str, str]]:
        return [("", "")] if strict else [("", value) for value in values]

    monkeypatch.setattr(utils, "getaddresses", strictly)
    monkeypatch.setattr(utils, "supports_strict_parsing", True, raising=False)
    assert people(["a@shop.example; b@shop.example"]) == [("", "a@shop.example; b@shop.example")]


@pytest.mark.parametrize("odd", ["a@shop.example; b@shop.example", "a@shop.example, , b@shop.example"])
def test_an_odd_header_loses_no_recipient(odd: str) -> None:
    mail: Any = Mime()
    for name, value in (("From", "s@shop.example"), ("Subject", "S"), ("To", odd), ("Cc", "c@shop.example")):
        mail[name] = value
    mail.set_payload("T")
    assert Message.from_email(mail).recipients == ("a@shop.example", "b@shop.example", "c@shop.example")
