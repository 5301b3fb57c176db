"""URLs that a setting gives: what one must hold to be used, and what of it may be shown."""

from __future__ import annotations

import ipaddress
import re
from typing import Final

from urllib3.exceptions import LocationParseError
from urllib3.util import Url, parse_url

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_UNFIT: Final = re.compile(r"[\x00-\x1f\x7f\\]|^\s|\s$")
_QUERY: Final = re.compile(r"([?#]).+", re.DOTALL)
_USERINFO: Final = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*://|//)?.*@", re.DOTALL)


def secure_url(name: str, value: str, *, allow_http: bool = False) -> Url:
    """Return the parts of a URL, as `plain_url`; http is for loopback hosts, or for those who allow it."""
    url = plain_url(name, value)
    if url.scheme == "http" and not (allow_http or is_loopback(url.host or "")):
        raise ValueError(
            f"{name} {value!r} is not encrypted and its host is not this machine: "
            "use https, or set allow_http if the way there is trusted"
        )
    return url


def plain_url(name: str, value: str) -> Url:
    """Return the parts of an http(s) URL without userinfo, query and fragment, its default port left out.

    Raises ValueError, naming the setting `name` and the value, userinfo and query masked.
    """
    shown = repr(masked(value))
    if _UNFIT.search(value):
        raise ValueError(f"{name} {shown} holds a blank end, a control character or a backslash: remove it")
    try:
        url = parse_url(value)
    except LocationParseError:
        # Not chained: the cause repeats the value, which may hold a password.
        raise ValueError(f"{name} {shown} is not a URL: use one like https://host:port/prefix") from None
    if url.scheme not in _DEFAULT_PORTS or not url.host or url.port == 0:
        raise ValueError(f"{name} {shown} is not a URL of a server: use one like https://host:port/prefix")
    if url.auth is not None:
        raise ValueError(f"{name} {shown} holds a user name or password: remove what is before the @")
    if url.query is not None or url.fragment is not None:
        raise ValueError(f"{name} {shown} has a query or fragment: end it before the ? or #")
    return url._replace(port=None) if url.port == _DEFAULT_PORTS[url.scheme] else url


def masked(url: str) -> str:
    """Return the URL with all that may be userinfo or a token hidden; a password may hold any character."""
    return _QUERY.sub(r"\1***", _USERINFO.sub(r"\1***@", url))


def is_loopback(host: str) -> bool:
    """Tell whether a host's name or address always is this machine."""
    name = host.strip("[]").rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
