"""SES's own suppression list: as AWS's client keeps it, and as ours reads it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import botocore.session
import pytest
from botocore.config import Config
from redis import Redis

from rq_ses.cli.terminal import exits
from rq_ses.suppression import Suppression
from rq_ses_worker.ses.account import AccountRefused
from rq_ses_worker.ses.client import SesClient
from rq_ses_worker.ses.credentials import Credentials
from rq_ses_worker.ses.endpoint import Endpoint
from rq_ses_worker.ses.lookups.suppression import Wanted
from rq_ses_worker.simulator.server import SimulatorServer
from support.programs.processes import KEY_ID, SECRET, TOKEN, run


@pytest.fixture
def ses() -> Iterator[SimulatorServer]:
    with SimulatorServer(KEY_ID, SECRET, TOKEN) as running:
        yield running


@pytest.fixture
def aws(ses: SimulatorServer) -> Iterator[Any]:
    """A client of botocore's that asks the simulator."""
    client = botocore.session.Session().create_client(
        "sesv2",
        region_name="us-east-1",
        endpoint_url=ses.url,
        aws_access_key_id=KEY_ID,
        aws_secret_access_key=SECRET,
        aws_session_token=TOKEN,
        config=Config(retries={"max_attempts": 1}),
    )
    yield client
    client.close()


@pytest.fixture
def ours(ses: SimulatorServer) -> Iterator[SesClient]:
    with SesClient(Credentials(KEY_ID, SECRET, TOKEN), Endpoint("us-east-1", ses.url)) as client:
        yield client


def put(aws: Any, *addresses: str, reason: str = "BOUNCE") -> None:
    for address in addresses:
        aws.put_suppressed_destination(EmailAddress=address, Reason=reason)


def test_awss_client_keeps_the_list(aws: Any) -> None:
    put(aws, "a/b+c@example.com", "ben@example.com")
    put(aws, "carl@example.com", reason="COMPLAINT")
    found = aws.get_suppressed_destination(EmailAddress="a/b+c@example.com")["SuppressedDestination"]
    assert (found["EmailAddress"], found["Reason"]) == ("a/b+c@example.com", "BOUNCE")
    aws.delete_suppressed_destination(EmailAddress="a/b+c@example.com")
    for call in (aws.get_suppressed_destination, aws.delete_suppressed_destination):
        with pytest.raises(aws.exceptions.NotFoundException):
            call(EmailAddress="a/b+c@example.com")
    now = datetime.now(UTC)
    for options, addresses in (
        ({}, ["ben@example.com", "carl@example.com"]),
        ({"Reasons": ["COMPLAINT"]}, ["carl@example.com"]),
        ({"StartDate": now + timedelta(hours=1)}, []),
        (
            {"StartDate": now - timedelta(hours=1), "EndDate": now + timedelta(hours=1), "PageSize": 1},
            ["ben@example.com"],
        ),
    ):
        answer = aws.list_suppressed_destinations(**options)
        assert [one["EmailAddress"] for one in answer["SuppressedDestinationSummaries"]] == addresses
    with pytest.raises(aws.exceptions.InvalidNextTokenException):
        aws.list_suppressed_destinations(NextToken="nobody@example.com")
    with pytest.raises(aws.exceptions.BadRequestException):
        put(aws, "nobody")


def test_our_client_reads_it_page_by_page(aws: Any, ours: SesClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rq_ses_worker.ses.lookups.suppression.PAGE_SIZE", 2)
    put(aws, *(f"user{n}@example.com" for n in range(5)), "a@simulator.amazonses.com")
    wanted, token, pages = Wanted(["BOUNCE"], datetime.now(UTC) - timedelta(hours=1)), "", []
    while True:
        page = ours.list_suppressed(wanted, token)
        pages.append([one.address for one in page.listed])
        token = page.next_token
        if not token:
            break
    assert pages == [[f"user{n}@example.com" for n in some] for some in ((0, 1), (2, 3), (4,))]
    assert ours.list_suppressed(Wanted(["COMPLAINT"])).listed == []
    with pytest.raises(AccountRefused, match="NotFoundException"):
        ours.list_suppressed(Wanted(tenant="shop"))


def test_it_is_taken_over_by_the_command(
    aws: Any, redis: Redis, redis_url: str, worker_env: dict[str, str]
) -> None:
    put(aws, "Ann@Example.com", "ben@example.com")
    done = run(["suppression", "sync", "--dry-run", "--json"], worker_env)
    assert (done.returncode, json.loads(done.stdout)["added"], redis.keys("*")) == (0, 2, [])
    done = run(["suppression", "sync", "--reason", "bounce", "--newer-than", "1h"], worker_env)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "2 addresses of SES's: 2 added, 0 there already\n"
    found = Suppression(redis_url).get("ann@example.com")
    assert found is not None
    assert (found.reason, found.text) == ("ses", "bounce")
    done = run(["suppression", "sync", "--tenant", "shop"], worker_env)
    assert done.returncode == exits.INCOMPLETE
    assert "Error: SES doesn't tell its suppression list: NotFoundException" in done.stderr
