"""The URL of a Redis server, judged part by part: what is wrong with it, and what to write instead.

redis-py drops or misreads what it doesn't understand: a password with an unescaped "/" becomes a port, an
option without a value is none. So the parts are looked at here, before anything is made of them. No text
holds anything of a password, wherever in the URL it may stand.
"""

from __future__ import annotations

import math
import re
import ssl
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl

from redis.connection import FALSE_STRINGS, URL_QUERY_ARGUMENT_PARSERS

from rq_ses.text.invalid import shown
from rq_ses.text.spelling import close_matches

SCHEMES: Final = (
    *("redis", "rediss", "unix", "redis+sentinel", "rediss+sentinel"),
    *("redis+cluster", "rediss+cluster"),
)
FORMS: Final = (
    "redis://host:port/db, rediss://host:port/db, unix:///path, "
    "redis+sentinel://host1:port,host2:port/service/db or redis+cluster://host1:port,host2:port"
)
_OF_SEVERAL: Final = ("+sentinel", "+cluster")
"""Ends of schemes whose URLs list hosts."""

MAX_CONNECTIONS: Final = "max_connections"

_URL: Final = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<address>[^/?#]*)(?P<path>[^?#]*)"
    r"(?:\?(?P<query>[^#]*))?(?:#(?P<fragment>.*))?",
    re.DOTALL,
)
_UNFIT: Final = re.compile(r"[\x00-\x20\x7f]")
_HOST: Final = re.compile(r"(?:\[[0-9A-Fa-f:.]+(?:%[^\[\]]+)?\]|[^\[\]:]*)(?::(?P<port>[^:]*))?")
_USERINFO: Final = re.compile(r"^([A-Za-z+]+://)?.*@", re.DOTALL)
_OPTION: Final = re.compile(r"([?&;])([^=?&;]*)=([^&;]*)")
_NO_PORT: Final = re.compile(r":(?!//)(?!\d{1,5}(?:[/?]|$))[^/?]*")
_NO_PORT_OF_SEVERAL: Final = re.compile(r":(?!//)(?!\d{1,5}(?:[/?]|$|,[^,:/?]+:\d{1,5}(?:[,/?]|$)))[^/?]*")
"""Of a list of nodes: a comma ends a port only before another node with its port: a password may hold one."""

_ENCODED: Final = "write / as %2F, # as %23, ? as %3F, @ as %40"
_TEXTS: Final = frozenset(
    {"username", "password", "client_name", "lib_name", "lib_version", "encoding", "encoding_errors"}
)
_TLS_FILES: Final = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
_TLS_TEXTS: Final = frozenset(
    {*_TLS_FILES, "ssl_ca_path", "ssl_ca_data", "ssl_cert_reqs", "ssl_password", "ssl_ciphers"}
)
_SENTINELS: Final = frozenset({"sentinel_username", "sentinel_password"})
_SECRET: Final = frozenset({"password", "ssl_password", "sentinel_password"})
_NOT_BY_URL: Final = frozenset({"retry_on_error", "timeout"})
"""redis-py's parsers know them, its connections don't, or not as text."""

_TRUE: Final = frozenset({"1", "T", "TRUE", "Y", "YES", "ON"})
_REQUIREMENTS: Final = ("none", "optional", "required")


def masked(url: str) -> str:
    """Return a server's URL with all that may be a password hidden."""
    several = url.partition("://")[0].endswith(_OF_SEVERAL)
    no_port = _NO_PORT_OF_SEVERAL if several else _NO_PORT
    return no_port.sub(":***", _options_masked(_USERINFO.sub(r"\1***@", url)))


def _options_masked(text: str) -> str:
    """Return a text without the values of options that hold a password, or that are misspelt and may."""
    known = _options("redis+sentinel") - _SECRET

    def option(found: re.Match[str]) -> str:
        mark, name, value = found.groups()
        return f"{mark}{name}={value if name in known else '***'}"

    return _OPTION.sub(option, text)


def check_redis_url(url: str) -> None:
    """Raise ValueError if `url` can't be a server's, or its Sentinels', naming the part and the remedy.

    Files of TLS are opened; nothing is connected.
    """
    problem = _problem(url)
    if problem:
        raise ValueError(f"{shown(masked(url), 150)} is not the URL of a Redis server: {problem}")


def max_connections(url: str) -> int | None:
    """Return the most connections that a usable URL allows a client; None is any number."""
    given = dict(parse_qsl(url.partition("?")[2])).get(MAX_CONNECTIONS)
    return None if given is None else int(given)


