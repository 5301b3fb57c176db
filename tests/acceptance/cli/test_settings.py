"""Settings as the commands take them: nothing that was set is passed over in silence."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from redis import Redis

from rq_ses import Outbox, SettingsError
from rq_ses.cli import main
from rq_ses.cli.sendmail import exits as sendmail_exits
from rq_ses_worker.simulator.server import SimulatorServer
from support.mails.mail import mail
from support.programs.processes import KEY_ID, SECRET, TOKEN, environment, run

COMMANDS = sorted(main.list_commands(click.Context(main)))


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_refuses_an_unknown_variable_before_anything_else(command: str) -> None:
    env = environment(
        RQ_SES_CONCURENCY="32", RQ_SES_QUEU="news", RQ_SES_REDIS_URL="redis://127.0.0.1:1", RQ_SES_TIMOUT=""
    )
    done = run([command], env)
    code = sendmail_exits.SETTINGS if command == "sendmail" else 3
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.splitlines() == [
        "Error: RQ_SES_CONCURENCY is not a setting: did you mean RQ_SES_CONCURRENCY?",
        "Error: RQ_SES_QUEU is not a setting: did you mean RQ_SES_QUEUE?",
    ]


def test_help_is_given_all_the_same() -> None:
    done = run(["breaker", "show", "--help"], environment(RQ_SES_CONCURENCY="32"))
    assert (done.returncode, done.stderr) == (0, "")


def test_the_workers_first_line_names_the_host_that_mails_go_to(
    redis: Redis, worker_env: dict[str, str], ses: SimulatorServer
) -> None:
    host = ses.url.removeprefix("http://")
    done = run(["worker", "--burst"], worker_env)
    first, *_ = done.stderr.splitlines()
    assert f"mails go to {host}, given by RQ_SES_BASE_URL, signed for us-east-1" in first
    url = worker_env.pop("RQ_SES_BASE_URL")
    done = run(["worker", "--burst"], {**worker_env, "AWS_ENDPOINT_URL": url})
    assert f"mails go to {host}, given by AWS_ENDPOINT_URL, signed for us-east-1" in done.stderr
    done = run(["doctor", "--no-dns"], {**worker_env, "AWS_ENDPOINT_URL": url})
    assert f"mails go to {host}, which AWS_ENDPOINT_URL gives" in " ".join(done.stdout.split())


def test_mails_go_to_the_address_that_aws_names(
    redis: Redis, redis_url: str, worker_env: dict[str, str], ses: SimulatorServer
) -> None:
    url = worker_env.pop("RQ_SES_BASE_URL")
    Outbox(redis_url).send(mail())
    done = run(["worker", "--burst"], {**worker_env, "AWS_ENDPOINT_URL_SESV2": url, "AWS_ENDPOINT_URL": "x"})
    assert done.returncode == 0, done.stderr
    assert len(ses.mails) == 1


def test_the_log_level_is_taken_from_the_environment(redis: Redis, worker_env: dict[str, str]) -> None:
    done = run(["worker", "--burst"], {**worker_env, "RQ_SES_LOG_LEVEL": "error"})
    assert (done.returncode, done.stderr) == (0, "")
    done = run(["worker", "--burst", "--log-level", "info"], {**worker_env, "RQ_SES_LOG_LEVEL": "error"})
    assert "sending mails of" in done.stderr


def test_a_token_left_over_in_the_shell_spoils_no_mail_of_the_files_key(
    redis: Redis, redis_url: str, tmp_path: Path
) -> None:
    path = tmp_path / "rq-ses.toml"
    with SimulatorServer(KEY_ID, SECRET) as ses:
        path.write_text(
            '[endpoints.transport]\ntype = "ses"\n[endpoints.transport.settings]\nregion = "us-east-1"\n'
            f'access_key_id = "{KEY_ID}"\nsecret_access_key = "{SECRET}"\nbase_url = "{ses.url}"\n'
        )
        env = environment(RQ_SES_REDIS_URL=redis_url, RQ_SES_CONFIG=str(path), AWS_SESSION_TOKEN=TOKEN)
        Outbox(redis_url).send(mail())
        done = run(["worker", "--burst"], env)
        assert done.returncode == 0, done.stderr
        assert len(ses.mails) == 1
        assert f"not used, since the key comes from the file {path}: AWS_SESSION_TOKEN" in done.stderr
        said = " ".join(run(["doctor", "--no-dns"], env).stdout.split())
        assert f"from the file {path}: {KEY_ID[:4]}" in said
        assert f"not used, since the key comes from the file {path}: AWS_SESSION_TOKEN" in said
        assert TOKEN not in done.stderr + said


def test_an_app_and_a_worker_take_the_same_queue_from_the_environment(
    redis: Redis, redis_url: str, worker_env: dict[str, str], ses: SimulatorServer,
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
) -> None:  # fmt: skip
    path = tmp_path / "rq-ses.toml"
    path.write_text('[rq_ses]\nqueue = "news"\nresult_ttl = 120\nenqueue_timeout = 1.5\nconcurrency = 4\n')
    monkeypatch.setenv("RQ_SES_REDIS_URL", redis_url)
    monkeypatch.setenv("RQ_SES_CONFIG", str(path))
    outbox = Outbox.from_env()
    assert outbox.queue == "news"
    job_id = outbox.send(mail()).job_id
    assert redis.lrange("rq:queue:news", 0, -1) == [job_id.encode()]
    assert redis.hget(f"rq:job:{job_id}", "result_ttl") == b"120"
    assert run(["worker", "--burst"], {**worker_env, "RQ_SES_CONFIG": str(path)}).returncode == 0
    assert len(ses.mails) == 1
    monkeypatch.setenv("RQ_SES_QUEUE", "urgent")
    assert Outbox.from_env().queue == "urgent"
    assert Outbox.from_env(queue="mine").queue == "mine"
    with pytest.raises(SettingsError, match="RQ_SES_QUEUE: 'a b' is not the name"):
        Outbox.from_env(queue="a b")


def test_an_outbox_without_anything_points_to_the_environment() -> None:
    with pytest.raises(ValueError, match=r"let Outbox\.from_env\(\) read RQ_SES_REDIS_URL"):
        Outbox()


@pytest.mark.parametrize(
    ("options", "variables", "said"),
    [
        (["--session-token", "t"], {}, "--session-token needs --access-key-id"),
        ([], {"RQ_SES_SIMULATOR_ACCESS_KEY_ID": "A", "AWS_SECRET_ACCESS_KEY": "b"}, "the key comes from RQ_"),
        ([], {"RQ_SES_SIMULATOR_ACCESS_KEY_ID": "A"}, "go together: give both or neither"),
    ],
)
def test_the_simulator_refuses_a_part_of_a_key(
    options: list[str], variables: dict[str, str], said: str
) -> None:
    done = run(["simulator", "--port", "0", *options], environment(**variables))
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
