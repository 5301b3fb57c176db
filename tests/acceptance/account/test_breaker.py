"""A backlog against an SES that is out, and against an account that is paused: nothing of it is burnt."""

from __future__ import annotations

import json
import os
import re
import time
from pathlib import Path

import pytest
from redis import Redis

from rq_ses import Outbox
from rq_ses.gate import read_gate
from rq_ses.text.figures import figure
from rq_ses_worker.simulator.server import SimulatorServer
from support.mails.keys import KEYS
from support.mails.mail import mail
from support.programs.processes import KEY_ID, SECRET, TOKEN, run, running, worker_environment
from support.servers.outage import FickleSes, unavailable
from support.servers.ports import free_port
from support.waiting import wait_for

OUTAGE = float(os.environ.get("RQ_SES_OUTAGE_SECONDS", "0"))
"""Seconds for which SES is out, with the probes as they are by default; without it a few, with quick ones.

RQ_SES_OUTAGE_SECONDS=60 pytest tests/acceptance/account/test_breaker.py -k outage -rP
"""

QUICK = {"RQ_SES_BREAKER_PROBE": "0.3", "RQ_SES_BREAKER_PROBE_MAX": "2"}
CONCURRENCY = 16


def queued(redis: Redis) -> int:
    return int(redis.llen(KEYS.queue("mail")))


def count(redis: Redis, registry: str) -> int:
    return int(redis.zcard(KEYS.registry(registry, "mail")))


@pytest.mark.timeout(OUTAGE * 3 + 120)
def test_an_outage_costs_no_mail_and_few_requests(redis: Redis, redis_url: str, tmp_path: Path) -> None:
    mails = 2000
    port = free_port()
    env = worker_environment(redis_url, f"http://127.0.0.1:{port}", **({} if OUTAGE else QUICK))
    half = (OUTAGE or 5.0) / 2
    Outbox(redis_url).send_many([mail(f"user{n}@example.com") for n in range(mails)])
    with running(["worker"], env, tmp_path / "log") as worker:
        with unavailable(port) as asked:
            wait_for(lambda: read_gate(redis, "default", "us-east-1").breaker != "closed")
            gate = read_gate(redis, "default", "us-east-1")
            opened = gate.since or 0.0
            assert "failures in a row, the last: ServiceUnavailable: Service is unavailable" in gate.reason
            time.sleep(half)
        # From here on connections are refused.
        told = worker.output.count("probing with job")
        time.sleep(half)
        refused = worker.output.count("probing with job") - told
        assert count(redis, "failed") == 0
        with SimulatorServer(KEY_ID, SECRET, TOKEN, port=port) as ses:
            back = time.time()
            wait_for(lambda: read_gate(redis, "default", "us-east-1").breaker == "closed", within=OUTAGE + 10)
            noticed = time.time() - back
            wait_for(lambda: count(redis, "finished") == mails, within=60)
            assert len(ses.mails) == mails
        log = worker.output
    late = [moment for moment in asked if moment > opened]
    print(  # noqa: T201
        f"{len(asked) - len(late)} requests until it opened, {len(late)} and {refused} refused while it was "
        f"open, noticed {noticed:.1f} s after SES was back"
    )
    assert len(late) + refused <= 40
    assert refused >= 1
    assert count(redis, "failed") == 0
    assert re.search(
        r"breaker open: \d+ failures in a row, the last: ServiceUnavailable.*; next probe in", log
    )
    assert re.search(r"breaker closed after \d+ s", log)


OUTAGES = [
    (50, 1, "503"),
    (300, 1, "refused"),
    (1000, 1, "503"),
    (1000, 4, "503"),
    (1000, 4, "refused"),
]
"""Mails a second, processes, what SES does; with several an answer takes its time."""

THREADS = 24
"""Of all processes; one has half as many."""


def attempts_ever(redis: Redis) -> int:
    """Return how many attempts the mails remember that are not sent yet."""
    metas = [redis.hget(key, "meta") for key in redis.scan_iter(f"{KEYS.job_prefix}*", count=1000)]
    kept = [json.loads(meta) for meta in metas if meta]
    return sum(meta["attempts"] for meta in kept if "transient" in meta)


