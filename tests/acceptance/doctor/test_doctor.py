"""The real `rq-ses doctor` against a simulated SES, a real Valkey and a name server on loopback."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from rq_ses.cli.terminal.exits import INCOMPLETE, OK, SETTINGS, UNFIT, USAGE
from rq_ses.contract import DEFAULT_ACCOUNT
from rq_ses.gate import open_breaker
from rq_ses_worker.simulator.api.lookups.identity import tokens
from rq_ses_worker.simulator.server import SimulatorServer
from support.mails.keys import KEYS
from support.programs.processes import KEY_ID, SECRET, TOKEN, environment, run, running, worker_environment
from support.servers.nameserver import nameserver
from support.servers.valkey import client, url, valkey
from support.waiting import wait_for

SENDER = "shop@example.com"
RECORDS = {
    **{
        (f"{token}._domainkey.example.com", "CNAME"): (f"{token}.dkim.amazonses.com.",)
        for token in tokens("example.com")
    },
    ("example.com", "TXT"): ('"v=spf1 include:amazonses.com ~all"',),
    ("_dmarc.example.com", "TXT"): ('"v=DMARC1; p=reject; " "rua=mailto:dmarc@example.com"',),
}


@pytest.fixture(scope="module")
def dns_server() -> Iterator[str]:
    with nameserver(RECORDS) as address:
        yield address


def diagnosed(env: Mapping[str, str], *options: str) -> tuple[int, dict[str, dict[str, str]]]:
    """Run `rq-ses doctor --json` and return its exit code and the findings by id."""
    done = run(["doctor", "--json", *options], env)
    assert done.stderr == ""
    shown = json.loads(done.stdout)
    findings = {finding["id"]: finding for finding in shown["findings"]}
    grave = {OK: ("ok", "info"), INCOMPLETE: ("warning",), UNFIT: ("error",)}[done.returncode]
    assert shown["severity"] in grave
    assert all(finding["remedy"] for finding in findings.values() if finding["severity"] != "ok")
    return done.returncode, findings


def having(findings: dict[str, dict[str, str]], *severities: str) -> set[str]:
    return {name for name, finding in findings.items() if finding["severity"] in severities}


def test_where_all_is_fine_nothing_is_warned_of_and_nothing_is_changed(
    redis: Redis, ses: SimulatorServer, worker_env: dict[str, str], dns_server: str, tmp_path: Path
) -> None:
    with running(["worker"], worker_env, tmp_path / "log"):
        wait_for(lambda: redis.scard("rq:workers") == 1)
        code, findings = diagnosed(worker_env, "--from", SENDER, "--nameserver", dns_server)
    assert having(findings, "warning", "error") == set()
    assert code == OK
    assert having(findings, "ok") >= {
        "redis.version", "redis.aof", "redis.eviction", "redis.acl", "redis.latency", "workers.seen",
        "gate.breaker", "gate.rate", "credentials.source", "credentials.expiry", "ses.signature",
        "clock.offset", "account.sandbox", "account.sending", "account.quota", "account.rate",
        "identity.sender", "identity.dkim", "dns.dkim", "dns.spf", "dns.dmarc", "dns.alignment",
    }  # fmt: skip
    told = {"endpoint.given", "endpoint.tls", "iam.send", "dns.mail-from", "events.none"}
    assert having(findings, "info") == told
    assert ses.mails == []
    assert {request.method for request in ses.requests} == {"GET"}


def test_reading_leaves_redis_as_it_was(redis: Redis, worker_env: dict[str, str]) -> None:
    redis.sadd("rq:workers", "rq:worker:gone", "rq:worker:here")
    redis.hset("rq:worker:here", mapping={"queues": "mail", "last_heartbeat": "2020-01-01T00:00:00.000000Z"})
    redis.zadd("rq:wip:mail", {"job:x": 1})
    before = {key: redis.dump(key) for key in redis.keys("*")}
    _, findings = diagnosed(worker_env, "--no-dns")
    assert {key: redis.dump(key) for key in redis.keys("*")} == before
    assert findings["workers.seen"]["severity"] == "warning"
    assert findings["workers.silent"]["severity"] == "info"


def test_without_a_worker_or_with_suspended_ones_mails_wait(redis: Redis, worker_env: dict[str, str]) -> None:
    redis.set(KEYS.suspended, 1)
    code, findings = diagnosed(worker_env, "--no-dns")
    assert code == INCOMPLETE
    assert having(findings, "warning") == {"workers.seen", "workers.suspended"}
    assert "rq-ses worker" in findings["workers.seen"]["remedy"]
    assert "rq resume" in findings["workers.suspended"]["remedy"]


def test_the_sandbox_is_told_and_its_recipients_are_looked_at(redis_url: str, dns_server: str) -> None:
    options = ("--from", SENDER, "--nameserver", dns_server)
    with SimulatorServer(KEY_ID, SECRET, TOKEN, sandbox=True, verified=("example.com",), quota=200) as ses:
        env = worker_environment(redis_url, ses.url)
        code, findings = diagnosed(env, *options, "--to", "anna@elsewhere.example")
        assert code == UNFIT
        assert having(findings, "error") == {"identity.recipient"}
        assert findings["account.sandbox"]["severity"] == "warning"
        assert "production access" in findings["account.sandbox"]["remedy"]
        code, findings = diagnosed(env, *options, "--to", "anna@shop.example.com")
        assert code == INCOMPLETE
        assert findings["identity.recipient"]["severity"] == "ok"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"AWS_SECRET_ACCESS_KEY": SECRET[:-1] + "x"}, "the secret is not that of the key"),
        ({"AWS_ACCESS_KEY_ID": "AKIDOFNOBODY"}, "Check the key in the IAM console"),
        ({"AWS_SESSION_TOKEN": TOKEN[:-1] + "x"}, ""),
        ({"AWS_REGION": "eu-west-1"}, "set AWS_REGION"),
    ],
)
def test_credentials_that_ses_refuses_are_an_error_with_its_cause(
    worker_env: dict[str, str], changes: dict[str, str], words: str
) -> None:
    code, findings = diagnosed({**worker_env, **changes}, "--no-dns")
    assert code == UNFIT
    assert having(findings, "error") == {"ses.signature"}
    assert words in findings["ses.signature"]["remedy"]


def test_without_credentials_the_places_that_were_looked_at_are_named(worker_env: dict[str, str]) -> None:
    env = {name: value for name, value in worker_env.items() if not name.startswith("AWS_")}
    env |= {
        "AWS_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_SHARED_CREDENTIALS_FILE": "/nowhere/credentials",
        "AWS_CONFIG_FILE": "/nowhere/config",
    }
    code, findings = diagnosed(env, "--no-dns")
    assert code == UNFIT
    assert having(findings, "error") == {"credentials.source"}
    assert "AWS_ACCESS_KEY_ID" in findings["credentials.source"]["remedy"]


@pytest.mark.parametrize(("offset", "severity"), [(100, "warning"), (-7200, "error")])
def test_a_clock_that_is_off_is_told_though_the_client_corrects_it(
    redis_url: str, offset: int, severity: str
) -> None:
    with SimulatorServer(KEY_ID, SECRET, TOKEN, clock_offset=offset) as ses:
        _, findings = diagnosed(worker_environment(redis_url, ses.url), "--no-dns")
    assert findings["ses.signature"]["severity"] == "ok"
    assert findings["clock.offset"]["severity"] == severity
    assert "NTP" in findings["clock.offset"]["remedy"]


def test_an_unverified_sender_is_an_error(redis_url: str) -> None:
    with SimulatorServer(KEY_ID, SECRET, TOKEN, verified=("other.example",)) as ses:
        env = worker_environment(redis_url, ses.url)
        code, findings = diagnosed(env, "--from", SENDER, "--no-dns")
    assert code == UNFIT
    assert having(findings, "error") == {"identity.sender"}
    assert "us-east-1" in findings["identity.sender"]["text"]


def test_records_that_are_missing_are_named(worker_env: dict[str, str]) -> None:
    with nameserver({}) as address:
        code, findings = diagnosed(worker_env, "--from", SENDER, "--nameserver", address)
    assert code == UNFIT
    assert having(findings, "error") == {"dns.dkim"}
    assert "_domainkey.example.com is missing" in findings["dns.dkim"]["text"]
    assert "v=DMARC1; p=none" in findings["dns.dmarc"]["remedy"]


def test_a_name_server_that_is_silent_delays_and_does_not_stop_the_doctor(worker_env: dict[str, str]) -> None:
    with nameserver({}, silent=True) as address:
        _, findings = diagnosed(worker_env, "--from", SENDER, "--nameserver", address)
    assert findings["dns.answers"]["severity"] == "warning"
    assert findings["ses.signature"]["severity"] == "ok"


def test_an_open_breaker_is_an_error_that_says_why(redis: Redis, worker_env: dict[str, str]) -> None:
    open_breaker(redis, DEFAULT_ACCOUNT, "us-east-1", "maintenance <b>today</b>")
    code, findings = diagnosed(worker_env, "--no-dns")
    assert code == UNFIT
    assert having(findings, "error") == {"gate.breaker"}
    assert "maintenance ‹b›today‹/b›" in findings["gate.breaker"]["text"]
    assert "rq-ses breaker close" in findings["gate.breaker"]["remedy"]
    _, others = diagnosed(worker_env, "--no-dns", "--account", "another")
    assert others["gate.breaker"]["severity"] == "ok"


def test_what_is_away_does_not_keep_the_doctor_from_the_rest(ses: SimulatorServer) -> None:
    code, findings = diagnosed(worker_environment("redis://127.0.0.1:1/0", ses.url), "--no-dns")
    assert code == UNFIT
    assert having(findings, "error") == {"redis.reached"}
    assert findings["ses.signature"]["severity"] == "ok"


def test_a_key_of_the_wrong_type_is_not_taken_for_a_server_that_is_away(
    redis: Redis, worker_env: dict[str, str]
) -> None:
    redis.set(KEYS.account("default", "us-east-1"), "text")
    _, findings = diagnosed(worker_env, "--no-dns")
    assert having(findings, "error") == {"redis.reached"}
    assert "answers, but refuses" in findings["redis.reached"]["text"]
    assert "WRONGTYPE" in findings["redis.reached"]["text"]


def test_an_ses_that_is_away_does_not_either(worker_env: dict[str, str]) -> None:
    code, findings = diagnosed({**worker_env, "RQ_SES_BASE_URL": "https://127.0.0.1:1"}, "--no-dns")
    assert code == UNFIT
    assert having(findings, "error") == {"endpoint.tls", "ses.reached"}
    assert findings["redis.version"]["severity"] == "ok"


def test_a_server_that_would_lose_mails_is_an_error(ses: SimulatorServer, tmp_path: Path) -> None:
    with valkey(tmp_path / "data") as server, client(server) as redis:
        redis.config_set("maxmemory", "100mb")
        redis.config_set("maxmemory-policy", "allkeys-lru")
        redis.config_set("appendonly", "no")
        code, findings = diagnosed(worker_environment(url(server), ses.url), "--no-dns")
    assert code == UNFIT
    assert having(findings, "error") == {"redis.eviction"}
    assert findings["redis.aof"]["severity"] == "warning"
    assert findings["redis.eviction"]["remedy"] == "set: maxmemory-policy noeviction"


@pytest.mark.parametrize(("base_url", "options"), [("https://127.0.0.1:1", ()), ("", ("--json",))])
def test_no_secret_is_printed_whatever_goes_wrong(
    redis_url: str, base_url: str, options: tuple[str, ...]
) -> None:
    key_id, secret, token = (
        "AKIAIOSFODNN7SENTINEL",
        "sentinel-secret-sentinel",
        "IQoJsentinel-token-sentinel==",
    )
    password = "sentinel-password"
    with SimulatorServer(key_id, "another secret", token) as ses:
        env = {
            **worker_environment(redis_url.replace("//", f"//nobody:{password}@"), base_url or ses.url),
            "AWS_ACCESS_KEY_ID": key_id,
            "AWS_SECRET_ACCESS_KEY": secret,
            "AWS_SESSION_TOKEN": token,
            "RQ_SES_PROXY": f"http://user:{password}@127.0.0.1:1" if base_url else "",
        }
        done = run(["doctor", "--from", SENDER, "--no-dns", *options], env)
    shown = done.stdout + done.stderr
    assert done.returncode == UNFIT, shown
    assert "redis.reached" in shown
    assert "Traceback" not in shown
    assert not [sentinel for sentinel in (key_id, secret, token, password) if sentinel in shown]


def test_people_get_a_line_for_each_finding_and_the_counts(worker_env: dict[str, str]) -> None:
    done = run(["doctor", "--no-dns"], worker_env)
    assert (done.returncode, done.stderr) == (INCOMPLETE, "")
    lines = done.stdout.splitlines()
    assert "ok      ses.signature: SES accepts the key and the signature" in lines
    assert re.fullmatch(r"1 warned of, \d to know, \d+ fine", lines[-1])
    assert "\x1b" not in done.stdout


def policy(*options: str, env: Mapping[str, str] | None = None) -> Any:
    done = run(["doctor", "--policy", *options], environment(AWS_REGION="eu-west-1") if env is None else env)
    assert (done.returncode, done.stderr) == (OK, "")
    return json.loads(done.stdout)


def test_the_policy_is_printed_without_credentials_and_without_asking_anybody() -> None:
    send, rate = policy("--from", "shop@bücher.example", "--account-id", "123456789012")["Statement"]
    assert send["Action"] == ["ses:SendEmail", "ses:SendRawEmail"]
    assert policy("--no-raw")["Statement"][0]["Action"] == ["ses:SendEmail"]
    assert send["Resource"][0] == "arn:aws:ses:eu-west-1:123456789012:identity/xn--bcher-kva.example"
    assert rate == {"Sid": "SendRate", "Effect": "Allow", "Action": ["ses:GetAccount"], "Resource": "*"}
    assert "us-gov-west-1" in json.dumps(policy("--region", "us-gov-west-1", env=environment()))


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (["--from", "nobody@"], USAGE, "is not an e-mail address"),
        (["--from", "x y"], USAGE, "--from"),
        (["--nameserver", "ns.example.com"], USAGE, "is no name server: give an IP address"),
        (["--raw"], USAGE, "go with --policy"),
        (["--policy", "--account-id", "12"], USAGE, "give its 12 digits"),
        (["--policy", "--region", "moon"], SETTINGS, "AWS_REGION"),
        (["--region", "moon"], SETTINGS, "AWS_REGION"),
    ],
)
def test_what_cannot_be_used_is_named_with_its_remedy(
    worker_env: dict[str, str], options: list[str], code: int, words: str
) -> None:
    done = run(["doctor", *options], worker_env)
    assert (done.returncode, done.stdout) == (code, "")
    assert words in done.stderr
