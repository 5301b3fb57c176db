"""How the doctor judges what it is told; nothing is asked here."""

from __future__ import annotations

import io
import itertools
import json
import re
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fakeredis import FakeRedis
from rich.console import Console

import rq_ses
import rq_ses_worker
from rq_ses.gate import read_gate
from rq_ses_worker import doctor
from rq_ses_worker.doctor import checkup
from rq_ses_worker.doctor.account import judged_account, judged_answer, judged_clock
from rq_ses_worker.doctor.checkup import Wishes, examine
from rq_ses_worker.doctor.command import EXITS
from rq_ses_worker.doctor.credentials import check_credentials
from rq_ses_worker.doctor.finding import SEVERITIES, Finding, ok, worst
from rq_ses_worker.doctor.gate import judged_gate
from rq_ses_worker.doctor.identity import candidates, judged_recipient, judged_sender, look_up
from rq_ses_worker.doctor.policy import policy
from rq_ses_worker.doctor.report import as_json, show, summary
from rq_ses_worker.doctor.server import COMMANDS, judged
from rq_ses_worker.engine.preflight.server import ServerState
from rq_ses_worker.ses.account import Account, AccountRefused, Identity
from rq_ses_worker.ses.credentials import Credentials, CredentialsUnavailable
from rq_ses_worker.ses.outcome import Outcome, RateLimited, Terminal, Transient
from rq_ses_worker.settings.worker import WorkerSettings

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ACCOUNT = Account(14.0, 50_000.0, 12.0, True, True, "HEALTHY")
DOMAIN = Identity(
    "example.com",
    "DOMAIN",
    True,
    "SUCCESS",
    True,
    "SUCCESS",
    ("t1",),
    "AWS_SES",
    "dkim.amazonses.com",
    "",
    "",
)
DENIED = Terminal(403, "AccessDeniedException", "User: arn:… is not authorized to perform: ses:GetAccount")
MISMATCH = Terminal(403, "InvalidSignatureException", "The request signature we calculated does not match …")
SKEWED = Terminal(403, "InvalidSignatureException", "Signature expired: 2026… is now earlier than …")


def severities(findings: Iterator[Finding] | list[Finding]) -> dict[str, str]:
    return {finding.id: finding.severity for finding in findings}


# Findings


def test_a_finding_that_is_not_ok_has_a_remedy() -> None:
    with pytest.raises(ValueError, match="needs a remedy"):
        Finding("redis.aof", "warning", "off")


def test_an_id_is_a_word_for_scripts() -> None:
    with pytest.raises(ValueError, match="no id"):
        Finding("Redis AOF", "ok", "on")


def test_what_a_finding_says_is_inert() -> None:
    finding = Finding("a.b", "info", "<script>\x1b[31m\n", "x\u202e" * 1000)
    assert "<" not in finding.text
    assert not {"\x1b", "\n", "\u202e"} & set(finding.text + finding.remedy)
    assert len(finding.remedy) <= 600


def test_the_gravest_finding_gives_the_exit_code() -> None:
    findings = [Finding("a.b", severity, "x", "y") for severity in SEVERITIES]
    assert [EXITS[worst(findings[:count])] for count in range(5)] == [0, 0, 0, 1, 5]


# Redis


def test_a_server_as_it_should_be_is_fine() -> None:
    state = ServerState("7.2.4", "standalone", False, 0, "noeviction", True, False, "everysec")
    assert severities(judged(state)) == dict.fromkeys(
        ("redis.version", "redis.mode", "redis.eviction", "redis.aof"), "ok"
    )


@pytest.mark.parametrize(
    ("changes", "id_", "severity", "words"),
    [
        ({"version": "6.0.9"}, "redis.version", "error", "Redis 6.2 or later"),
        ({"version": None}, "redis.version", "warning", "+info"),
        ({"cluster": True}, "redis.mode", "error", "single server"),
        ({"maxmemory_policy": "allkeys-lru", "maxmemory": 1}, "redis.eviction", "error", "noeviction"),
        ({"maxmemory_policy": "allkeys-lru"}, "redis.eviction", "warning", "noeviction"),
        ({"aof": False}, "redis.aof", "warning", "appendonly yes"),
        ({"appendfsync": "no"}, "redis.aof", "warning", "appendfsync everysec"),
        ({"aof_broken": True}, "redis.aof", "warning", "its disk"),
    ],
)
def test_a_server_that_loses_mails_is_found_out_with_the_line_to_set(
    changes: dict[str, Any], id_: str, severity: str, words: str
) -> None:
    fine = ServerState("7.2.4", "standalone", False, 0, "noeviction", True, False, "everysec")
    found = [finding for finding in judged(replace(fine, **changes)) if finding.severity != "ok"]
    assert [(finding.id, finding.severity) for finding in found] == [(id_, severity)]
    assert words in found[0].remedy
    assert words not in found[0].text


