"""HTTP over requests' adapter and urllib3: one deadline, one TLS context, nothing from the environment.

The adapter is used without a Session: no netrc, no proxies or CA bundles from the environment, no redirects,
no cookies, and a fraction of a Session's cost for each request.
"""

from __future__ import annotations

import queue
import ssl
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from importlib.metadata import version
from typing import Any, Final

import urllib3
from requests import PreparedRequest, Response
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPResponse, HTTPSConnectionPool
from urllib3.exceptions import ProxyError
from urllib3.util import parse_url

from rq_ses_worker.ses.wire.connection import DeadlineHTTPConnection, DeadlineHTTPSConnection, WholeAnswer
from rq_ses_worker.ses.wire.route import Proxy

UNTIMED: Final[Any] = urllib3.Timeout()
"""For `EndpointAdapter.send`, which goes by the exchange's deadline: so none is made for each request."""


class _Idle:
    """The connections that nobody uses, the one used last on top.

    urllib3's own takes locks for each exchange; of a list, append and pop are atomic anyhow.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._connections: list[Any] = []

    def put(self, connection: Any, *, block: bool = True) -> None:  # noqa: ARG002 - nobody waits for room
        """Leave a connection here, or None for one that is yet to be made. Raises queue.Full."""
        if len(self._connections) >= self._most:
            raise queue.Full
        self._connections.append(connection)

    def get(self, *, block: bool = False, timeout: float | None = None) -> Any:  # noqa: ARG002
        """Take one. Raises queue.Empty."""
        try:
            return self._connections.pop()
        except IndexError:
            raise queue.Empty from None

    def qsize(self) -> int:
        """Return how many there are."""
        return len(self._connections)


class _HTTPPool(HTTPConnectionPool):
    """Connections of which each exchange takes one; nothing is tried twice and no redirect is followed."""

    ConnectionCls = DeadlineHTTPConnection  # type: ignore[assignment]
    QueueCls = _Idle  # type: ignore[assignment]

    def urlopen(  # type: ignore[override]
        self, method: str, url: str, body: bytes, headers: Mapping[str, str], **_: Any
    ) -> WholeAnswer | HTTPResponse:
        """Make one exchange; a connection that fails in it is closed, and replaced when it is needed."""
        connection: Any = self._get_conn()
        try:
            if self.proxy is not None:
                headers = self._prepared_for_proxy(connection, url, headers)
            answer = _asked(connection, method, url, body, headers)
        except BaseException as exc:
            connection.close()
            self._put_conn(connection)
            if (
                self.proxy is not None
                and not connection.has_connected_to_proxy
                and isinstance(exc, Exception)
            ):
                raise ProxyError("no connection to the proxy", exc) from exc
            raise
        if isinstance(answer, HTTPResponse):
            # Its body is still to come: whoever reads it gives the connection back.
            answer._connection, answer._pool = connection, self
        else:
            self._put_conn(connection)
        return answer

    def close_idle(self) -> None:
        """Close the connections that nobody uses; each is made anew when its turn comes."""
        waiting = self.pool
        if waiting is None:
            return
        taken = []
        with suppress(queue.Empty):
            while True:
                taken.append(waiting.get(block=False))
        for connection in reversed(taken):
            if connection is not None:
                connection.close()
            with suppress(queue.Full):
                waiting.put(connection)

    def _prepared_for_proxy(
        self, connection: Any, target: str, headers: Mapping[str, str]
    ) -> Mapping[str, str]:
        # An absolute target is forwarded by the proxy (RFC 9112, section 3.2.2). The pool's scheme doesn't
        # tell: it is that of the proxy, then.
        if target.startswith("http://"):
            return {**headers, **self.proxy_headers}
        if connection.is_closed:
            self._prepare_proxy(connection)
        return headers


def _asked(
    connection: Any, method: str, url: str, body: bytes, headers: Mapping[str, str]
) -> WholeAnswer | HTTPResponse:
    answer: WholeAnswer | HTTPResponse | None
    try:
        connection.request(method, url, body, headers)
    except OSError:
        answer = connection.early_refusal()
        if answer is None:
            raise
    else:
        answer = connection.answer()
    return answer


class _HTTPSPool(_HTTPPool, HTTPSConnectionPool):
    """The same over TLS."""

    ConnectionCls = DeadlineHTTPSConnection  # type: ignore[assignment]


_POOLS: Final = {"http": _HTTPPool, "https": _HTTPSPool}


@cache
def user_agent() -> str:
    """Return what every request names as its sender: rq-ses and its version."""
    return f"rq-ses/{version('rq-ses')}"


def prepared(method: str, url: str, headers: dict[str, str], body: bytes) -> PreparedRequest:
    """Return a request that is sent as it stands.

    Each header's name must be written in one way: requests' own mapping, which any way will do for, costs as
    much as signing.
    """
    request = PreparedRequest()
    request.method = method
    request.url = url
    request.headers = headers  # type: ignore[assignment]
    request.body = body
    return request


class EndpointAdapter(HTTPAdapter):
    """Send requests to one server, most of them to one URL; all threads share its kept-alive connections."""

    def __init__(self, url: str, pool_size: int, context: ssl.SSLContext, proxy: Proxy | None) -> None:
        self._pool_size = pool_size
        self._context = context
        self._proxy = proxy
        super().__init__(pool_connections=1, pool_maxsize=pool_size, max_retries=0, pool_block=False)
        manager = self.proxy_manager_for(proxy.url) if proxy else self.poolmanager
        parsed = parse_url(url)
        self._url = url
        self._target = url if proxy and parsed.scheme == "http" else parsed.request_uri
        self._pool: _HTTPPool = manager.connection_from_url(url)

    def anew(self) -> EndpointAdapter:
        """Return an adapter to the same server by the same way, without connections so far."""
        return EndpointAdapter(self._url, self._pool_size, self._context, self._proxy)

    def close(self) -> None:
        """Close the idle connections, and those in use when they are given back."""
        self._pool.close()

    def close_idle(self) -> None:
        """Close the connections that are idle; the pool keeps their places."""
        self._pool.close_idle()

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **options: Any) -> None:
        """Make the pools of direct connections."""
        super().init_poolmanager(connections, maxsize, block, ssl_context=self._context, **options)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        """Make the pools of connections through the proxy."""
        manager = super().proxy_manager_for(
            proxy, ssl_context=self._context, proxy_ssl_context=self._context, **options
        )
        manager.pool_classes_by_scheme = _POOLS
        return manager

    def proxy_headers(self, proxy: str) -> dict[str, str]:  # noqa: ARG002
        """Return the proxy's credentials, which its URL doesn't hold here."""
        return dict(self._proxy.headers) if self._proxy else {}

    def get_connection_with_tls_context(self, *_: Any, **__: Any) -> HTTPConnectionPool:
        """Return the one pool there is."""
        return self._pool

    def cert_verify(self, *_: Any, **__: Any) -> None:
        """Leave the pool's TLS context alone: it verifies already, and loading CAs costs 20 ms."""

    def request_url(self, request: PreparedRequest, *_: Any, **__: Any) -> str:
        """Return the target as it stands in the request's first line, which is the path as signed."""
        if request.url == self._url:
            return self._target
        # Another path of the same server.
        return request.url or "" if self._target == self._url else parse_url(request.url or "").request_uri

    def build_response(  # type: ignore[override]
        self, req: PreparedRequest, resp: WholeAnswer | HTTPResponse
    ) -> Response | WholeAnswer:
        """Return the answer without looking for cookies; a whole one needs nothing around it."""
        if isinstance(resp, WholeAnswer):
            return resp
        response = Response()
        response.status_code = resp.status
        response.headers = resp.headers  # type: ignore[assignment]
        response.raw = resp
        response.reason = resp.reason or ""
        response.url = req.url or ""
        response.request = req
        return response
