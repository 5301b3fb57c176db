"""Where SendEmail is called: SES's address in a region, or an address given instead.

https://docs.aws.amazon.com/general/latest/gr/ses.html
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from urllib3.util import parse_url

from rq_ses.aws.regions import FIPS_REGIONS, SES_REGIONS, host, is_multi_region, nearest
from rq_ses_worker.ses.wire.url import masked, secure_url

SEND_PATH: Final = "/v2/email/outbound-emails"
BULK_PATH: Final = "/v2/email/outbound-bulk-emails"

_REGION: Final = re.compile(r"[a-z]{2,}(?:-[a-z0-9]+)+-[0-9]{1,2}")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The region whose SES is called, and how its address is found.

    `base_url` stands in for SES's own address; its path is kept as a prefix. With one, `region` is only
    signed, and may be any that looks like one: so a region that is newer than our list can be used. Without
    one, SES must be listed in the region, and with `use_fips` a FIPS endpoint, too.
    Raises ValueError, naming setting, value and remedy.
    """

    region: str
    base_url: str | None = None
    allow_http: bool = False
    """Whether plain http may lead to another host than this machine."""
    use_fips: bool = False
    use_dualstack: bool = False
    """Whether the address is one that IPv6 leads to, too."""
    url: str = field(init=False)
    """The URL of SendEmail, in the one form in which it is both signed and sent."""

    def __post_init__(self) -> None:
        check_region(self.region)
        url = self._regional() if self.base_url is None else self._given(self.base_url)
        object.__setattr__(self, "url", url)

    def _regional(self) -> str:
        region, fips, dualstack = self.region, self.use_fips, self.use_dualstack
        _check_listed(region, fips=fips, dualstack=dualstack)
        return f"https://{host('email', region, fips=fips, dualstack=dualstack)}{SEND_PATH}"

    def _given(self, base_url: str) -> str:
        for name in ("use_fips", "use_dualstack"):
            if getattr(self, name):
                raise ValueError(
                    f"base_url {masked(base_url)!r} and {name} exclude each other, since base_url is the "
                    "whole address: remove one of them"
                )
        url = secure_url("base_url", base_url, allow_http=self.allow_http)
        if is_multi_region(url.host or ""):
            raise ValueError(
                f"base_url {base_url!r} is a multi-region endpoint of SES, which takes signatures of SigV4A "
                "alone, and rq-ses signs by SigV4: use the region's own address, "
                f"https://{host('email', self.region)}"
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


def _normal(url: str) -> str:
    # urllib3 normalises what it is given; only a URL it leaves alone is sent as it was signed.
    while (again := parse_url(url).url) != url:
        url = again
    return url
