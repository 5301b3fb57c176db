"""What `rq-ses smtp hash-password` prints, and which settings are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from rq_ses.errors import SettingsError
from rq_ses_worker.settings.smtp import MOST_BYTES, load_smtp_settings
from rq_ses_worker.smtp.access.users import parse_user
from rq_ses_worker.smtp.command import smtp
from rq_ses_worker.smtp.content import read_content
from rq_ses_worker.smtp.jobs import Mail, jobs_of

TYPED = "correct horse\n"


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RQ_SES_SMTP_USERS", "RQ_SES_SMTP_LISTEN", "RQ_SES_SMTP_NETWORKS", "RQ_SES_CONFIG"):
        monkeypatch.delenv(name, raising=False)


def hashed(*arguments: str, typed: str = TYPED) -> tuple[int, str]:
    with CliRunner().isolation(input=typed) as (out, _, _):
        try:
            smtp.main(["hash-password", *arguments], standalone_mode=False)
            code = 0
        except click.UsageError as exc:
            code = exc.exit_code
        return code, out.getvalue().decode()


def test_a_line_of_the_file_of_users_is_made_of_what_is_typed() -> None:
    code, line = hashed("shop", "--headers", "--senders", "a.example, b@c.example")
    assert code == 0
    user = parse_user(line)
    assert (user.name, user.headers, user.senders) == ("shop", True, {"a.example", "b@c.example"})
    assert user.password.matches(b"correct horse")
    assert "horse" not in line


@pytest.mark.parametrize(
    ("arguments", "typed"),
    [
        (("shop",), "short\n"),
        (("shop",), ""),
        (("two words",), TYPED),
        (("#shop",), TYPED),
        (("shop", "--senders", "nowhere"), TYPED),
    ],
)
def test_what_makes_no_line_prints_none(arguments: tuple[str, ...], typed: str) -> None:
    assert hashed(*arguments, typed=typed) == (2, "")


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"smtp_listen": "0.0.0.0:25"}, "RQ_SES_SMTP_LISTEN: 0.0.0.0:25 is reached from other machines"),
        ({"smtp_listen": "[::]:25"}, "RQ_SES_SMTP_LISTEN: [::]:25 is reached from other machines"),
        ({"smtp_listen": "mail.internal:25"}, "is reached from other machines, but nobody there may send"),
        ({"smtp_listen": "0.0.0.0:25", "smtp_networks": "none"}, "nobody may send: set either"),
        ({"smtp_listen": "0.0.0.0:25", "smtp_users": __file__}, "there needs STARTTLS: set"),
        ({"smtp_listen": "everywhere"}, "RQ_SES_SMTP_LISTEN: 'everywhere' is not where to listen"),
        ({"smtp_networks": "none"}, "and RQ_SES_SMTP_USERS is not set, so nobody may send"),
        ({"smtp_networks": "192.0.2.9/24"}, "'192.0.2.9/24' is no network: give 192.0.2.0/24"),
        ({"smtp_networks": "192.0.2.9/0"}, "'192.0.2.9/0' is no network: give addresses or"),
        ({"smtp_networks": "nets"}, "'nets' is no network: give addresses or networks such as 10.1.0.0/16"),
        ({"smtp_networks": "0.0.0.0/0,::/0"}, "RQ_SES_SMTP_NETWORKS: 0.0.0.0/0 is everybody"),
        ({"smtp_users": "/nowhere"}, "RQ_SES_SMTP_USERS: '/nowhere' can't be read: No such file"),
        ({"smtp_key": __file__}, "RQ_SES_SMTP_KEY: is set, but RQ_SES_SMTP_CERTIFICATE is not: set both"),
        ({"smtp_senders": "nowhere"}, "RQ_SES_SMTP_SENDERS: 'nowhere' is neither an address nor a domain"),
        ({"smtp_max_size": 99}, "RQ_SES_SMTP_MAX_SIZE: 99 cannot be used"),
    ],
)  # fmt: skip
def test_what_would_be_an_open_relay_or_nothing_at_all_is_refused(
    settings: dict[str, Any], problem: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        load_smtp_settings(**settings)
    assert problem in "; ".join(caught.value.problems)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"smtp_listen": "[::1]:25"},
        {"smtp_listen": "localhost:25"},
        {"smtp_listen": "0.0.0.0:25", "smtp_networks": "10.0.0.0/8"},
        {"smtp_listen": "0.0.0.0:25", "smtp_users": __file__, "smtp_certificate": __file__},
    ],
)
def test_what_serves_somebody_in_particular_is_taken(settings: dict[str, Any]) -> None:
    assert load_smtp_settings(**settings).smtp_max_recipients == 1000


def test_the_largest_mail_with_our_header_is_one_that_ses_takes() -> None:
    body = b"From: ann@example.com\r\n\r\n"
    body += (MOST_BYTES - len(body)) // 72 * (70 * b"x" + b"\r\n")
    [job] = jobs_of(
        Mail.of(read_content(body), "ann@example.com", ["ben@example.org"], "ESMTPSA"), "mail", 0.0
    )
    assert MOST_BYTES < len(job.message.data) < MOST_BYTES + 200  # type: ignore[union-attr]


def test_a_file_may_hold_lists_and_leaves_the_worker_alone(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text(
        '[rq_ses]\nsmtp_networks = ["10.0.0.0/8", "::1"]\nsmtp_senders = ["example.com"]\nconcurrency = 3\n'
    )
    settings = load_smtp_settings(config=str(config))
    assert [str(network) for network in settings.networks] == ["10.0.0.0/8", "::1/128"]
    assert settings.senders == {"example.com"}
