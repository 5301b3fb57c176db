"""Causes, groups, filters, edits and payloads of dead letters: all that needs no server."""

from __future__ import annotations

import json
import zlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from rq_ses import contract
from rq_ses.deadletter import DeadLetter, EditRefused, Filter
from rq_ses.deadletter.cause import cause
from rq_ses.deadletter.edits import Check, Edits
from rq_ses.deadletter.groups import MOST, OTHER, Tally
from rq_ses.deadletter.reading.deadletter import Entry, read_letter
from rq_ses.deadletter.reading.payload import Payload, Unreadable, is_ours, read_payload
from rq_ses.deadletter.resending import BATCH, Pace
from rq_ses_worker.lifecycle.task import read_job
from support.mails.mail import mail

NOW = datetime(2026, 5, 31, 12, tzinfo=UTC)
UNVERIFIED = "Email address is not verified. The following identities failed the check in region EU-WEST-1: "


def letter(message: str = "No.", code: str = "MessageRejected", at: datetime | None = NOW) -> DeadLetter:
    ended = b"" if at is None else f"{at:%Y-%m-%dT%H:%M:%S.%fZ}".encode()
    report = {"outcome": "terminal", "code": code, "message": message, "ambiguous": False}
    meta = json.dumps({"attempts": 1, "last_outcome": report}).encode()
    error = f"{code}: {message}".encode("utf-8", "replace")
    return read_letter(Entry(10, b"j", b"1", b"failed", ended, meta, error, b"", b""), "mail")


def payload(**fields: Any) -> Payload:
    return Payload(json.loads(mail(**fields).to_payload()), {})


# Causes and groups


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (f"{UNVERIFIED}a@b.example", f"{UNVERIFIED}ADDRESS"),
        (f"{UNVERIFIED}a@b.example, c+d@e.example, example.com", f"{UNVERIFIED}ADDRESS, example.com"),
        (f'{UNVERIFIED}"a..b c"@d.example, e@f.example', f"{UNVERIFIED}ADDRESS"),
        ('Invalid: "Ann" <"a\\"@b"@c.example>.', 'Invalid: "Ann" ‹ADDRESS›.'),
        (f"{UNVERIFIED}a@b.example, Some.On…", f"{UNVERIFIED}ADDRESS"),
        ("Invalid: <a@b.example>.", "Invalid: ‹ADDRESS›."),
        ("worker host.0f1e2d3c4b5a69788796a5b4c3d2e1f0 was lost", "worker NAME was lost"),
        ("job 0f1e2d3c4b5a69788796a5b4c3d2e1f0 of host.0f1e2d3c4b5a69788796", "job ID of host.ID"),
        ("Request 1b4e28ba-2fa1-11d2-883f-0016d3cca427 took 5.25 s", "Request ID took NUMBER s"),
        ("arn:aws:ses:us-east-1:123456789012:identity/x", "arn:aws:ses:us-east-1:NUMBER:identity/x"),
        ("a\x1b[31m\nb <script>", "a [31m b ‹script›"),
        ("", ""),
    ],
)
def test_a_cause_is_what_messages_have_in_common(message: str, expected: str) -> None:
    assert cause(message) == expected


@pytest.mark.parametrize("text", ["@" * 500, "a@" * 250, "1-" * 250, "a" * 499 + "@", "1." * 250])
def test_no_message_makes_a_cause_long(text: str) -> None:
    assert len(cause(text)) <= 4000


def test_ten_thousand_refusals_of_as_many_addresses_are_one_group() -> None:
    tally = Tally()
    for number in range(10_000):
        tally.add(letter(f"{UNVERIFIED}user{number}@x{number}.example", at=NOW - timedelta(seconds=number)))
    tally.add(replace(letter("Slow", "Throttling", at=None), unknown=True))
    first, second = tally.groups()
    assert (first.code, first.cause, first.count) == ("MessageRejected", f"{UNVERIFIED}ADDRESS", 10_000)
    assert (first.oldest, first.newest, first.unknown) == (NOW - timedelta(seconds=9999), NOW, 0)
    assert first.hint
    assert (second.code, second.count, second.unknown) == ("Throttling", 1, 1)
    assert (second.oldest, second.newest) == (None, None)


def test_made_up_causes_don_t_fill_the_memory() -> None:
    tally = Tally()
    for number in range(MOST + 50):
        tally.add(letter(f"cause{number}x"))
    groups = tally.groups()
    assert len(groups) == MOST + 1
    assert (groups[0].code, groups[0].count) == (OTHER, 50)


# Filters


