from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.django_project.project import configure

configure()


@pytest.fixture(autouse=True)
def _queue(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RQ_SES_REDIS_URL", redis_url)


@pytest.fixture(autouse=True)
def _databases_are_closed() -> Iterator[None]:
    from django.db import connections

    yield
    connections.close_all()