def test_every_command_of_the_scripts_is_tried() -> None:
    sources = [*Path(rq_ses_worker.__path__[0]).rglob("*.lua"), *Path(rq_ses.__path__[0]).rglob("*.lua")]
    called = {
        command for path in sources for command in re.findall(r"redis\.p?call\('([A-Z ]+)'", path.read_text())
    }
    assert "COPY" in called
    assert called <= COMMANDS.keys()


# Credentials


class Source:
    def __init__(self, credentials: Credentials | Exception, expires: datetime | None = None) -> None:
        self._credentials = credentials
        self.name: str | None = "profile mail"
        self.expires = expires

    def current(self) -> Credentials:
        if isinstance(self._credentials, Exception):
            raise self._credentials
        return self._credentials


SECRET = "sentinel-secret-sentinel"
TOKEN = "sentinel-token-sentinel"
LASTING, TEMPORARY = "AKIAIOSFODNN7EXAMPLE", "ASIAIOSFODNN7EXAMPLE"


@pytest.mark.parametrize(
    ("key", "token", "expires", "expected"),
    [
        (LASTING, None, None, {"credentials.expiry": "ok"}),
        (LASTING, TOKEN, None, {"credentials.token": "warning", "credentials.expiry": "ok"}),
        (TEMPORARY, None, None, {"credentials.token": "error", "credentials.expiry": "ok"}),
        (TEMPORARY, TOKEN, timedelta(hours=1), {"credentials.expiry": "ok"}),
        (TEMPORARY, TOKEN, timedelta(minutes=1), {"credentials.expiry": "warning"}),
        (TEMPORARY, TOKEN, timedelta(seconds=-1), {"credentials.expiry": "error"}),
    ],
)
def test_credentials_are_judged_by_kind_and_end_and_never_shown(
    key: str, token: str | None, expires: timedelta | None, expected: dict[str, str]
) -> None:
    source = Source(Credentials(key, SECRET, token), None if expires is None else NOW + expires)
    found = list(check_credentials(source, now=NOW))
    assert severities(found) == {"credentials.source": "ok", **expected}
    shown = repr(found)
    assert "profile mail" in shown
    assert f"{key[:4]}…{key[-4:]}" in shown
    assert not [secret for secret in (SECRET, TOKEN, key) if secret in shown]


def test_without_credentials_each_place_that_was_looked_at_is_named() -> None:
    unavailable = CredentialsUnavailable([("environment", "not set"), ("imds", "no answer")], lasting=True)
    [finding] = check_credentials(Source(unavailable))
    assert finding.severity == "error"
    assert "environment: not set; imds: no answer" in finding.text


# SES


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (ACCOUNT, {"ses.signature": "ok"}),
        (DENIED, {"ses.signature": "ok", "ses.getaccount": "info"}),
        (MISMATCH, {"ses.signature": "error"}),
        (SKEWED, {"ses.signature": "error"}),
        (Terminal(403, "UnrecognizedClientException"), {"ses.signature": "error"}),
        (Terminal(403, "InvalidClientTokenId"), {"ses.signature": "error"}),
        (Terminal(403, "ExpiredTokenException"), {"ses.signature": "error"}),
        (Terminal(200, "InvalidAnswer", "…"), {"ses.signature": "error"}),
        (Terminal(418), {"ses.signature": "error"}),
        (Terminal(None, "CertificateRefused", "…"), {"ses.reached": "error"}),
        (Transient(None, "NameResolutionFailed", "…"), {"ses.reached": "error"}),
        (Transient(503, "ServiceUnavailable"), {"ses.reached": "warning"}),
        (RateLimited(429), {"ses.reached": "warning"}),
    ],
)
def test_an_answer_tells_whether_the_signature_is_accepted(
    answer: Account | Outcome, expected: dict[str, str]
) -> None:
    assert severities(judged_answer(answer, None, own_endpoint=False)) == expected


