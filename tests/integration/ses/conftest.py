"""Servers that answer by hand, and clients that are closed with the test."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from rq_ses_worker.ses.client import SesClient
from rq_ses_worker.ses.endpoint import Endpoint
from rq_ses_worker.ses.wire.deadline import MIN_UPLOAD_RATE, Timeout
from rq_ses_worker.ses.wire.route import Route
from support.servers.certificates import CA, CERTIFICATE_AND_KEY
from support.servers.sockets import Server
from support.ses.attempts import CREDENTIALS


@pytest.fixture
def serving() -> Iterator[Callable[..., Server]]:
    with ExitStack() as servers:
        yield lambda handler, context=None: servers.enter_context(Server(handler, context))


@pytest.fixture
def client_of() -> Iterator[Callable[..., SesClient]]:
    with ExitStack() as clients:

        def make(
            url: str,
            timeout: float = 5.0,
            *,
            min_upload_rate: float = MIN_UPLOAD_RATE,
            proxy: str | None = None,
            ca_bundle: str | None = None,
            pool_size: int = 16,
        ) -> SesClient:
            client = SesClient(
                CREDENTIALS,
                Endpoint("us-east-1", url),
                Route(proxy, ca_bundle),
                Timeout(timeout, min_upload_rate),
                pool_size=pool_size,
            )
            return clients.enter_context(client)

        yield make


@pytest.fixture
def tls(tmp_path: Path) -> ssl.SSLContext:
    path = tmp_path / "server.pem"
    path.write_text(CERTIFICATE_AND_KEY)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context


@pytest.fixture
def ca(tmp_path: Path) -> str:
    path = tmp_path / "ca.pem"
    path.write_text(CA)
    return str(path)
