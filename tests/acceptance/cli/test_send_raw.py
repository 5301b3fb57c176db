"""`rq-ses send --raw`, and the options that both kinds of mail take."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner
from redis import Redis

from rq_ses import RawMessage
from rq_ses.cli import main
from support.mails.mail import ODD, mail
from support.programs.send_command import MAIL, jobs, task

ARN = "arn:aws:ses:eu-west-1:123456789012:identity/example.com"
TERMS = (
    *("--tag", "kind=bill", "--configuration-set", "prod", "--from-email-arn", ARN, "--tenant", "shop"),
    *("--feedback-to", "bounces@example.com", "--feedback-arn", ARN, "--contact-list", "news"),
    *("--topic", "weekly", "--no-track-opens", "--track-clicks"),
)
FIELDS = {
    "tags": {"kind": "bill"},
    "configuration_set": "prod",
    "from_email_arn": ARN,
    "tenant": "shop",
    "feedback_to": "bounces@example.com",
    "feedback_arn": ARN,
    "list_management": {"contact_list": "news", "topic": "weekly"},
    "configuration_overrides": {"open_tracking": False, "click_tracking": True},
}


def test_a_file_is_sent_byte_for_byte_with_all_that_stands_beside_it(
    redis: Redis, env: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "mail.eml").write_bytes(ODD)
    for source, given in ((str(tmp_path / "mail.eml"), None), ("-", ODD)):
        options = ["send", "--raw", source, "--to", "a@example.com", "--to", "b@example.com", *TERMS]
        done = CliRunner().invoke(main, options, env=env, input=given)
        assert (done.exit_code, done.stderr) == (0, "")
        assert task(redis, done.stdout.strip()).message == RawMessage(
            data=ODD, to=["a@example.com", "b@example.com"], **FIELDS
        )


def test_the_terms_of_a_mail_reach_it(redis: Redis, env: dict[str, str]) -> None:
    options = [option for option in TERMS if option not in ("--contact-list", "news", "--topic", "weekly")]
    done = CliRunner().invoke(main, ["send", *MAIL, *options, "--unsubscribe", "https://ex.com/u"], env=env)
    assert (done.exit_code, done.stderr) == (0, "")
    fields = {**FIELDS, "list_management": None, "unsubscribe": "https://ex.com/u"}
    assert task(redis, done.stdout.strip()).message == mail(**fields)


def test_what_is_no_mail_is_refused_by_the_option(redis: Redis, env: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "text").write_text("Hello")
    for options, problem in (
        (["--raw", str(tmp_path / "text"), "--to", "a@example.com"], "--raw: has no blank line after its"),
        (["--raw", str(tmp_path / "none"), "--to", "a@example.com"], "none' can't be read: No such file"),
        (["--raw", "/dev/zero", "--to", "a@example.com"], "--raw: has 31457281 bytes, in base64 more than"),
        (["--raw", str(tmp_path / "text")], "--to: is missing: give it"),
        (["--raw", str(tmp_path / "text"), "--cc", "a@example.com"], "--raw takes a whole mail: drop --cc"),
    ):
        done = CliRunner().invoke(main, ["send", *options], env=env)
        assert (done.exit_code, done.stdout) == (2, "")
        assert problem in done.stderr
    assert jobs(redis) == 0