def test_a_question_without_an_answer_leaves_no_mail_in_doubt() -> None:
    for code in ("ReadTimeout", "WriteFailed", "ConnectionClosed"):
        [finding] = judged_answer(Transient(None, code, "…"), None, own_endpoint=False)
        assert finding.remedy == "look at the way from this host to SES"


def test_a_stand_in_that_knows_no_getaccount_is_warned_of() -> None:
    assert severities(judged_answer(Terminal(404), None, own_endpoint=True)) == {"ses.getaccount": "warning"}
    assert severities(judged_answer(Terminal(404), None, own_endpoint=False)) == {"ses.signature": "error"}


@pytest.mark.parametrize(
    "answer",
    [
        Terminal(400, message="Bad Request Exception", answered='application/json: {"message":"Bad'),
        Terminal(404, answered="text/html: Cannot GET /v2/email/account"),
        Terminal(404, "UnknownOperationException"),
        Terminal(403, message="Missing Authentication Token", answered="text/plain: no"),
        Terminal(200, answered="text/html: Welcome"),
        Terminal(200, "InvalidAnswer", "The answer is not a JSON object.", answered="text/plain: OK"),
        Transient(502, answered="text/html: Bad Gateway"),
        RateLimited(429, answered="text/plain: slow"),
    ],
)
def test_an_own_endpoint_that_names_no_error_is_told_with_what_it_answered(answer: Outcome) -> None:
    [finding] = judged_answer(answer, None, own_endpoint=True)
    assert (finding.id, finding.severity) == ("ses.getaccount", "warning")
    assert f"HTTP {answer.status}" in finding.text
    assert answer.answered in finding.text
    assert "RQ_SES_BASE_URL" in finding.remedy
    assert "secret" not in finding.remedy


def test_a_known_clock_tells_a_wrong_secret_from_a_wrong_clock() -> None:
    def remedy(answer: Outcome, offset: timedelta | None) -> str:
        [finding] = judged_answer(answer, offset, own_endpoint=False)
        return finding.remedy

    assert remedy(MISMATCH, timedelta(seconds=1)).startswith("the clock is right, so the secret")
    assert "clock is off" in remedy(MISMATCH, None)
    assert "clock is off" in remedy(MISMATCH, timedelta(hours=1))
    assert "NTP" in remedy(SKEWED, timedelta(0))
    region = Terminal(403, "InvalidSignatureException", "Credential should be scoped to a valid region")
    assert "AWS_REGION" in remedy(region, timedelta(0))


@pytest.mark.parametrize(
    ("seconds", "severity"),
    [
        (0, "ok"),
        (2, "ok"),
        (-60, "ok"),
        (61, "warning"),
        (-240, "warning"),
        (241, "error"),
        (-86_400, "error"),
    ],
)
def test_a_clock_is_judged_by_how_far_it_is_off(seconds: int, severity: str) -> None:
    [finding] = judged_clock(timedelta(seconds=seconds), ACCOUNT)
    assert finding.severity == severity
    if seconds > 2:
        assert "behind" in finding.text
    if seconds < -2:
        assert "ahead" in finding.text


def test_a_clock_that_ses_itself_found_wrong_is_an_error_however_little_it_is_off() -> None:
    assert severities(judged_clock(timedelta(seconds=30), SKEWED)) == {"clock.offset": "error"}


def test_without_an_answer_nothing_is_said_of_the_clock() -> None:
    assert list(judged_clock(None, Transient(None, "ConnectTimeout"))) == []
    assert severities(judged_clock(None, ACCOUNT)) == {"clock.offset": "info"}


@pytest.mark.parametrize(
    ("changes", "id_", "severity"),
    [
        ({"production_access": False}, "account.sandbox", "warning"),
        ({"sending_enabled": False}, "account.sending", "error"),
        ({"enforcement_status": "PROBATION"}, "account.standing", "warning"),
        ({"enforcement_status": "SHUTDOWN"}, "account.standing", "error"),
        ({"sent_last_24_hours": 40_000.0}, "account.quota", "warning"),
        ({"sent_last_24_hours": 50_000.0}, "account.quota", "error"),
        ({"max_24_hour_send": 0.0}, "account.quota", "error"),
        ({"max_send_rate": 0.0}, "account.rate", "error"),
    ],
)
def test_what_stands_in_the_way_in_the_account_is_told(
    changes: dict[str, Any], id_: str, severity: str
) -> None:
    found = severities(judged_account(replace(ACCOUNT, **changes)))
    assert {name: grave for name, grave in found.items() if grave != "ok"} == {id_: severity}


