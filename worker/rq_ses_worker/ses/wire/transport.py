"""HTTP over requests' adapter and urllib3: one deadline, one TLS context, nothing from the environment.

The adapter is used without a Session: no netrc, no proxies or CA bundles from the environment, no redirects,
no cookies, and a fraction of a Session's cost for each request.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

from requests import PreparedRequest, Response
from requests.adapters import HTTPAdapter
from requests.utils import DEFAULT_CA_BUNDLE_PATH
from urllib3 import HTTPConnectionPool, HTTPResponse, HTTPSConnectionPool
from urllib3.exceptions import ProxyError
from urllib3.util import make_headers, parse_url

from rq_ses_worker.ses.endpoint import masked, plain_url
from rq_ses_worker.ses.wire.connection import DeadlineHTTPConnection, DeadlineHTTPSConnection, WholeAnswer
from rq_ses_worker.ses.wire.deadline import DeadlineSSLSocket

_HASHED: Final = re.compile(r"[0-9a-f]{8}\.[0-9]+")
"""Names under which OpenSSL looks for a certificate."""


class Proxy:
    """Hold a proxy's address and, apart from it, its password.

    Raises ValueError, the password masked, if `url` is not an http or https URL of a server.
    """

    def __init__(self, url: str) -> None:
        scheme, separator, rest = url.partition("://")
        userinfo, at, server = rest.rpartition("@")
        if not separator or scheme.lower() not in ("http", "https"):
            raise ValueError(f"proxy {masked(url)!r} is not a URL: use one like http://host:port")
        parsed = plain_url("proxy", f"{scheme}://{server}")
        if parsed.path not in (None, "", "/"):
            raise ValueError(f"proxy {masked(url)!r} has a path: use one like http://host:port")
        self.url = parsed._replace(path=None).url
        self.headers: dict[str, str] = {}
        self.secrets: tuple[str, ...] = ()
        """What must never be shown: the password, and the header that holds it."""
        if at:
            user, _, password = userinfo.partition(":")
            try:
                basic = make_headers(basic_auth=f"{unquote(user)}:{unquote(password)}")
            except UnicodeError:
                # Not chained: the cause repeats the password.
                raise ValueError(f"proxy {masked(url)!r}: its password is not Latin-1 text") from None
            self.headers = {"Proxy-Authorization": basic["authorization"]}
            self.secrets = (unquote(password), basic["authorization"].removeprefix("Basic "))

    def __repr__(self) -> str:
        return f"Proxy({self.url!r})"


def tls_context(ca_bundle: str | None) -> ssl.SSLContext:
    """Return the context of all connections: certificates and host names are always verified.

    Raises ValueError if `ca_bundle`, a file or directory of CA certificates in PEM, can't be loaded.
    """
    # Not ssl.create_default_context: it reads SSLKEYLOGFILE, SSL_CERT_FILE and SSL_CERT_DIR.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.sslsocket_class = DeadlineSSLSocket
    if ca_bundle is None:
        context.load_verify_locations(cafile=DEFAULT_CA_BUNDLE_PATH)
        return context
    try:
        if Path(ca_bundle).is_dir():
            context.load_verify_locations(capath=ca_bundle)
            # A directory is looked into at each handshake, which fails for good where no file can be opened.
            for path in sorted(Path(ca_bundle).iterdir()):
                if _HASHED.fullmatch(path.name):
                    context.load_verify_locations(cafile=path)
        else:
            context.load_verify_locations(cafile=ca_bundle)
    except OSError as exc:
        raise ValueError(
            f"ca_bundle {ca_bundle!r} cannot be loaded ({exc.strerror or exc}): "
            "name a PEM file of CA certificates"
        ) from exc
    return context


class _HTTPPool(HTTPConnectionPool):
    """Connections of which each exchange takes one; nothing is tried twice and no redirect is followed."""

    ConnectionCls = DeadlineHTTPConnection  # type: ignore[assignment]

    def urlopen(  # type: ignore[override]
        self, method: str, url: str, body: bytes, headers: Mapping[str, str], **_: Any
    ) -> WholeAnswer | HTTPResponse:
        """Make one exchange; a connection that fails in it is closed, and replaced when it is needed."""
        connection: Any = self._get_conn()
        try:
            if self.proxy is not None:
                headers = self._prepared_for_proxy(connection, headers)
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
        with waiting.mutex:
            for connection in waiting.queue:
                if connection is not None:
                    connection.close()

    def _prepared_for_proxy(self, connection: Any, headers: Mapping[str, str]) -> Mapping[str, str]:
        if self.scheme == "http":
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


class EndpointAdapter(HTTPAdapter):
    """Send requests to one server, most of them to one URL; all threads share its kept-alive connections."""

    def __init__(self, url: str, pool_size: int, context: ssl.SSLContext, proxy: Proxy | None) -> None:
        self._context = context
        self._proxy = proxy
        super().__init__(pool_connections=1, pool_maxsize=pool_size, max_retries=0, pool_block=False)
        manager = self.proxy_manager_for(proxy.url) if proxy else self.poolmanager
        parsed = parse_url(url)
        self._url = url
        self._target = url if proxy and parsed.scheme == "http" else parsed.request_uri
        self._pool: _HTTPPool = manager.connection_from_url(url)

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