@pytest.mark.parametrize(("rate", "processes", "kind"), OUTAGES)
@pytest.mark.timeout(OUTAGE + 120)
def test_at_any_rate_an_outage_costs_few_requests(
    redis: Redis, redis_url: str, tmp_path: Path, rate: int, processes: int, kind: str
) -> None:
    lasting = OUTAGE or 1.5
    with FickleSes(latency=0.03 if processes > 1 else 0.0) as ses:
        env = worker_environment(redis_url, ses.url, RQ_SES_MAX_SEND_RATE=str(rate))
        addresses = [f"user{n}@example.com" for n in range(int(rate * 3 + 500))]
        Outbox(redis_url).send_many([mail(address) for address in addresses])
        threads = THREADS // processes if processes > 1 else THREADS // 2
        options = ["--processes", str(processes), "--concurrency", str(threads)]
        with running(["worker", *options], env, tmp_path / "log") as worker:
            wait_for(lambda: ses.taken >= rate, within=60)
            ses.out = True
            if kind == "refused":
                ses.vanish()
            wait_for(lambda: read_gate(redis, "default", "us-east-1").breaker != "closed")
            time.sleep(lasting)
            probes = worker.output.count("probing with job")
            worker.stop()
    asked = ses.refused if kind == "503" else attempts_ever(redis) + probes
    print(f"{rate}/s, {processes} × {threads} threads, {kind}: {asked} requests in {lasting:g} s")  # noqa: T201
    # Two probes fall into 20 s, and none into less than five.
    assert 8 <= asked <= (60 if OUTAGE else 58)
    assert count(redis, "failed") == 0


def test_a_paused_account_fails_what_is_in_flight_and_nothing_else(
    redis: Redis, redis_url: str, ses: SimulatorServer, worker_env: dict[str, str], tmp_path: Path
) -> None:
    mails = 500
    addresses = [f"user{n}@example.com" for n in range(mails)]
    for address in addresses[100:]:
        ses.faults.script(address, ["paused"])
    Outbox(redis_url).send_many([mail(address) for address in addresses])
    with running(["worker", "--concurrency", str(CONCURRENCY)], worker_env, tmp_path / "log") as worker:
        wait_for(lambda: "breaker open: SendingPausedException" in worker.output)
        wait_for(lambda: count(redis, "wip") == 0)
        failed = count(redis, "failed")
        assert 1 <= failed <= CONCURRENCY
        assert queued(redis) == mails - 100 - failed
        assert count(redis, "finished") == 100
        shown = json.loads(run(["breaker", "show", "--json"], worker_env).stdout)
        assert shown["breaker"] in ("open", "half-open")
        assert shown["reason"].startswith("SendingPausedException: ")

        ses.faults.clear()
        assert run(["breaker", "close"], worker_env).returncode == 0
        assert run(["resend", "--yes", "--code", "SendingPausedException"], worker_env).returncode == 0
        wait_for(lambda: count(redis, "finished") == mails)
        wait_for(lambda: "breaker closed after" in worker.output)
    assert sorted(m.recipients[0] for m in ses.mails) == sorted(addresses)


def test_a_breaker_opened_by_hand_stays_open_until_a_hand_closes_it(
    redis: Redis, redis_url: str, ses: SimulatorServer, worker_env: dict[str, str], tmp_path: Path
) -> None:
    with running(["worker"], {**worker_env, **QUICK}, tmp_path / "log") as worker:
        wait_for(lambda: "sending mails of" in worker.output)
        done = run(["breaker", "open", "--reason", "new <b>templates</b>"], worker_env)
        assert (done.returncode, done.stdout) == (0, "")
        wait_for(lambda: "breaker open: new ‹b›templates‹/b›; no probes until" in worker.output)
        job_id = Outbox(redis_url).send(mail()).job_id
        # A burst would never end.
        assert run(["worker", "--burst"], worker_env).returncode == 0
        assert ses.attempts == []
        assert queued(redis) == 1
        assert run(["breaker", "close"], worker_env).returncode == 0
        wait_for(lambda: redis.hget(KEYS.job(job_id), "status") == b"finished")


def gate(redis: Redis, account: str, region: str) -> None:
    redis.hset(KEYS.account(account, region), "state", "closed")


def test_the_breakers_command_says_how_the_gate_stands(
    redis: Redis, worker_env: dict[str, str], tmp_path: Path
) -> None:
    env = {**worker_env, "AWS_SECRET_ACCESS_KEY": "", "AWS_SESSION_TOKEN": ""}
    gate(redis, "default", "us-east-1")
    gate(redis, "other", "eu-west-3")
    assert "closed" in run(["breaker", "show"], env).stdout
    assert run(["breaker", "close"], env).stderr == "the breaker of default in us-east-1 was closed already\n"
    of_other = ["--account", "other", "--region", "eu-west-3"]
    assert run(["breaker", "open", *of_other], env).returncode == 0
    shown = run(["breaker", "show", *of_other], env).stdout
    assert re.search(r"breaker +open, by hand", shown)
    assert json.loads(run(["breaker", "show", "--json"], env).stdout)["breaker"] == "closed"
    config = tmp_path / "rq-ses.toml"
    config.write_text(
        '[endpoints.transport]\ntype = "ses"\n[endpoints.transport.settings]\n'
        'region = "eu-west-3"\nsecret_access_key = "${env.NOT_SET}"\n[rq_ses]\naccount = "other"\n'
    )
    del env["AWS_REGION"]
    shown = json.loads(run(["breaker", "show", "--json", "--config", str(config)], env).stdout)
    assert (shown["account"], shown["region"]) == ("other", "eu-west-3")
    done = run(["breaker", "show", "--region", "a b"], env)
    assert done.returncode == 3
    assert "is not the name of a region" in done.stderr
    done = run(["breaker", "show", "--region", "x", "--redis-url", "redis://127.0.0.1:1"], env)
    assert (done.returncode, done.stdout) == (4, "")
    redis.set(KEYS.account("default", "us-east-1"), "text")
    done = run(["breaker", "show"], worker_env)
    assert (done.returncode, done.stdout) == (4, "")
    assert "WRONGTYPE" in done.stderr
    assert "did not answer" not in done.stderr