def test_an_account_in_order_and_one_without_a_limit_are_fine() -> None:
    for account in (ACCOUNT, replace(ACCOUNT, max_24_hour_send=-1.0)):
        assert set(severities(judged_account(account)).values()) == {"ok"}


# Identities


@pytest.mark.parametrize(
    ("address", "names"),
    [
        ("anna@example.com", ("anna@example.com", "example.com")),
        (
            "anna+x@a.example.com",
            ("anna+x@a.example.com", "anna@a.example.com", "a.example.com", "example.com"),
        ),
        ('"a+b c"@example.com', ('"a+b c"@example.com', "example.com")),
        ("example.com", ("example.com",)),
        (
            "a@x.y.example.co.uk",
            ("a@x.y.example.co.uk", "x.y.example.co.uk", "y.example.co.uk", "example.co.uk"),
        ),
        ("a@localhost", ("a@localhost", "localhost")),
    ],
)
def test_an_address_stands_under_itself_and_the_domains_above_it(
    address: str, names: tuple[str, ...]
) -> None:
    assert candidates(address) == names


def answering(answers: dict[str, Identity | Outcome]) -> Any:
    asked: list[str] = []

    def ask(name: str) -> Identity | None:
        asked.append(name)
        answer = answers.get(name)
        if answer is None or isinstance(answer, Identity):
            return answer
        raise AccountRefused(answer)

    return ask, asked


def test_a_verified_domain_stands_for_an_unverified_address() -> None:
    address = replace(DOMAIN, name="anna@example.com", verified_for_sending=False)
    ask, _ = answering({"anna@example.com": address, "example.com": DOMAIN})
    assert look_up("anna@example.com", ask) is DOMAIN
    ask, _ = answering({"anna@example.com": address})
    assert look_up("anna@example.com", ask) is address
    ask, _ = answering({})
    assert look_up("anna@example.com", ask) is None


def test_a_policy_for_the_domain_alone_is_enough_to_find_it() -> None:
    ask, _ = answering({"anna@example.com": DENIED, "example.com": DOMAIN})
    assert look_up("anna@example.com", ask) is DOMAIN
    ask, _ = answering({"anna@example.com": DENIED, "example.com": DENIED})
    assert look_up("anna@example.com", ask) == DENIED


def test_after_a_failure_of_another_kind_nothing_more_is_asked() -> None:
    ask, asked = answering({"anna@example.com": Transient(503)})
    assert look_up("anna@example.com", ask) == Transient(503)
    assert asked == ["anna@example.com"]


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        (DOMAIN, {"identity.sender": "ok", "identity.dkim": "ok"}),
        (None, {"identity.sender": "error"}),
        (DENIED, {"identity.sender": "info"}),
        (Transient(503), {"identity.sender": "warning"}),
        (
            replace(DOMAIN, verified_for_sending=False, verification_status="PENDING", dkim_status="PENDING"),
            {"identity.sender": "error", "identity.dkim": "warning"},
        ),
        (
            replace(DOMAIN, name="anna@example.com", dkim_signing=False),
            {"identity.sender": "ok", "identity.dkim": "warning"},
        ),
        (
            replace(DOMAIN, mail_from_domain="b.example.com", mail_from_status="FAILED"),
            {"identity.sender": "ok", "identity.dkim": "ok", "identity.mail-from": "warning"},
        ),
        (
            replace(DOMAIN, mail_from_domain="b.example.com", mail_from_status="SUCCESS"),
            {"identity.sender": "ok", "identity.dkim": "ok", "identity.mail-from": "ok"},
        ),
    ],
)
def test_a_sender_is_judged_by_its_identity(known: Any, expected: dict[str, str]) -> None:
    assert severities(judged_sender("anna@example.com", known, "us-east-1")) == expected


