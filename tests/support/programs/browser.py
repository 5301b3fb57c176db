"""A real Chromium for what only a browser can tell."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect, sync_playwright

from support.waiting import PATIENCE

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
_OPTIONS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
MILLISECONDS: Final = 1000 * PATIENCE


@contextmanager
def chromium() -> Iterator[Browser]:
    """Run the machine's Chromium until the block is left."""
    path = next(filter(None, map(shutil.which, _NAMES)), None)
    if path is None:
        pytest.fail("these tests need a Chromium: install the package chromium (make test does it)")
    expect.set_options(timeout=MILLISECONDS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=_OPTIONS)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def opened_context(browser: Browser, **options: Any) -> Iterator[BrowserContext]:
    """Open a profile whose pages reach this machine alone."""
    with browser.new_context(**options) as context:
        context.set_default_timeout(MILLISECONDS)
        context.route("**/*", _local_only)
        yield context


@contextmanager
def opened_page(browser: Browser) -> Iterator[Page]:
    """Open a page of a profile of its own, which reaches this machine alone."""
    with opened_context(browser) as context, context.new_page() as page:
        yield page


def _local_only(route: Route) -> None:
    if urlsplit(route.request.url).hostname == "127.0.0.1":
        route.continue_()
    else:
        route.abort()
