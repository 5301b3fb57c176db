"""Where a worker's credentials come from, as its command line shows it."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path

from redis import Redis

from rq_ses.cli.terminal import exits
from rq_ses.outbox.outbox import Outbox
from rq_ses_worker.simulator.server import SimulatorServer
from support.mails.mail import mail
from support.programs.processes import KEY_ID, SECRET, TOKEN, environment, run, running
from support.servers.standin import StandIn
from support.waiting import wait_for


def without_keys(redis_url: str, ses: SimulatorServer, home: Path, **variables: str) -> dict[str, str]:
    return environment(
        **{
            "HOME": str(home),
            "RQ_SES_REDIS_URL": redis_url,
            "RQ_SES_BASE_URL": ses.url,
            "RQ_SES_BREAKER_PROBE": "0.2",
            "AWS_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            **variables,
        }
    )


def test_a_worker_without_any_credentials_says_where_it_looked_and_stops(
    redis_url: str, ses: SimulatorServer, tmp_path: Path
) -> None:
    for arguments in (["worker", "--burst"], ["worker", "--burst", "--processes", "2"]):
        done = run(arguments, without_keys(redis_url, ses, tmp_path))
        assert (done.returncode, done.stdout) == (exits.SETTINGS, "")
        for place in ("settings", "shared credentials file", "config file", "container", "EC2"):
            assert f"Error: AWS credentials: {place}" in done.stderr
        assert "Traceback" not in done.stderr


def test_a_profiles_process_signs_the_mails_and_the_log_names_it(
    redis: Redis, redis_url: str, ses: SimulatorServer, tmp_path: Path
) -> None:
    printed = tmp_path / "keys.json"
    script = tmp_path / "print.py"
    script.write_text("import sys; print(open(sys.argv[1]).read())")
    keys = {"Version": 1, "AccessKeyId": KEY_ID, "SecretAccessKey": SECRET, "SessionToken": TOKEN}
    printed.write_text(json.dumps(keys))
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "config").write_text(
        f"[profile mail]\ncredential_process = {shlex.join([sys.executable, str(script), str(printed)])}\n"
    )
    Outbox(redis_url).send(mail())
    env = without_keys(redis_url, ses, tmp_path, AWS_PROFILE="mail")
    done = run(["worker", "--burst"], env)
    assert done.returncode == exits.OK, done.stderr
    assert len(ses.mails) == 1
    assert f"credentials: credential_process of profile mail ({KEY_ID[:4]}…{KEY_ID[-4:]})" in done.stderr
    assert SECRET not in done.stderr
    assert TOKEN not in done.stderr


def test_a_worker_waits_for_a_place_that_is_away_and_loses_nothing(
    redis: Redis, redis_url: str, ses: SimulatorServer, tmp_path: Path
) -> None:
    with StandIn({"GET /": (503, "")}) as place:
        env = without_keys(redis_url, ses, tmp_path, AWS_CONTAINER_CREDENTIALS_FULL_URI=f"{place.url}/")
        Outbox(redis_url).send(mail())
        with running(["worker"], env, tmp_path / "log") as worker:
            wait_for(lambda: len(place.asked) >= 2)
            assert "container endpoint: it answered HTTP 503" in worker.output
            assert ses.mails == []
            place.routes["GET /"] = (
                200,
                {"AccessKeyId": KEY_ID, "SecretAccessKey": SECRET, "Token": TOKEN,
                 "Expiration": "2099-01-01T00:00:00Z"},
            )  # fmt: skip
            wait_for(lambda: len(ses.mails) == 1)
            assert worker.running
            assert "credentials are available again: container endpoint" in worker.output
            assert SECRET not in worker.output
