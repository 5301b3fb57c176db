"""A site's pages, while Redis takes mails and while it is away: they are answered all the same."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from redis import Redis

from support.django_project.site import site
from support.servers.sockets import Server, silent

REFERER = {"HTTP_REFERER": "http://testserver/from", "HTTP_HOST": "testserver"}
PAGES = [("/sends", 500), ("/fails", 500), ("/missing", 404)]


@pytest.fixture(scope="module")
def nobody() -> Iterator[str]:
    """The URL of a server that takes connections and says nothing: the slowest way of being away."""
    with Server(silent) as server:
        yield f"redis://127.0.0.1:{server.port}/0"


def test_errors_and_broken_links_are_mailed(redis: Redis, redis_url: str) -> None:
    with site(redis_url) as client:
        assert client.get("/sends").content == b"1"
        assert client.get("/fails").status_code == 500
        assert client.get("/missing", **REFERER).status_code == 404
    assert redis.llen("rq:queue:mail") == 3


@pytest.mark.parametrize(("page", "status"), PAGES)
def test_a_page_is_answered_while_redis_is_away(page: str, status: int, nobody: str) -> None:
    with site(nobody) as client:
        began = time.monotonic()
        assert client.get(page, **REFERER).status_code == status
        took = time.monotonic() - began
    # One wait for Redis, of a second; the error mail about it has a quarter more. A socket would wait 5 s.
    assert took < 4
