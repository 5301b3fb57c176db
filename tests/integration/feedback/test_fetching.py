"""The one GET that feedback makes: bounded, and never led elsewhere."""

from __future__ import annotations

import pytest

from rq_ses.feedback.fetching import LIMIT, NotFetched, fetch
from support.servers.ports import free_port
from support.servers.sockets import Server
from support.servers.standin import StandIn


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)


def test_what_is_there_is_fetched() -> None:
    with StandIn({"GET /x.pem": (200, b"x" * LIMIT)}) as server:
        assert fetch(f"{server.url}/x.pem") == b"x" * LIMIT


@pytest.mark.parametrize(
    ("status", "body", "why"),
    [
        (404, "no", "404"),
        (500, "", "500"),
        (204, "", "204"),
        (200, "x" * (LIMIT + 1), "longer than 65536 bytes"),
    ],
)
def test_what_cannot_be_had_is_told(status: int, body: str, why: str) -> None:
    with StandIn({"GET /": (status, body)}) as server, pytest.raises(NotFetched, match=why):
        fetch(f"{server.url}/")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(status: int) -> None:
    def lead_away(connection: object) -> None:
        head = f"HTTP/1.1 {status} Go\r\nLocation: {elsewhere.url}/\r\nContent-Length: 0\r\n\r\n"
        connection.recv(65_536)  # type: ignore[attr-defined]
        connection.sendall(head.encode())  # type: ignore[attr-defined]

    with StandIn({"GET /": (200, "here")}) as elsewhere, Server(lead_away) as server:
        with pytest.raises(NotFetched, match=str(status)):
            fetch(f"{server.url}/")
        assert elsewhere.asked == []


def test_a_server_that_is_away_or_speaks_no_http_is_told() -> None:
    with pytest.raises(NotFetched, match="refused"):
        fetch(f"http://127.0.0.1:{free_port()}/")
    with Server(lambda connection: connection.sendall(b"220 ready\r\n")) as server, pytest.raises(NotFetched):
        fetch(f"{server.url}/")
