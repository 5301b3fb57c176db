"""How the doctor judges a Redis server by what it tells of itself."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import rq_ses
import rq_ses_worker
from rq_ses_worker.doctor.server import judged
from rq_ses_worker.engine.preflight.rights import COMMANDS
from rq_ses_worker.engine.preflight.server import ServerState
from support.findings import severities


def test_a_server_as_it_should_be_is_fine() -> None:
    state = ServerState("7.2.4", "standalone", False, 0, "noeviction", True, False, "everysec")
    assert severities(judged(state)) == dict.fromkeys(
        ("redis.version", "redis.mode", "redis.eviction", "redis.aof"), "ok"
    )


@pytest.mark.parametrize(
    ("changes", "id_", "severity", "words"),
    [
        ({"version": "6.0.9"}, "redis.version", "error", "Redis 6.2 or later"),
        ({"version": None}, "redis.version", "warning", "+info"),
        ({"cluster": True}, "redis.mode", "error", "RQ_KEY_PREFIX"),
        ({"script_error": "ERR"}, "redis.mode", "error", "look at its version"),
        ({"maxmemory_policy": "allkeys-lru", "maxmemory": 1}, "redis.eviction", "error", "noeviction"),
        ({"maxmemory_policy": "allkeys-lru"}, "redis.eviction", "warning", "noeviction"),
        ({"aof": False}, "redis.aof", "warning", "appendonly yes"),
        ({"appendfsync": "no"}, "redis.aof", "warning", "appendfsync everysec"),
        ({"aof_broken": True}, "redis.aof", "warning", "its disk"),
    ],
)
def test_a_server_that_loses_mails_is_found_out_with_the_line_to_set(
    changes: dict[str, Any], id_: str, severity: str, words: str
) -> None:
    fine = ServerState("7.2.4", "standalone", False, 0, "noeviction", True, False, "everysec")
    found = [finding for finding in judged(replace(fine, **changes)) if finding.severity != "ok"]
    assert [(finding.id, finding.severity) for finding in found] == [(id_, severity)]
    assert words in found[0].remedy
    assert words not in found[0].text


def test_every_command_of_the_scripts_is_tried() -> None:
    sources = [*Path(rq_ses_worker.__path__[0]).rglob("*.lua"), *Path(rq_ses.__path__[0]).rglob("*.lua")]
    called = {
        command for path in sources for command in re.findall(r"redis\.p?call\('([A-Z ]+)'", path.read_text())
    }
    assert "COPY" in called
    assert called <= COMMANDS.keys()
