from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from rq_ses import contract
from rq_ses.errors import SettingsError
from rq_ses.server.redisurl import masked
from rq_ses.settings.declared import describe
from rq_ses.settings.producer import ProducerSettings, load_producer_settings
from rq_ses_worker.account.gate import GatePolicy
from rq_ses_worker.lifecycle.retry import RetryPolicy
from rq_ses_worker.ses.credentials import Credentials
from rq_ses_worker.ses.wire.deadline import Timeout
from rq_ses_worker.settings.audit import AuditSettings
from rq_ses_worker.settings.worker import WorkerSettings, load_worker_settings

SECRET = "s3cr3tKeyThatNobodyMaySee"
TOKEN = "t0kenThatNobodyMaySee"
KEYS = {"AWS_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": SECRET}


@pytest.fixture(autouse=True)
def _elsewhere(no_settings: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def worker_problems(**overrides: Any) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as caught:
        load_worker_settings(**overrides)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    return caught.value.problems


def producer_problem(**overrides: Any) -> str:
    with pytest.raises(SettingsError) as caught:
        load_producer_settings(**overrides)
    (problem,) = caught.value.problems
    return problem


def test_a_producer_needs_no_setting() -> None:
    assert load_producer_settings().model_dump() == {
        "redis_url": "redis://127.0.0.1:6379/0",
        "queue": "mail",
        "partitions": "",
        "result_ttl": 86400,
        "failure_ttl": 31536000,
        "enqueue_timeout": 2.0,
        "durable_replicas": 0,
        "durable_timeout": 5.0,
        "tracing": False,
    }


def test_a_workers_defaults_are_the_documented_ones(environment: Any) -> None:
    environment(**KEYS)
    settings = load_worker_settings()
    assert settings.model_dump(exclude={"aws_secret_access_key"}) == {
        **load_producer_settings().model_dump(),
        "aws_region": "eu-west-1",
        "aws_profile": None,
        "aws_access_key_id": "AKID",
        "aws_session_token": None,
        "aws_credential_expiration": None,
        "use_fips": False,
        "use_dualstack": False,
        "base_url": None,
        "allow_http": False,
        "aws_endpoint_url": None,
        "proxy": None,
        "outcomes": False,
        "outcomes_max": 1_000_000,
        "webhook_url": None,
        "webhook_secret": None,
        "webhook_secret_file": None,
        "webhook_timeout": 10.0,
        "ca_bundle": None,
        "timeout": 5.0,
        "min_upload_rate": 250_000,
        "concurrency": 16,
        "rate_limited_delay": 5.0,
        "transient_delay": 1.0,
        "backoff": 1.0,
        "max_delay": 300.0,
        "max_attempts": 10,
        "give_up_after": 86400.0,
        "lease": 30.0,
        "on_unknown": "resend",
        "max_doubtful": 3,
        "suppressed": "fail",
        "preflight": "refuse",
        "account": "default",
        "max_send_rate": "auto",
        "bulk_size": 50,
        "breaker_failures": 8,
        "breaker_share": 0.5,
        "breaker_probe": 5.0,
        "breaker_probe_max": 60.0,
        "metrics": None,
        "log_level": "info",
        "log_format": "console",
        "log_addresses": "masked",
        "log_sent": False,
        "message_index": False,
        "config": None,
    }
    assert settings.policy() == RetryPolicy()
    assert settings.gate() == GatePolicy(region="eu-west-1")


def test_each_setting_is_read_from_its_variable(environment: Any) -> None:
    environment(
        **KEYS,
        AWS_SESSION_TOKEN=TOKEN,
        RQ_SES_REDIS_URL="rediss://:pw@redis.example:6380/2",
        RQ_SES_QUEUE="bulk",
        RQ_SES_RESULT_TTL="1",
        RQ_SES_FAILURE_TTL="2",
        RQ_SES_ENQUEUE_TIMEOUT="0.5",
        RQ_SES_BASE_URL="http://ses.internal:8080/x",
        RQ_SES_ALLOW_HTTP="true",
        RQ_SES_PROXY="http://u:p@proxy:3128",
        RQ_SES_TIMEOUT="2.5",
        RQ_SES_MIN_UPLOAD_RATE="100000",
        RQ_SES_CONCURRENCY="32",
        RQ_SES_RATE_LIMITED_DELAY="6",
        RQ_SES_TRANSIENT_DELAY="0.1",
        RQ_SES_BACKOFF="2",
        RQ_SES_MAX_DELAY="60",
        RQ_SES_MAX_ATTEMPTS="3",
        RQ_SES_GIVE_UP_AFTER="100",
        RQ_SES_LEASE="20",
        RQ_SES_ON_UNKNOWN="hold",
    )
    settings = load_worker_settings()
    assert settings.redis_url == "rediss://:pw@redis.example:6380/2"
    assert (settings.queue, settings.result_ttl, settings.failure_ttl) == ("bulk", 1, 2)
    assert settings.enqueue_timeout == 0.5
    assert (settings.concurrency, settings.lease) == (32, 20.0)
    assert settings.credentials().current() == Credentials("AKID", SECRET, TOKEN)
    assert settings.policy() == RetryPolicy(6.0, 0.1, 2.0, 60.0, 3, 100.0, "hold")
    client = settings.client()
    assert client.url == "http://ses.internal:8080/x/v2/email/outbound-emails"
    assert (client.region, client.timeout) == ("eu-west-1", Timeout(2.5, 100_000))


def test_the_region_has_two_names_of_which_the_first_counts(environment: Any) -> None:
    environment(**KEYS, AWS_DEFAULT_REGION="us-east-1")
    assert load_worker_settings().aws_region == "eu-west-1"
    environment(AWS_REGION="")
    assert load_worker_settings().aws_region == "us-east-1"


def test_an_empty_variable_counts_as_unset(environment: Any) -> None:
    environment(
        RQ_SES_QUEUE="",
        RQ_SES_REDIS_URL="",
        RQ_SES_TIMEOUT="",
        RQ_SES_CONFIG="",
        AWS_SESSION_TOKEN="",
        **KEYS,
    )
    settings = load_worker_settings()
    assert (settings.queue, settings.timeout, settings.aws_session_token) == ("mail", 5.0, None)


def test_options_win_over_the_environment_over_the_file(environment: Any, tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text(
        '[endpoints.transport]\ntype = "ses"\n[endpoints.transport.settings]\nregion = "us-east-1"\n'
        'access_key_id = "FILE"\nsecret_access_key = "${env.MY_SECRET}"\n'
        '[rq_ses]\nqueue = "file"\nconcurrency = 1\ntimeout = 7\nlease = 40'
    )
    environment(RQ_SES_CONFIG=str(path), MY_SECRET=SECRET, RQ_SES_QUEUE="environment", RQ_SES_CONCURRENCY="2")
    environment(AWS_DEFAULT_REGION="eu-west-1")
    settings = load_worker_settings(concurrency=3, lease=None)
    assert (settings.concurrency, settings.queue, settings.timeout, settings.lease) == (
        3,
        "environment",
        7.0,
        40.0,
    )
    assert settings.aws_region == "eu-west-1"
    assert settings.credentials().current() == Credentials("FILE", SECRET)
    assert load_worker_settings(aws_region="eu-north-1").aws_region == "eu-north-1"


def test_a_config_given_as_an_option_wins_over_the_variable(environment: Any, tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text('[rq_ses]\nqueue = "file"')
    environment(**KEYS, RQ_SES_CONFIG="/nowhere.toml")
    assert load_worker_settings(config=str(path)).queue == "file"
    assert worker_problems() == ("RQ_SES_CONFIG: '/nowhere.toml' cannot be read: No such file or directory",)


def test_a_dotenv_file_is_not_read(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("RQ_SES_QUEUE=dotenv\n")
    assert ProducerSettings().queue == "mail"


def test_what_is_missing_is_named_by_its_variable() -> None:
    assert worker_problems() == (
        "AWS_REGION: is not set: set it or AWS_DEFAULT_REGION, "
        "or give it in the file that RQ_SES_CONFIG names",
    )


def test_every_bad_setting_is_named_at_once(environment: Any, tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text(
        '[endpoints.transport]\ntype = "ses"\n[endpoints.transport.settings]\n'
        'access_key_id = "${env.NOPE_1}"\nsecret_access_key = "${env.NOPE_2}"\n'
        '[rq_ses]\nsurprise = 1\nmax_attempts = "many"'
    )
    bad = {
        "AWS_REGION": "nowhere",
        "RQ_SES_REDIS_URL": "redis://u:pw1@host:port/0",
        "RQ_SES_QUEUE": "a b",
        "RQ_SES_RESULT_TTL": "0",
        "RQ_SES_FAILURE_TTL": "-1",
        "RQ_SES_ENQUEUE_TIMEOUT": "nan",
        "RQ_SES_BASE_URL": "http://ses.internal",
        "RQ_SES_ALLOW_HTTP": "perhaps",
        "RQ_SES_PROXY": "socks5://u:pw2@proxy",
        "RQ_SES_CA_BUNDLE": "/nowhere.pem",
        "RQ_SES_TIMEOUT": "0",
        "RQ_SES_MIN_UPLOAD_RATE": "49999",
        "RQ_SES_CONCURRENCY": "1.5",
        "RQ_SES_RATE_LIMITED_DELAY": "-5",
        "RQ_SES_TRANSIENT_DELAY": "inf",
        "RQ_SES_BACKOFF": "0.5",
        "RQ_SES_MAX_DELAY": "x",
        "RQ_SES_GIVE_UP_AFTER": "0",
        "RQ_SES_LEASE": "0.5",
        "RQ_SES_ON_UNKNOWN": "drop",
    }
    environment(**bad, RQ_SES_CONFIG=str(path))
    problems = worker_problems()
    text = "\n".join(problems)
    named = set(bad) | {"NOPE_1", "NOPE_2", "rq_ses.surprise", "RQ_SES_MAX_ATTEMPTS"}
    assert [name for name in named if name not in text] == []
    assert len(problems) == len(named)
    assert "AWS_SECRET_ACCESS_KEY" not in text
    assert f"(in {path})" in text
    for secret in ("pw1", "pw2", TOKEN):
        assert secret not in text


def test_a_stock_rq_worker_lets_the_longest_exchange_end_whatever_the_settings(environment: Any) -> None:
    environment(**KEYS, RQ_SES_TIMEOUT="300", RQ_SES_MIN_UPLOAD_RATE="50000")
    settings = load_worker_settings()
    # Twice: the second time with SES's clock, or with new credentials.
    longest = 2 * (settings.timeout + 60_000_000 / settings.min_upload_rate)
    assert longest < contract.JOB_TIMEOUT


def test_a_base_url_needs_https_unless_http_is_allowed(environment: Any) -> None:
    environment(**KEYS, RQ_SES_BASE_URL="http://ses.internal")
    (problem,) = worker_problems()
    assert problem.startswith("RQ_SES_BASE_URL: base_url 'http://ses.internal' is not encrypted")
    environment(RQ_SES_ALLOW_HTTP="1")
    assert load_worker_settings().base_url == "http://ses.internal"
    assert (
        load_worker_settings(base_url="http://127.0.0.1:1", allow_http=False).base_url == "http://127.0.0.1:1"
    )


def test_true_is_not_a_number(environment: Any, tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text("[rq_ses]\nconcurrency = true\ntimeout = true")
    environment(**KEYS)
    assert len(worker_problems(config=str(path))) == 2


def test_an_unknown_option_is_refused() -> None:
    assert producer_problem(surprise=1) == "surprise: is not a setting: look for a misspelling (an option)"


@pytest.mark.parametrize(
    "url",
    [
        "redis://127.0.0.1:6379/0", "redis://h", "redis:///0", "redis://[::1]:6379/1", "rediss://u:p%40ss@h:1/2",
        "unix:///run/redis.sock?db=2", "unix://pw@/run/redis.sock", "redis://h?socket_timeout=3",
    ],
)  # fmt: skip
def test_a_servers_url_is_taken(url: str) -> None:
    assert load_producer_settings(redis_url=url).redis_url == url


@pytest.mark.parametrize(
    "url",
    ["redis://:pw@h:x", "redis://u:p@w:pw@h:x", "redis://u:pw/pw@h", "redis://:pw", "u:pw@h", "redis://h:1?password=pw",
     "redis://h?PASSWORD=pw&x=1", "http://u:pw@h", "redis://u:p w pw@h", "redis://u:pw#@h"],
)  # fmt: skip
def test_a_password_in_a_url_is_never_shown(url: str) -> None:
    assert "pw" not in masked(url)
    if url != "redis://h:1?password=pw":
        assert "pw" not in producer_problem(redis_url=url)


def test_a_url_of_another_type_is_not_shown() -> None:
    assert "pw" not in producer_problem(redis_url=["redis://:pw@h"])


@pytest.mark.parametrize("queue", ["mail", "a", "high-priority", "app:mail.v2", "A_9"])
def test_a_sane_name_of_a_queue_is_taken(queue: str) -> None:
    assert load_producer_settings(queue=queue).queue == queue


@pytest.mark.parametrize("queue", ["a b", "a/b", "ä", ":a", "a:", "-a", "a\n", "x" * 101, "<b>"])
def test_another_name_of_a_queue_is_refused(queue: str) -> None:
    assert producer_problem(queue=queue).startswith("RQ_SES_QUEUE: ")


def test_secrets_stay_out_of_repr_str_and_errors(environment: Any) -> None:
    environment(
        **KEYS, AWS_SESSION_TOKEN=TOKEN, RQ_SES_REDIS_URL="redis://:pw1@h", RQ_SES_PROXY="http://u:pw2@h"
    )
    settings = load_worker_settings()
    for text in (repr(settings), str(settings), repr(settings.client())):
        assert not [secret for secret in (SECRET, TOKEN, "pw1", "pw2") if secret in text]
    environment(AWS_SECRET_ACCESS_KEY=f"{SECRET}\n", RQ_SES_QUEUE="a b")
    assert SECRET not in "".join(worker_problems())
    with pytest.raises(ValidationError) as caught:
        WorkerSettings()
    assert SECRET not in str(caught.value)


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        ProducerSettings().queue = "other"  # type: ignore[misc]


def test_every_setting_is_described_with_its_variables() -> None:
    listed = {setting.name: setting for setting in describe(WorkerSettings)}
    assert listed.keys() == WorkerSettings.model_fields.keys()
    assert all(setting.meaning.endswith(".") for setting in listed.values())
    assert listed["aws_region"].variables == ("AWS_REGION", "AWS_DEFAULT_REGION")
    assert listed["aws_region"].required
    assert (listed["timeout"].variables, listed["timeout"].default) == (("RQ_SES_TIMEOUT",), 5.0)
    for setting in listed.values():
        if isinstance(setting.default, float) and setting.name not in ("backoff", "breaker_share"):
            assert setting.meaning.startswith("Seconds")


def test_the_gates_settings_are_read_from_their_variables(environment: Any) -> None:
    environment(
        **KEYS,
        RQ_SES_ACCOUNT="news",
        RQ_SES_MAX_SEND_RATE="2.5",
        RQ_SES_BREAKER_FAILURES="20",
        RQ_SES_BREAKER_SHARE="0.25",
        RQ_SES_BREAKER_PROBE="90",
    )
    assert load_worker_settings().gate() == GatePolicy("news", "eu-west-1", 2.5, 20, 0.25, 90.0, 90.0)
    assert load_worker_settings(max_send_rate="auto").gate().max_send_rate is None


@pytest.mark.parametrize("rate", ["fast", "0", "-1", "nan", "inf", "1e9", True])
def test_a_send_rate_that_is_none_is_named_with_the_remedy(environment: Any, rate: Any) -> None:
    environment(**KEYS)
    [problem] = worker_problems(max_send_rate=rate)
    assert problem.startswith("RQ_SES_MAX_SEND_RATE: ")
    assert "give auto, or recipients a second (0.01 to 1000000)" in problem


@pytest.mark.parametrize("name", ["a:b", "", "ä", "x" * 65, "a b"])
def test_an_accounts_name_that_is_none_is_named_with_the_remedy(environment: Any, name: str) -> None:
    environment(**KEYS)
    [problem] = worker_problems(account=name)
    assert problem.startswith("RQ_SES_ACCOUNT: ")
    assert "use 1-64 ASCII letters" in problem


def test_a_policy_has_one_set_of_defaults_wherever_it_is_built() -> None:
    bounds = fields(RetryPolicy)
    declared = {name: field.default for name, field in WorkerSettings.model_fields.items()}
    assert {one.name: declared[one.name] for one in bounds} == {one.name: one.default for one in bounds}
    audits = AuditSettings.model_fields
    assert {name: audits[name].default for name in ("on_unknown", "max_doubtful")} == {
        name: declared[name] for name in ("on_unknown", "max_doubtful")
    }