def _problem(url: str) -> str:
    match = _URL.fullmatch(url)
    if not match:
        return f"it has no scheme: use {FORMS}"
    scheme = match["scheme"]
    if scheme not in SCHEMES:
        near = close_matches(scheme.lower(), SCHEMES, 1)
        meant = f"did you mean {near[0]}://? " if near else ""
        return f"the scheme {shown(scheme)} is not known: {meant}use {FORMS}"
    return (
        _userinfo_problem(match)
        or _blank_problem(url)
        or _address_problem(match)
        or _path_problem(match)
        or _query_problem(match["query"] or "", scheme)
    )


def _userinfo_problem(match: re.Match[str]) -> str:
    """Return what is wrong if a character that ends the address stands before an @: in the password."""
    query, known = match["query"] or "", _options(match["scheme"])
    # With options that are known it is a query, and may hold an @ itself.
    is_query = all(item.partition("=")[0] in known for item in query.split("&"))
    for mark, holds in (
        ("/", match["scheme"] != "unix" and "@" in match["path"]),
        ("?", "@" in query and not is_query),
        ("#", "@" in (match["fragment"] or "")),
    ):
        if holds:
            return (
                f"user name or password hold an unescaped {mark!r}: percent-encode what stands before "
                f"the last @ ({_ENCODED})"
            )
    if match["fragment"] is not None:
        return f"it has a fragment, which means nothing: remove the # ({_ENCODED} in a password)"
    return ""


def _blank_problem(url: str) -> str:
    if _UNFIT.search(url):
        return "it holds a blank, a line end or another control character: remove it, or write it as %20"
    return "" if url.isascii() else "it holds a character that isn't ASCII: percent-encode it as UTF-8"


def _address_problem(match: re.Match[str]) -> str:
    scheme, address = match["scheme"], match["address"]
    if scheme == "unix":
        return ""
    userinfo, _, hosts = address.rpartition("@")
    if not scheme.endswith(_OF_SEVERAL):
        if not address and match["path"] in ("", "/"):
            return f"it names no host: use {FORMS}"
        return _several_problem(scheme, hosts) or _host_problem(hosts)
    if "@" in userinfo:
        return "user name or password hold an unescaped '@': write it as %40"
    whose = "a Sentinel's" if scheme.endswith("+sentinel") else "a node's"
    problems = [
        _host_problem(host) if host else f"{whose} host is missing: write host1:port,host2:port"
        for host in hosts.split(",")
    ]
    return next(filter(None, problems), "")


def _several_problem(scheme: str, hosts: str) -> str:
    if "," not in hosts:
        return ""
    return (
        f"it names several hosts, or a password without an @ behind it: use {scheme}+cluster://host1:port,"
        f"host2:port for the nodes of a cluster, {scheme}+sentinel://host1:port,host2:port/service "
        "for Sentinels"
    )


def _host_problem(text: str) -> str:
    match = _HOST.fullmatch(text)
    if not match:
        return "its host can't be read: write host:port, and an IPv6 address in brackets ([::1]:6379)"
    port = match["port"]
    if not port:
        return ""
    if not (port.isascii() and port.isdigit()):
        # It isn't shown: with an @ forgotten it is the password.
        return (
            "its port is not a number: write host:port, and a password before an @ (redis://:PASSWORD@host)"
        )
    if len(port) > 5 or not 0 < int(port) < 65_536:
        which = f"its port {port}" if len(port) <= 5 else "its port"
        return f"{which} is out of range: give one from 1 to 65535"
    return ""


def _path_problem(match: re.Match[str]) -> str:
    scheme, path = match["scheme"], match["path"]
    if scheme == "unix":
        return "" if path.strip("/") else "it names no socket: write unix:///path"
    if scheme.endswith("+cluster"):
        return _database_problem(path[1:], "redis+cluster://host1:port,host2:port/0")
    if not scheme.endswith("+sentinel"):
        return _database_problem(path[1:], "redis://host:port/0")
    service, _, database = path[1:].partition("/")
    if not service:
        return f"it names no service of the Sentinels: use {FORMS}"
    return _database_problem(database, "/service/0")


def _database_problem(text: str, form: str) -> str:
    if not text or (text.isascii() and text.isdigit()):
        return ""
    return f"its database {shown(_options_masked(text), 30)} is not a number: write it as in {form}"


# Options


def _options(scheme: str) -> frozenset[str]:
    """Return the names of the options that a URL may have."""
    parsed = URL_QUERY_ARGUMENT_PARSERS.keys() - _NOT_BY_URL
    names = _TEXTS | _TLS_TEXTS | parsed
    return frozenset(names | _SENTINELS if scheme.endswith("+sentinel") else names)


def _query_problem(query: str, scheme: str) -> str:
    given: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        problem = f"its option {name} stands twice: remove one" if name in given else ""
        problem = problem or _option_problem(name, value, scheme)
        if problem:
            return problem
        given[name] = value
    return _tls_problem(given)


