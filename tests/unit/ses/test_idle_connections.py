"""The connections that nobody uses: the one used last is used next, and closing them leaves the others."""

from __future__ import annotations

import queue
import ssl
from unittest import mock

import pytest

from rq_ses_worker.ses.wire.headers import LowerNames, lower_names
from rq_ses_worker.ses.wire.transport import EndpointAdapter


@pytest.fixture
def adapter() -> EndpointAdapter:
    return EndpointAdapter("http://127.0.0.1:9/x", 2, ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), None)


def test_the_connection_used_last_is_used_next(adapter: EndpointAdapter) -> None:
    pool = adapter._pool
    first, second = pool._get_conn(), pool._get_conn()
    pool._put_conn(first)
    pool._put_conn(second)
    assert pool._get_conn() is second
    assert pool._get_conn() is first


def test_there_are_no_more_of_them_than_the_pool_is_large(adapter: EndpointAdapter) -> None:
    waiting = adapter._pool.pool
    assert waiting is not None
    with pytest.raises(queue.Full):
        waiting.put(mock.Mock(), block=False)
    assert [waiting.get(block=False), waiting.get(block=False)] == [None, None]
    with pytest.raises(queue.Empty):
        waiting.get(block=False)


def test_closing_what_is_idle_leaves_what_is_in_use_alone(adapter: EndpointAdapter) -> None:
    pool = adapter._pool
    used, idle = pool._get_conn(), pool._get_conn()
    pool._put_conn(idle)
    with mock.patch.object(used, "close") as ended, mock.patch.object(idle, "close") as closed:
        adapter.close_idle()
    assert (ended.called, closed.called) == (False, True)
    pool._put_conn(used)
    assert {id(pool._get_conn()), id(pool._get_conn())} == {id(used), id(idle)}


def test_headers_are_lowered_once() -> None:
    lowered = LowerNames({"content-length": "1"})
    assert lower_names(lowered) is lowered
    assert lower_names({"Date": "today", "X-A": "1"}) == {"date": "today", "x-a": "1"}
