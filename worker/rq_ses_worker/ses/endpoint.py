"""Where SendEmail is called: SES's address in a region, or an address given instead."""

from __future__ import annotations

import ipaddress
import re
from typing import Final

from urllib3.exceptions import LocationParseError
from urllib3.util import Url, parse_url

from rq_ses_worker.ses.regions import FIPS_REGIONS, SES_REGIONS, host, is_multi_region, nearest

SEND_PATH: Final = "/v2/email/outbound-emails"

_REGION: Final = re.compile(r"[a-z]{2,}(?:-[a-z0-9]+)+-[0-9]{1,2}")
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_UNFIT: Final = re.compile(r"[\x00-\x1f\x7f\\]|^\s|\s$")
_QUERY: Final = re.compile(r"([?#]).+", re.DOTALL)
_USERINFO: Final = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*://|//)?.*@", re.DOTALL)


def endpoint_url(
    region: str,
    base_url: str | None = None,
    *,
    allow_http: bool = False,
    use_fips: bool = False,
    use_dualstack: bool = False,
) -> str:
    """Return the URL of SendEmail, in the one form in which it is both signed and sent.

    `base_url` stands in for SES's own address; its path is kept as a prefix. Plain http is for loopback hosts
    and for those who allow it. With a base_url `region` is only signed, and may be any that looks like one:
    so a region that is newer than our list can be used. Without one, SES must be listed in the region, and
    with `use_fips` a FIPS endpoint, too. Raises ValueError, naming setting, value and remedy.
    """
    check_region(region)
    if base_url is None:
        _check_listed(region, fips=use_fips, dualstack=use_dualstack)
        return f"https://{host('email', region, fips=use_fips, dualstack=use_dualstack)}{SEND_PATH}"
    for name, used in (("use_fips", use_fips), ("use_dualstack", use_dualstack)):
        if used:
            raise ValueError(
                f"base_url {masked(base_url)!r} and {name} exclude each other, since base_url is the whole "
                "address: remove one of them"
            )
    url = secure_url("base_url", base_url, allow_http=allow_http)
    if is_multi_region(url.host or ""):
        raise ValueError(
            f"base_url {base_url!r} is a multi-region endpoint of SES, which takes signatures of SigV4A "
            "alone, and rq-ses signs by SigV4: use the region's own address, "
            f"https://{host('email', region)}"
        )
    return _normal(url._replace(path=(url.path or "").rstrip("/") + SEND_PATH).url)


def check_region(region: str) -> None:
    """Raise ValueError, with the remedy, if `region` doesn't look like the name of a region."""
    if not _REGION.fullmatch(region):
        near = ", ".join(nearest(region[:40].strip().lower().replace("_", "-")))
        raise ValueError(f"region {region!r:.80} is not the name of an AWS region: use one like {near}")


def _check_listed(region: str, *, fips: bool, dualstack: bool) -> None:
    if region not in SES_REGIONS:
        what, names, instead = "Amazon SES is not listed", nearest(region), "set"
    elif fips and region not in FIPS_REGIONS:
        what, names = "no FIPS endpoint of Amazon SES is listed", nearest(region, FIPS_REGIONS)
        instead = "remove use_fips, or set in its place"
    else:
        return
    address = host("email", region, fips=fips, dualstack=dualstack)
    raise ValueError(
        f"{what} in region {region!r}: use one of the nearest ({', '.join(names)}), or {instead} "
        f"base_url (RQ_SES_BASE_URL) https://{address} if it is there by now"
    )


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


def _normal(url: str) -> str:
    # urllib3 normalises what it is given; only a URL it leaves alone is sent as it was signed.
    while (again := parse_url(url).url) != url:
        url = again
    return url