def _option_problem(name: str, value: str, scheme: str) -> str:
    known = _options(scheme)
    if name == "decode_responses":
        return "its option decode_responses can't be used, for RQ needs bytes: remove it"
    if name not in known:
        near = close_matches(name.lower(), known, 1)
        meant = f"did you mean {near[0]}?" if near else "remove it, or use one of docs/redis.md"
        return f"its option {shown(name, 30)} is not known: {meant}"
    if not value:
        return f"its option {name} has no value: give one, or remove it"
    if name.startswith("ssl_") and not scheme.startswith("rediss"):
        return f"its option {name} is TLS's: begin with rediss{scheme.removeprefix('redis')}://"
    wanted = _wanted(name, value)
    if wanted:
        said = "" if name in _SECRET else f" {shown(value, 30)}"
        return f"its option {name}{said} can't be used: give {wanted}"
    return ""


def _wanted(name: str, value: str) -> str:
    """Return what an option's value must be, "" if it is."""
    parser: Any = URL_QUERY_ARGUMENT_PARSERS.get(name)
    if name in _RANGES:
        fits, wanted = _RANGES[name]
        try:
            return "" if fits(float(value) if parser is float else int(value)) else wanted
        except ValueError:
            return wanted
    if name == "ssl_cert_reqs":
        return "" if value in _REQUIREMENTS else ", ".join(_REQUIREMENTS[:-1]) + f" or {_REQUIREMENTS[-1]}"
    if parser is None:
        return ""
    if parser.__name__ == "to_bool":
        # redis-py takes any other word for true.
        return "" if value.upper() in _TRUE | set(FALSE_STRINGS) else "true or false"
    try:
        parser(value)
    except (TypeError, ValueError):
        return "a number" if parser in (int, float) else "what redis-py documents for it"
    return ""


def _is_wait(number: float) -> bool:
    return 0 < number < math.inf


_RANGES: Final[Mapping[str, tuple[Callable[[float], bool], str]]] = {
    "db": (lambda number: number >= 0, "a number from 0 upwards"),
    "protocol": (lambda number: number in (2, 3), "2 or 3"),
    MAX_CONNECTIONS: (lambda number: number >= 1, "a whole number from 1 upwards"),
    "health_check_interval": (lambda number: number >= 0, "whole seconds from 0 upwards"),
    "socket_timeout": (_is_wait, "seconds above 0"),
    "socket_connect_timeout": (_is_wait, "seconds above 0"),
    "socket_read_size": (lambda number: number >= 1, "bytes from 1 upwards"),
    "ssl_min_version": (lambda number: number in set(ssl.TLSVersion), "771 for TLS 1.2, or 772 for TLS 1.3"),
}


# TLS


def _tls_problem(given: Mapping[str, str]) -> str:
    for name in _TLS_FILES:
        if name in given and (reason := _unreadable(given[name])):
            return f"its option {name} {shown(given[name], 80)} can't be used: {reason}"
    if "ssl_ca_path" in given and not Path(given["ssl_ca_path"]).is_dir():
        return f"its option ssl_ca_path {shown(given['ssl_ca_path'], 80)} can't be used: it is no directory"
    if "ssl_keyfile" in given and "ssl_certfile" not in given:
        return "its option ssl_keyfile stands without ssl_certfile: give both"
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        if "ssl_ca_certs" in given:
            context.load_verify_locations(cafile=given["ssl_ca_certs"])
    except (OSError, ValueError):
        return f"its option ssl_ca_certs {shown(given['ssl_ca_certs'], 80)} holds no certificates in PEM form"
    try:
        if "ssl_certfile" in given:
            # An empty password is wrong for an encrypted key, and keeps OpenSSL from asking for one.
            password = given.get("ssl_password", "")
            context.load_cert_chain(given["ssl_certfile"], given.get("ssl_keyfile"), password)
    except (OSError, ValueError):
        return (
            "its options ssl_certfile and ssl_keyfile can't be used: give a certificate in PEM form and the "
            "key that belongs to it, and ssl_password if that is encrypted"
        )
    try:
        if "ssl_ciphers" in given:
            context.set_ciphers(given["ssl_ciphers"])
    except (OSError, ValueError):
        return f"its option ssl_ciphers {shown(given['ssl_ciphers'])} names no cipher that OpenSSL knows"
    return ""


def _unreadable(path: str) -> str:
    try:
        with Path(path).open("rb"):
            return ""
    except OSError as exc:
        return f"{exc.strerror or 'it cannot be read'}; give a file that this user may read"
    except ValueError:
        return "it is no path"