@pytest.mark.parametrize(
    ("recipient", "known", "severity"),
    [
        ("b@example.com", None, "error"),
        ("b@example.com", DOMAIN, "ok"),
        ("b@example.com", DENIED, "info"),
        ("success@simulator.amazonses.com", None, "ok"),
    ],
)
def test_a_recipient_of_the_sandbox_must_be_verified(recipient: str, known: Any, severity: str) -> None:
    assert severities(judged_recipient(recipient, known, "us-east-1")) == {"identity.recipient": severity}


# The gate

CLOSED = replace(
    read_gate(FakeRedis(), "default", "us-east-1"), now=100.0, rate=14.0, max_send_rate=14.0, rate_in_use=3.0
)


@pytest.mark.parametrize(
    ("changes", "severity", "words"),
    [
        ({}, "ok", "closed: no worker has gone by it yet"),
        ({"claimed": 1}, "ok", "closed: mails go out"),
        ({"breaker": "open", "since": 40.0, "next_probe": 105.0}, "error", "for 60 s"),
        ({"breaker": "open", "since": 40.0, "next_probe": 105.0}, "error", "next probe is due in 5 s"),
        ({"breaker": "open", "reason": "SendingPausedException: …"}, "error", "SendingPausedException"),
        ({"breaker": "half-open", "probe": "job-1"}, "error", "job-1"),
        ({"breaker": "open", "manual": True, "reason": "maintenance"}, "error", "by hand"),
    ],
)
def test_an_open_breaker_is_an_error_that_says_why(
    changes: dict[str, Any], severity: str, words: str
) -> None:
    breaker, _ = judged_gate(replace(CLOSED, **changes))
    assert breaker.severity == severity
    assert words in breaker.text


@pytest.mark.parametrize(
    ("changes", "severity"),
    [({}, "ok"), ({"rate": 7.0}, "info"), ({"rate": None, "max_send_rate": None}, "ok")],
)
def test_a_lowered_rate_is_told(changes: dict[str, Any], severity: str) -> None:
    _, rate = judged_gate(replace(CLOSED, **changes))
    assert rate.severity == severity


@pytest.mark.parametrize(
    ("changes", "severity", "remedy"),
    [
        ({"quota_left": 50.0}, "ok", ""),
        ({"quota_left": 3.0}, "warning", "Service Quotas"),
        ({"quota_left": 0.0}, "error", "Service Quotas"),
        ({"quota_left": 0.0, "refused": 90.0}, "error", "ses:GetAccount"),
    ],
)
def test_a_gate_that_is_shut_by_the_days_quota_is_an_error(
    changes: dict[str, Any], severity: str, remedy: str
) -> None:
    *_, day = judged_gate(replace(CLOSED, quota=200.0, **changes))
    assert (day.id, day.severity) == ("gate.quota", severity)
    assert "of 200 recipients" in day.text
    assert remedy in day.remedy


# The policy


def test_the_policy_allows_sending_from_the_sender_and_asking_for_the_rate_alone() -> None:
    assert policy("eu-west-1", sender="shop@example.com", account_id="123456789012") == {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "Send",
                "Effect": "Allow",
                "Action": ["ses:SendEmail"],
                "Resource": [
                    "arn:aws:ses:eu-west-1:123456789012:identity/example.com",
                    "arn:aws:ses:eu-west-1:123456789012:identity/shop@example.com",
                ],
            },
            {"Sid": "SendRate", "Effect": "Allow", "Action": ["ses:GetAccount"], "Resource": "*"},
        ],
    }


@pytest.mark.parametrize(
    ("region", "partition"),
    [("us-east-1", "aws"), ("us-gov-west-1", "aws-us-gov"), ("cn-north-1", "aws-cn")],
)
def test_an_arn_stands_in_its_regions_partition_and_raw_content_is_an_action_of_its_own(
    region: str, partition: str
) -> None:
    [send, _] = policy(region, raw=True, configuration_set="news")["Statement"]
    assert send["Action"] == ["ses:SendEmail", "ses:SendRawEmail"]
    assert send["Resource"] == [
        f"arn:{partition}:ses:{region}:ACCOUNT-ID:identity/example.com",
        f"arn:{partition}:ses:{region}:ACCOUNT-ID:configuration-set/news",
    ]


# The report

FINDINGS = [
    ok("redis.version", "speaks Redis [bold]7.2[/bold]"),
    Finding("workers.seen", "warning", "no worker " + "very " * 30, "start one"),
    Finding("gate.breaker", "error", "open", "close it"),
]


