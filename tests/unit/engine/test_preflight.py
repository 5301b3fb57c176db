from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

import fakeredis
import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoPermissionError, ResponseError

from rq_ses_worker.engine.preflight.server import (
    ServerState,
    ServerUnfit,
    judge,
    preflight,
    read_state,
    state_of,
)

FINE = ServerState(
    version="7.2.4",
    mode="standalone",
    cluster=False,
    maxmemory=0,
    maxmemory_policy="noeviction",
    aof=True,
    appendfsync="everysec",
)
INFO = {
    "redis_version": "7.2.4",
    "redis_mode": "standalone",
    "cluster_enabled": 0,
    "maxmemory": 0,
    "maxmemory_policy": "noeviction",
    "aof_enabled": 1,
    "aof_last_write_status": "ok",
}


@pytest.mark.parametrize(
    "state",
    [
        FINE,
        replace(FINE, appendfsync="always"),
        replace(FINE, version="6.2.0"),
        replace(FINE, version="10.0"),
        replace(FINE, maxmemory=1000),
    ],
)
def test_a_fit_server_is_passed_in_silence(state: ServerState) -> None:
    assert judge(state) == ()


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (replace(FINE, version="6.0.16"), "version 6.0.16 is too old: use Redis 6.2 or later, or Valkey"),
        (replace(FINE, version="5.0"), "too old"),
        (replace(FINE, cluster=True), "the prefix 'rq' has no hash tag; set RQ_KEY_PREFIX='{mail}'"),
        (replace(FINE, cluster=None, mode="cluster"), "has no hash tag"),
        (
            replace(FINE, script_error="ERR so it is"),
            "fails every script (ERR so it is); look at its version: Valkey 9.0.0",
        ),
        (replace(FINE, mode="sentinel"), "use redis+sentinel://"),
        (
            replace(FINE, maxmemory=1000, maxmemory_policy="allkeys-lru"),
            "evicts queued mails when memory is short; set: maxmemory-policy noeviction",
        ),
        (
            replace(FINE, maxmemory=1000, maxmemory_policy="volatile-lru"),
            "evicts failed mails and the memory of keys when memory is short",
        ),
        (replace(FINE, maxmemory=None, maxmemory_policy="allkeys-random"), "evicts queued mails"),
    ],
)
def test_what_loses_mails_by_design_is_refused(state: ServerState, words: str) -> None:
    [finding] = judge(state)
    assert finding.level == "refuse"
    assert words in finding.text


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (replace(FINE, aof=False), "set: appendonly yes"),
        (replace(FINE, aof=False, appendfsync="no"), "set: appendonly yes"),
        (replace(FINE, appendfsync="no"), "set: appendfsync everysec, or always"),
        (replace(FINE, aof_broken=True), "could not be written lately"),
        (
            replace(FINE, maxmemory_policy="allkeys-lru"),
            "once maxmemory is set; set: ",
        ),
        (replace(FINE, appendfsync=None), "could not be checked (the server does not say): appendfsync"),
        (ServerState(), "its version, maxmemory-policy, appendonly"),
    ],
)
def test_what_loses_mails_in_a_crash_alone_is_warned_of(state: ServerState, words: str) -> None:
    [finding] = judge(state)
    assert finding.level == "warn"
    assert words in finding.text


def test_refusals_come_before_warnings() -> None:
    state = replace(FINE, version="5.0", aof=False, cluster=True)
    assert [finding.level for finding in judge(state)] == ["refuse", "refuse", "warn"]


def test_answers_of_a_server_become_its_state() -> None:
    assert state_of(INFO, {"appendfsync": "everysec"}) == FINE
    valkey = {**INFO, "server_mode": "standalone"}
    del valkey["redis_mode"]
    assert state_of(valkey, {"appendfsync": "everysec"}) == FINE


def test_config_says_what_info_does_not() -> None:
    info = {name: value for name, value in INFO.items() if not name.startswith("maxmemory")}
    state = state_of(info, {"maxmemory": "100", "maxmemory-policy": "allkeys-lru"})
    assert (state.maxmemory, state.maxmemory_policy) == (100, "allkeys-lru")


@pytest.mark.parametrize("value", ["", "many", None, [], "0x10"])
def test_answers_that_are_no_numbers_count_as_not_given(value: Any) -> None:
    state = state_of({"aof_enabled": value, "cluster_enabled": value, "maxmemory": value}, {})
    assert (state.aof, state.cluster, state.maxmemory) == (None, None, None)


class Server:
    """Answers INFO and CONFIG as a server does, or refuses to."""

    def __init__(self, info: dict[str, Any], config: Any = None, refused: Exception | None = None) -> None:
        self._info, self._config, self._refused = info, config or {}, refused
        self.asked = 0

    def info(self, _section: str) -> dict[str, Any]:
        self.asked += 1
        if isinstance(self._info, Exception):
            raise self._info
        return self._info

    def register_script(self, _script: str) -> Any:
        return lambda **_: []

    def config_get(self, name: str) -> Any:
        if self._refused:
            raise self._refused
        return {name: self._config[name]} if name in self._config else {}


def test_a_server_that_refuses_config_is_judged_by_what_it_says() -> None:
    for refused in (NoPermissionError("no"), ResponseError("unknown command 'CONFIG'")):
        [finding] = judge(read_state(Server(INFO, refused=refused)))  # type: ignore[arg-type]
        assert finding.text == "could not be checked (the server does not say): appendfsync"


def test_a_server_that_refuses_info_is_not_refused() -> None:
    server = Server(NoPermissionError("no"), refused=NoPermissionError("no"))  # type: ignore[arg-type]
    [finding] = judge(read_state(server))  # type: ignore[arg-type]
    assert finding.level == "warn"


def test_a_server_that_is_away_is_no_finding() -> None:
    with pytest.raises(RedisConnectionError):
        preflight(Server(RedisConnectionError("away")), "refuse")  # type: ignore[arg-type]


def test_an_unfit_server_is_refused_warned_of_or_not_looked_at(caplog: pytest.LogCaptureFixture) -> None:
    info = {**INFO, "redis_version": "5.0.0", "aof_enabled": 0}
    server = Server(info)
    with caplog.at_level(logging.WARNING):
        with pytest.raises(ServerUnfit, match=r"5\.0\.0 is too old") as caught:
            preflight(server, "refuse")  # type: ignore[arg-type]
        assert [finding.level for finding in caught.value.findings] == ["refuse"]
        assert not caplog.messages
        preflight(server, "warn")  # type: ignore[arg-type]
        assert len(caplog.messages) == 2
        asked = server.asked
        preflight(server, "off")  # type: ignore[arg-type]
        assert server.asked == asked


def test_a_fit_server_with_warnings_is_not_refused(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        preflight(Server({**INFO, "aof_enabled": 0}), "refuse")  # type: ignore[arg-type]
    assert caplog.messages == [
        "Redis: without an append-only file a restart loses all mails since the last snapshot; "
        "set: appendonly yes"
    ]


def test_a_stand_in_that_knows_neither_info_nor_config_is_not_refused() -> None:
    assert all(finding.level == "warn" for finding in judge(read_state(fakeredis.FakeRedis(version=7))))
