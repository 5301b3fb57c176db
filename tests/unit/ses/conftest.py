"""A client at a fixed moment, and a SES that answers without a network."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import responses

from rq_ses_worker.ses.client import SesClient
from rq_ses_worker.ses.endpoint import Endpoint
from support.ses.signed import CREDENTIALS, NOW


@pytest.fixture
def ses() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mocked:
        yield mocked


@pytest.fixture
def client() -> Iterator[SesClient]:
    with SesClient(CREDENTIALS, Endpoint("us-east-1"), clock=lambda: NOW) as made:
        yield made
