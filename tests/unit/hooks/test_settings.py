"""The settings of hooks: what is refused before a worker starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from rq_ses.errors import SettingsError
from rq_ses_worker.engine.process.hooks import telling_of
from rq_ses_worker.settings.worker import WorkerSettings, load_worker_settings

URL = "https://app.example.com/hook?token=tok3n"
SECRET = "0123456789abcdef"


def settings(monkeypatch: pytest.MonkeyPatch, **variables: str) -> WorkerSettings:
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    for name, value in variables.items():
        monkeypatch.setenv(f"RQ_SES_{name}", value)
    return load_worker_settings()


def test_by_default_nobody_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    found = settings(monkeypatch)
    assert found.outcomes_kept == 0
    assert telling_of(found) is None


def test_a_webhook_switches_outcomes_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text(f"{SECRET}\nelse\n")
    found = settings(monkeypatch, WEBHOOK_URL=URL, WEBHOOK_SECRET_FILE=str(file))
    assert found.outcomes_kept == 1_000_000
    assert found.webhook_key() == SECRET.encode()
    assert "tok3n" not in repr(found)
    telling = telling_of(found)
    assert telling
    assert telling.kept == 1_000_000


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"WEBHOOK_URL": URL}, "is not set, nor is RQ_SES_WEBHOOK_SECRET_FILE"),
        (
            {"WEBHOOK_URL": URL, "WEBHOOK_SECRET": SECRET, "WEBHOOK_SECRET_FILE": "x"},
            "is set, and so is RQ_SES_WEBHOOK_SECRET_FILE",
        ),
        ({"WEBHOOK_URL": URL, "WEBHOOK_SECRET": "short"}, "5 characters can be guessed"),
        ({"WEBHOOK_URL": URL, "WEBHOOK_SECRET_FILE": "/nowhere"}, "/nowhere can't be read: No such file"),
        ({"WEBHOOK_URL": "http://app.example.com/tok3n", "WEBHOOK_SECRET": SECRET}, "use https"),
        ({"OUTCOMES_MAX": "5"}, "OUTCOMES_MAX"),
    ],
)
def test_what_cannot_be_used_is_named_and_no_secret_is(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], words: str
) -> None:
    with pytest.raises(SettingsError, match=words) as refused:
        settings(monkeypatch, **variables)
    assert "tok3n" not in str(refused.value)
    assert SECRET not in str(refused.value)
