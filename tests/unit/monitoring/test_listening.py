"""Where a worker's HTTP server listens."""

from __future__ import annotations

import pytest

from rq_ses.errors import SettingsError
from rq_ses_worker.monitoring.listening import Listening, read_listening
from rq_ses_worker.settings.worker import load_worker_settings


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("9108", "127.0.0.1", 9108),
        ("0", "127.0.0.1", 0),
        ("0.0.0.0:9108", "0.0.0.0", 9108),
        ("localhost:1", "localhost", 1),
        ("[::1]:9108", "::1", 9108),
        ("[::]:65535", "::", 65535),
    ],
)
def test_an_address_is_a_host_and_a_port_and_a_port_alone_is_one_of_loopback(
    text: str, host: str, port: int
) -> None:
    assert read_listening(text) == Listening(host, port)


@pytest.mark.parametrize(
    "text",
    ["", ":9108", "65536", "host", "::1:9108", "[1.2.3.4]:1", "[::1", "http://x:1", "a:1:2", "１", "a b:1"],
)
def test_what_is_no_address_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match=r"such as 127\.0\.0\.1:9108"):
        read_listening(text)


def test_an_address_reads_as_it_is_written() -> None:
    assert [str(read_listening(text)) for text in ("9108", "[::1]:1")] == ["127.0.0.1:9108", "[::1]:1"]


def test_a_wrong_address_stops_a_worker_before_anything_is_touched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RQ_SES_METRICS", "everywhere")
    with pytest.raises(SettingsError, match="RQ_SES_METRICS: 'everywhere' is not where to listen"):
        load_worker_settings(aws_region="us-east-1")