@pytest.mark.parametrize(
    ("wanted", "fits"),
    [
        (Filter(), True),
        (Filter(codes=["messagerejected"]), True),
        (Filter(codes=["MESSAGE_REJECTED"]), True),
        (Filter(codes=["Throttling", "AccessDenied"]), False),
        (Filter(codes=["Throttling", "MessageRejected"]), True),
        (Filter(text="NOT VERIFIED"), True),
        (Filter(text="paused"), False),
        (Filter(older_than=3600), True),
        (Filter(older_than=timedelta(hours=3)), False),
        (Filter(newer_than=timedelta(hours=3)), True),
        (Filter(newer_than=3600), False),
        (Filter(older_than=3600, newer_than=10_800), True),
        (Filter(codes=["MessageRejected"], text="paused"), False),
    ],
)
def test_a_filter_looks_at_how_and_when_a_mail_failed(wanted: Filter, fits: bool) -> None:
    at = NOW - timedelta(hours=2)
    assert wanted.matcher(NOW).fits_failure(letter("Address is not verified", at=at)) is fits


def test_a_mail_that_failed_nobody_knows_when_fits_no_age() -> None:
    for wanted in (Filter(older_than=0), Filter(newer_than=1e6)):
        assert not wanted.matcher(NOW).fits_failure(letter(at=None))


@pytest.mark.parametrize(
    ("wanted", "fits"),
    [
        (Filter(recipient="ANNA@example.com"), True),
        (Filter(recipient="Anna <anna@example.com>"), True),
        (Filter(recipient="copy@example.com"), True),
        (Filter(recipient="shop@example.com"), False),
        (Filter(sender_domain="Shop.Example"), True),
        (Filter(sender_domain="@shop.example"), True),
        (Filter(sender_domain="example"), False),
        (Filter(tags={"campaign": "may"}), True),
        (Filter(tags={"campaign": "may", "kind": "news"}), False),
        (Filter(tags={"campaign": "May"}), False),
    ],
)
def test_a_filter_looks_at_the_mail(wanted: Filter, fits: bool) -> None:
    one = payload(sender="S <s@shop.example>", cc=["C <copy@example.com>"], tags={"campaign": "may"})
    assert wanted.needs_payload
    assert bool(wanted.matcher(NOW).fitting(one)) is fits


def test_a_filter_takes_addresses_as_a_message_does() -> None:
    one = payload(sender="S <s@müller.example>", cc=['C <"a..b c"@x.example>', "ann@bücher.example"])
    for wanted in (
        Filter(recipient='"A..b C"@X.example'),
        Filter(recipient="Ann <ann@Bücher.example>"),
        Filter(recipient="ann@xn--bcher-kva.example"),
        Filter(sender_domain="Müller.example"),
        Filter(sender_domain="@xn--mller-kva.example"),
    ):
        assert wanted.matcher(NOW).fitting(one)


@pytest.mark.parametrize("broken", [None, 7, [7, None], {"a": []}, "nobody", "<", ">", ""])
def test_a_broken_payload_fits_no_filter_and_raises_nothing(broken: Any) -> None:
    one = Payload(dict.fromkeys(("sender", "to", "cc", "bcc", "tags"), broken), {})
    for wanted in (
        Filter(recipient="a@b.example"),
        Filter(sender_domain="b.example"),
        Filter(tags={"a": "b"}),
    ):
        assert not wanted.matcher(NOW).fitting(one)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [({"codes": "MessageRejected"}, "codes: "), ({"ids": "j1"}, "ids: ")],
)
def test_a_text_in_place_of_a_list_is_refused(arguments: dict[str, Any], problem: str) -> None:
    with pytest.raises(TypeError, match=problem):
        Filter(**arguments)


@pytest.mark.parametrize("length", [float("nan"), 1e300, "2h"])
def test_an_unusable_age_is_refused_by_its_name(length: Any) -> None:
    with pytest.raises(ValueError, match="older_than: "):
        Filter(older_than=length).matcher()


# Payloads


def test_a_payload_is_read_plain_and_deflated_and_with_its_options() -> None:
    fields = json.loads(mail().to_payload())
    plain = json.dumps([contract.JOB_FUNCTION, None, [fields], {"expires": 5.0}]).encode()
    named = json.dumps([contract.JOB_FUNCTION, None, [], {"payload": fields, "expires": 5.0}]).encode()
    for data in (plain, zlib.compress(plain), named):
        assert is_ours(data)
        assert read_payload(data) == Payload(fields, {"expires": 5.0})
    assert read_job(Payload(fields, {"expires": 5.0}).data()) == read_job(plain)


FOREIGN = {
    "another function": json.dumps(["os.system", None, ["true"], {}]).encode(),
    "another function, deflated": zlib.compress(json.dumps(["os.system", None, ["true"], {}]).encode()),
    "a longer name": json.dumps([f"{contract.JOB_FUNCTION}er", None, [{}], {}]).encode(),
    "a method": json.dumps([contract.JOB_FUNCTION, "x", [{}], {}]).encode(),
    "pickle": b"\x80\x04\x95\x00",
    "garbage that looks deflated": b"x\x9c" + b"\xff" * 100,
    "nothing": b"",
}


