"""Where SES is: AWS's partitions, the regions in which SES is listed, and the names of its hosts.

Taken from the endpoint data that AWS publishes with its SDKs (botocore 1.44: partitions.json for the
suffixes, endpoints.json, service "email", for the regions); a test compares both with the botocore installed.
https://docs.aws.amazon.com/general/latest/gr/ses.html
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from rq_ses.text.spelling import close_matches


@dataclass(frozen=True, slots=True)
class Partition:
    """One of AWS's separate clouds: the beginning of its regions and the endings of its hosts."""

    name: str
    regions: re.Pattern[str]
    suffix: str
    dualstack_suffix: str


def _partition(name: str, regions: str, suffix: str, dualstack_suffix: str) -> Partition:
    return Partition(name, re.compile(regions), suffix, dualstack_suffix)


PARTITIONS: Final = (
    _partition("aws", r"(us|eu|ap|sa|ca|me|af|il|mx)-\w+-\d+", "amazonaws.com", "api.aws"),
    _partition("aws-cn", r"cn-\w+-\d+", "amazonaws.com.cn", "api.amazonwebservices.com.cn"),
    _partition("aws-eusc", r"eusc-(de)-\w+-\d+", "amazonaws.eu", "api.amazonwebservices.eu"),
    _partition("aws-iso", r"us-iso-\w+-\d+", "c2s.ic.gov", "api.aws.ic.gov"),
    _partition("aws-iso-b", r"us-isob-\w+-\d+", "sc2s.sgov.gov", "api.aws.scloud"),
    _partition("aws-iso-e", r"eu-isoe-\w+-\d+", "cloud.adc-e.uk", "api.cloud-aws.adc-e.uk"),
    _partition("aws-iso-f", r"us-isof-\w+-\d+", "csp.hci.ic.gov", "api.aws.hci.ic.gov"),
    _partition("aws-us-gov", r"us-gov-\w+-\d+", "amazonaws.com", "api.aws"),
)

SES_REGIONS: Final = frozenset({
    "af-south-1",
    "ap-east-2", "ap-northeast-1", "ap-northeast-2", "ap-northeast-3", "ap-south-1", "ap-south-2",
    "ap-southeast-1", "ap-southeast-2", "ap-southeast-3", "ap-southeast-4", "ap-southeast-5",
    "ap-southeast-6", "ap-southeast-7",
    "ca-central-1", "ca-west-1",
    "eu-central-1", "eu-central-2", "eu-north-1", "eu-south-1", "eu-south-2",
    "eu-west-1", "eu-west-2", "eu-west-3", "eusc-de-east-1",
    "il-central-1", "me-central-1", "me-south-1", "mx-central-1", "sa-east-1",
    "us-east-1", "us-east-2", "us-gov-east-1", "us-gov-west-1", "us-west-1", "us-west-2",
})  # fmt: skip
"""Regions in which AWS lists SES."""

FIPS_REGIONS: Final = frozenset(
    {"ca-central-1", "us-east-1", "us-east-2", "us-gov-east-1", "us-gov-west-1", "us-west-1", "us-west-2"}
)
"""Regions in which AWS lists a FIPS endpoint of SES; its rules would build a name anywhere."""

_SUFFIXES: Final = "|".join(
    sorted({re.escape(suffix) for one in PARTITIONS for suffix in (one.suffix, one.dualstack_suffix)})
)
# A word may stand before the suffix: "us-gov" in that partition, "global" in dual-stack names.
_MULTI_REGION: Final = re.compile(rf"(?:^|\.)endpoints\.email(?:-fips)?(?:\.[a-z0-9-]+)?\.(?:{_SUFFIXES})$")
_MOST: Final = 4


def partition_of(region: str) -> Partition:
    """Return the partition of a region; one that fits none is taken for a new one of "aws", as AWS does."""
    return next((one for one in PARTITIONS if one.regions.fullmatch(region)), PARTITIONS[0])


def host(service: str, region: str, *, fips: bool = False, dualstack: bool = False) -> str:
    """Return the name of a service's host by AWS's pattern, whether or not it exists."""
    partition = partition_of(region)
    name = f"{service}-fips" if fips else service
    return f"{name}.{region}.{partition.dualstack_suffix if dualstack else partition.suffix}"


def is_multi_region(name: str) -> bool:
    """Tell whether a host's name is that of a multi-region endpoint of SES (ID.endpoints.email.SUFFIX).

    https://docs.aws.amazon.com/ses/latest/dg/global-endpoints.html
    """
    return _MULTI_REGION.search(name.rstrip(".").lower()) is not None


def nearest(region: str, among: Collection[str] = SES_REGIONS) -> tuple[str, ...]:
    """Return at most four regions: those of the same area and those spelled alike, the likest first."""
    area = region.partition("-")[0] + "-"
    near = [one for one in among if one.startswith(area)]
    alike = close_matches(region, sorted(near), _MOST, 0.0) if near else []
    if len(alike) < _MOST:
        # A misspelling may be in the area itself.
        alike += [one for one in close_matches(region, sorted(among), _MOST, 0.75) if one not in alike]
    return tuple(alike[:_MOST]) or ("us-east-1",)
