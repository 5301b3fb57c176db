"""An environment without AWS's settings, its shared files, and a place to ask."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.servers.standin import StandIn
from support.ses.identities import sts


@pytest.fixture(autouse=True)
def aws(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """An environment without AWS's settings, in which the caller sets some; no real metadata is asked."""
    for name in list(os.environ):
        if name.upper().startswith(("RQ_SES_", "AWS_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")

    def set_all(**variables: str) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return set_all


@pytest.fixture
def config(tmp_path: Path) -> Any:
    return _writer(tmp_path / ".aws" / "config")


@pytest.fixture
def shared(tmp_path: Path) -> Any:
    return _writer(tmp_path / ".aws" / "credentials")


def _writer(path: Path) -> Any:
    def write(text: str) -> Path:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(text.encode())
        return path

    return write


@pytest.fixture
def place() -> Iterator[StandIn]:
    with StandIn() as running:
        yield running


@pytest.fixture
def web(aws: Any, place: StandIn, tmp_path: Path) -> Any:
    (tmp_path / "web token").write_text("web.identity.token-of-the-tests\n")
    place.routes["POST /"] = sts
    aws(AWS_ENDPOINT_URL_STS=place.url)
    return aws