@pytest.mark.parametrize("command", [["open"], ["close"], ["show"], ["show", "--json"]])
def test_a_gate_that_is_not_there_is_refused_with_those_that_are(
    command: list[str], redis: Redis, worker_env: dict[str, str]
) -> None:
    def refused(*options: str, **variables: str) -> str:
        done = run(["breaker", *command, *options], {**worker_env, **variables})
        assert (done.returncode, done.stdout) == (3, "")
        assert len(done.stderr.splitlines()) == 1
        return done.stderr

    assert "there is none in this Redis: check RQ_SES_REDIS_URL, or start a worker" in refused()
    gate(redis, "default", "eu-west-1")
    gate(redis, "shop", "eu-north-1")
    before = redis.keys()
    there = "one that there is: default in eu-west-1, shop in eu-north-1"
    assert (
        f"no worker has gone by the account default in us-east-1 here: give --account and --region of {there}"
        in (refused())
    )
    assert f"shop in eu-west-1 here: give --account and --region of {there}" in (
        refused("--account", "shop", "--region", "eu-west-1")
    )
    assert (
        f"AWS_REGION: is not set, and several accounts could be meant: give --account and --region of {there}"
        in (refused(AWS_REGION=""))
    )
    assert "AWS_REGION: is not set, and no account could be meant" in refused("--account", "x", AWS_REGION="")
    assert sorted(redis.keys()) == sorted(before)


def test_without_a_region_the_only_gate_is_taken_and_told(
    redis: Redis, worker_env: dict[str, str], tmp_path: Path
) -> None:
    env = {**worker_env, "AWS_REGION": "", "HOME": str(tmp_path)}
    gate(redis, "shop", "eu-north-1")
    done = run(["breaker", "open", "--reason", "x"], env)
    assert done.stderr == (
        "no region is set: taking the only account there is, shop in eu-north-1\n"
        "the breaker of shop in eu-north-1 is open: nothing is sent until it is closed\n"
    )
    assert read_gate(redis, "shop", "eu-north-1").manual
    gate(redis, "news", "eu-west-1")
    shown = json.loads(run(["breaker", "show", "--json", "--account", "shop"], env).stdout)
    assert (shown["region"], shown["breaker"]) == ("eu-north-1", "open")
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "config").write_text(
        "[default]\nregion = us-east-2\n[profile mail]\nregion = eu-west-1\n"
    )
    shown = json.loads(
        run(["breaker", "show", "--json", "--account", "news"], {**env, "AWS_PROFILE": "mail"}).stdout
    )
    assert shown["region"] == "eu-west-1"


def test_a_gate_that_a_worker_names_is_there_before_any_mail(
    redis: Redis, worker_env: dict[str, str], tmp_path: Path
) -> None:
    with running(["worker", "--account", "fresh"], worker_env, tmp_path / "log") as worker:
        wait_for(lambda: "sending mails of" in worker.output)
        redis.delete(KEYS.account("fresh", "us-east-1"))
        done = run(["breaker", "open", "--account", "fresh"], worker_env)
        assert (done.returncode, done.stdout) == (0, "")
        wait_for(lambda: "breaker open: " in worker.output)


def test_rates_and_quotas_are_written_as_people_do(redis: Redis, worker_env: dict[str, str]) -> None:
    assert [figure(rate) for rate in (1_000_000.0, 14.0, 0.05, 13.3333333, 2.5, 100.0, 1234567.5)] == [
        "1,000,000", "14", "0.05", "13.3333", "2.5", "100", "1,234,568",
    ]  # fmt: skip
    gate(redis, "default", "us-east-1")
    assert "not known: SES hasn't told it" in run(["breaker", "show"], worker_env).stdout


def test_a_status_says_of_a_gate_that_nobody_has_gone_by_that_it_is_so(
    redis: Redis, worker_env: dict[str, str]
) -> None:
    shown = run(["status", "--sample", "0", "--region", "eu-west-9"], worker_env).stdout
    assert "no worker has gone by it yet (see --account and --region)" in shown
