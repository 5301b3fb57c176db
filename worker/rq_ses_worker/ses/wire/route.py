"""The way to a server: through a proxy or straight, and the authorities whose certificates are trusted."""

from __future__ import annotations

import re
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from requests.utils import DEFAULT_CA_BUNDLE_PATH
from urllib3.util import make_headers

from rq_ses_worker.ses.wire.deadline import DeadlineSSLSocket
from rq_ses_worker.ses.wire.url import masked, plain_url

_HASHED: Final = re.compile(r"[0-9a-f]{8}\.[0-9]+")
"""Names under which OpenSSL looks for a certificate."""


@dataclass(frozen=True, slots=True)
class Route:
    """How a server is reached; without arguments, straight, its certificate by the usual authorities."""

    proxy: str | None = field(default=None, repr=False)
    """An http or https URL, which may hold a user name and password."""
    ca_bundle: str | None = None
    """A PEM file, or a directory, of CA certificates to trust instead of the usual ones."""

    def through(self) -> Proxy | None:
        """Return the proxy, None if there is none. Raises ValueError, as Proxy does."""
        return None if self.proxy is None else Proxy(self.proxy)


STRAIGHT: Final = Route()


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


def context_to(url: str, ca_bundle: str | None, proxy: Proxy | None) -> ssl.SSLContext:
    """Return the context of connections to `url`, as `tls_context` does.

    It holds no authorities, which take 20 ms and 1 MB, where neither the server nor the proxy speaks TLS.
    """
    if url.startswith("https:") or (proxy is not None and proxy.url.startswith("https:")):
        return tls_context(ca_bundle)
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


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
