"""The hosts of SES and STS, compared with what botocore makes of AWS's own data."""

from __future__ import annotations

from itertools import product
from typing import Any

import botocore.session
import pytest
from botocore.endpoint_provider import EndpointProvider

from rq_ses.aws.regions import FIPS_REGIONS, PARTITIONS, SES_REGIONS, nearest, partition_of
from rq_ses_worker.identity.sts import sts_url
from rq_ses_worker.ses.endpoint import SEND_PATH, Endpoint

SWITCHES = list(product((False, True), repeat=2))


@pytest.fixture(scope="module")
def loader() -> Any:
    return botocore.session.Session().get_component("data_loader")


@pytest.fixture(scope="module")
def partitions(loader: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = loader.load_data("partitions")["partitions"]
    return found


def listed(loader: Any) -> dict[str, dict[str, Any]]:
    """Where AWS's data lists SES, and what it says of it there."""
    found: dict[str, dict[str, Any]] = {}
    for partition in loader.load_data("endpoints")["partitions"]:
        found |= partition["services"].get("email", {}).get("endpoints", {})
    return {region: about for region, about in found.items() if not about.get("deprecated")}


def test_ses_is_where_aws_lists_it(loader: Any) -> None:
    assert listed(loader).keys() == SES_REGIONS


def test_fips_endpoints_are_where_aws_lists_them(loader: Any) -> None:
    tagged = {
        region
        for region, about in listed(loader).items()
        if any("fips" in variant["tags"] for variant in about.get("variants", ()))
    }
    assert tagged == FIPS_REGIONS


def test_partitions_are_those_of_aws(partitions: list[dict[str, Any]]) -> None:
    theirs = {
        part["id"]: (part["outputs"]["dnsSuffix"], part["outputs"]["dualStackDnsSuffix"])
        for part in partitions
    }
    assert {one.name: (one.suffix, one.dualstack_suffix) for one in PARTITIONS} == theirs
    for part in partitions:
        for region in part["regions"]:
            if not region.startswith("aws-"):
                assert partition_of(region).name == part["id"], region


@pytest.mark.parametrize(("fips", "dualstack"), SWITCHES)
def test_every_host_of_ses_is_the_one_botocore_builds(loader: Any, fips: bool, dualstack: bool) -> None:
    rules = EndpointProvider(
        loader.load_service_model("sesv2", "endpoint-rule-set-1"), loader.load_data("partitions")
    )
    built = 0
    for region in SES_REGIONS:
        if fips and region not in FIPS_REGIONS:
            with pytest.raises(ValueError, match="no FIPS endpoint"):
                Endpoint(region, use_fips=fips, use_dualstack=dualstack)
            continue
        theirs = rules.resolve_endpoint(Region=region, UseFIPS=fips, UseDualStack=dualstack).url
        assert Endpoint(region, use_fips=fips, use_dualstack=dualstack).url == theirs + SEND_PATH
        built += 1
    assert built == len(FIPS_REGIONS if fips else SES_REGIONS)


@pytest.mark.parametrize(("fips", "dualstack"), SWITCHES)
def test_every_host_of_sts_is_the_one_botocore_builds(
    loader: Any, partitions: list[dict[str, Any]], fips: bool, dualstack: bool
) -> None:
    rules = EndpointProvider(
        loader.load_service_model("sts", "endpoint-rule-set-1"), loader.load_data("partitions")
    )
    regions = [region for part in partitions for region in part["regions"] if not region.startswith("aws-")]
    for region in (*regions, "eu-new-7"):
        theirs = rules.resolve_endpoint(
            Region=region, UseFIPS=fips, UseDualStack=dualstack, UseGlobalEndpoint=False
        ).url
        assert sts_url(region, use_fips=fips, use_dualstack=dualstack) == f"{theirs}/"


@pytest.mark.parametrize("region", ["", "-", "eu", "zz", "us-east-1", "x" * 200])
def test_there_is_always_a_nearest_region(region: str) -> None:
    names = nearest(region)
    assert 1 <= len(names) <= 4
    assert set(names) <= SES_REGIONS
    assert len(set(names)) == len(names)