@pytest.mark.parametrize("data", FOREIGN.values(), ids=FOREIGN)
def test_a_foreign_job_is_known_from_its_first_bytes(data: bytes) -> None:
    assert not is_ours(data)
    with pytest.raises(Unreadable):
        read_payload(data)


HEAD = f'["{contract.JOB_FUNCTION}",null,'.encode()
BROKEN = {
    "cut": zlib.compress(HEAD + b"[{}],{}]")[:-6],
    "not JSON": HEAD,
    "nested too deep": HEAD + b"[" * 200_000,
    "no payload": HEAD + b"[],{}]",
    "a payload that is a list": HEAD + b"[[]],{}]",
    "options that are a list": HEAD + b"[{}],[]]",
    "a bomb": zlib.compress(HEAD + b" " * (80 * 1024 * 1024) + b"[{}],{}]"),
}


@pytest.mark.parametrize("data", BROKEN.values(), ids=BROKEN)
def test_a_broken_job_of_ours_can_t_be_read(data: bytes) -> None:
    assert is_ours(data)
    with pytest.raises(Unreadable):
        read_payload(data)


# Edits


def test_an_edit_changes_what_it_names_and_leaves_the_rest() -> None:
    old = payload(
        to="a@b.example",
        reply_to=["r@b.example"],
        tags={"a": "1", "b": "2"},
        configuration_set="main",
        text="x",
    )
    edits = Edits(
        {
            "sender": "N <n@new.example>",
            "reply_to": None,
            "configuration_set": "other",
            "tags": {"a": None, "c": "3"},
        },
        named=False,
    )
    edited = edits.apply(replace(old, options={"on_unknown": "hold"}))
    task = read_job(edited.data)
    assert task.message == mail(
        "a@b.example",
        sender="N <n@new.example>",
        tags={"b": "2", "c": "3"},
        configuration_set="other",
        text="x",
    )
    assert task.on_unknown == "hold"
    assert (edited.description, edited.recipients) == ("a@b.example → Hi", 1)


def test_recipients_and_subject_change_only_of_mails_that_are_named() -> None:
    changes = {"to": ["x@b.example", "y@b.example"], "subject": "New"}
    with pytest.raises(EditRefused) as refused:
        Edits(changes, named=False)
    assert [problem.partition(":")[0] for problem in refused.value.problems] == ["to", "subject"]
    edited = Edits(changes, named=True).apply(payload())
    assert (edited.description, edited.recipients) == ("x@b.example (+1) → New", 2)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"text": "x"}, "'text': can't be changed: use one of sender, "),
        ({"sendr": "x"}, "'sendr': can't be changed"),
        ({"attachments": []}, "'attachments': can't be changed"),
        ({"tags": "x"}, "tags: 'x' is no mapping"),
    ],
)
def test_a_field_that_can_t_be_changed_is_refused(changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(EditRefused, match=problem):
        Edits(changes, named=True)


def test_an_edit_that_spoils_a_valid_mail_is_wrong_and_a_mail_that_is_spoilt_anyway_is_not() -> None:
    check = Check(Edits({"sender": "new.example"}, named=False))
    for job_id in ("j1", "j2"):
        check.look(job_id, payload())
    check.look("j3", None)
    with pytest.raises(EditRefused) as refused:
        check.end()
    [problem] = refused.value.problems
    assert problem.startswith("sender: 'new.example' is not an e-mail address: write ")
    assert problem.endswith(" (job j1)")

    fine = Check(Edits({"sender": "n@new.example"}, named=False))
    fine.look("j1", payload())
    fine.look("j4", Payload({"to": "nobody"}, {}))
    fine.end()


# Pace


class Clock:
    """Time that passes only while somebody sleeps, or is said to."""

    def __init__(self) -> None:
        self.now = 100.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def test_a_rate_is_kept_from_the_first_mail_on() -> None:
    clock = Clock()
    pace = Pace(20, clock=lambda: clock.now, sleep=clock.sleep)
    assert pace.step == 2
    for _ in range(50):
        pace.wait(2)
    assert clock.now == pytest.approx(100 + 49 * 0.1)


def test_what_was_late_is_not_made_up_for_by_a_burst() -> None:
    clock = Clock()
    pace = Pace(20, clock=lambda: clock.now, sleep=clock.sleep)
    pace.wait(2)
    clock.now += 60
    began = clock.now
    for _ in range(11):
        pace.wait(2)
    assert clock.now - began >= 0.85


def test_a_slow_rate_moves_one_at_a_time_and_none_moves_as_many_as_fit() -> None:
    assert Pace(0.5).step == 1
    assert Pace(None).step == Pace(1e6).step == BATCH


@pytest.mark.parametrize("rate", [0, -1, float("nan"), float("inf")])
def test_an_unusable_rate_is_refused(rate: float) -> None:
    with pytest.raises(ValueError, match="rate: "):
        Pace(rate)