def printed(**options: Any) -> str:
    stream = io.StringIO()
    show(FINDINGS, Console(file=stream, **options))
    return stream.getvalue()


def test_a_pipe_gets_whole_lines_without_colours_or_markup() -> None:
    lines = printed(width=40).splitlines()
    assert lines[0] == "ok      redis.version: speaks Redis [bold]7.2[/bold]"
    assert lines[1].endswith("very")
    assert lines[2] == "        → start one"
    assert lines[-1] == "1 wrong, 1 warned of, 1 fine"
    assert "\x1b" not in "".join(lines)


@pytest.mark.parametrize("width", [20, 60, 80, 200])
def test_a_terminal_of_any_width_shows_every_word(width: int) -> None:
    text = printed(width=width, force_terminal=True, color_system=None)
    assert max(len(line) for line in text.splitlines()) <= width
    for finding in FINDINGS:
        for word in (finding.id, finding.severity, *finding.remedy.split()):
            assert word in text


def test_the_json_has_every_finding_and_the_gravest_severity() -> None:
    found = json.loads(as_json(FINDINGS))
    assert found["severity"] == "error"
    assert found["findings"][2] == {
        "id": "gate.breaker",
        "severity": "error",
        "text": "open",
        "remedy": "close it",
    }
    assert summary([]) == ""


# The whole


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> WorkerSettings:
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", LASTING)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    return WorkerSettings()


def test_a_check_that_breaks_off_leaves_the_others_and_what_it_had_found(
    monkeypatch: pytest.MonkeyPatch, settings: WorkerSettings
) -> None:
    def broken(*_: Any) -> Iterator[Finding]:
        yield ok("redis.version", "fine")
        raise RuntimeError(SECRET)

    monkeypatch.setattr(checkup, "_redis", broken)
    monkeypatch.setattr(checkup, "_endpoint", lambda *_: iter([ok("endpoint.tls", "fine")]))
    monkeypatch.setattr(checkup, "_ses", lambda *_: iter([ok("ses.signature", "fine")]))
    found = examine(settings, Wishes())
    assert [finding.id for finding in found] == [
        "redis.version",
        "redis.failed",
        "endpoint.tls",
        "ses.signature",
    ]
    assert "RuntimeError" in found[1].text
    assert SECRET not in repr(found)


def test_a_check_that_hangs_is_left_out_in_time(
    monkeypatch: pytest.MonkeyPatch, settings: WorkerSettings
) -> None:
    release = threading.Event()

    def hanging(*_: Any) -> Iterator[Finding]:
        yield ok("redis.version", "fine")
        release.wait(30)

    monkeypatch.setattr(checkup, "_redis", hanging)
    monkeypatch.setattr(checkup, "_endpoint", lambda *_: iter([ok("endpoint.tls", "fine")]))
    monkeypatch.setattr(checkup, "_ses", lambda *_: iter([]))
    told: list[str] = []
    found = examine(settings, Wishes(), within=0.2, tell=told.append)
    release.set()
    assert severities(found) == {"redis.version": "ok", "redis.late": "error", "endpoint.tls": "ok"}
    assert "redis" in told[0]


def test_ses_is_asked_once_more_after_a_429(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkup, "_PAUSE", 0.0)
    answers = itertools.chain([RateLimited(429)], itertools.repeat(None))

    def ask() -> str:
        if outcome := next(answers):
            raise AccountRefused(outcome)
        return "told"

    assert checkup._patient(ask) == "told"


# The documentation


def test_every_id_stands_in_the_documentation_and_no_other() -> None:
    pattern = r"\b((?:redis|workers|gate|endpoint|credentials|ses|clock|account|identity|iam|dns)\.[a-z-]+)"
    sources = [path.read_text() for path in Path(doctor.__path__[0]).glob("*.py")]
    given = {found for source in sources for found in re.findall(f'"{pattern}"', source)}
    given |= {f"redis.{topic}" for topic in ("version", "mode", "eviction", "aof")}
    given |= {f"{group}.{end}" for group in ("redis", "endpoint", "ses") for end in ("late", "failed")}
    text = (Path(__file__).parents[3] / "docs" / "doctor.md").read_text()
    assert set(re.findall(f"`{pattern}`", text)) == given
