"""Scripts that break off at one of their calls, lost connections, and a user who is refused some commands."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any

import pytest
from redis import Redis
from redis.connection import AbstractConnection
from redis.exceptions import ConnectionError as ConnectionLost

from rq_ses import Outbox
from rq_ses.server.script import Source

DENIED = "NOPERM this user has no permissions to run the command"
"""What a refusal says; WRONGTYPE would be another matter."""

USER = "restricted"

_CALLS = "breaking:calls"

_WRAPPED = """
local _redis, _calls = redis, 0
local function _counted(...)
  _calls = _calls + 1
  _redis.call('SET', '%s', _calls)
  if _calls == %d then return false end
  return true
end
local redis = {
  call = function(...)
    if not _counted() then error('%s', 0) end
    return _redis.call(...)
  end,
  pcall = function(...)
    if not _counted() then return { err = '%s' } end
    return _redis.pcall(...)
  end,
  error_reply = _redis.error_reply, sha1hex = _redis.sha1hex,
}
"""


def breaking(lua: str, number: int, words: str = DENIED) -> str:
    """Return the script that is refused its `number`th call (from 1)."""
    return _WRAPPED % (_CALLS, number, words, words) + lua


class Breakable:
    """Stands in the place of a registered script; breaks off at the call it was told, once."""

    def __init__(self, redis: Redis, script: Any) -> None:
        self._redis = redis
        self._script = script
        self.script = script.script
        self.at = 0

    @property
    def sha(self) -> str:
        """What a call in a round trip with others names it by."""
        at, self.at = self.at, 0
        return str(self._redis.script_load(breaking(self.script, at)) if at else self._script.sha)

    def __call__(self, **arguments: Any) -> Any:
        at, self.at = self.at, 0
        if not at:
            return self._script(**arguments)
        return self._redis.register_script(breaking(self.script, at))(**arguments)


class BreakableSource:
    """Stands in the place of an Outbox's script; breaks off at the call it was told, once."""

    def __init__(self, redis: Redis, source: Source) -> None:
        self._redis = redis
        self._source = source
        self.text = source.text
        self.at = 0

    @property
    def sha(self) -> str:
        at, self.at = self.at, 0
        return str(self._redis.script_load(breaking(self.text, at))) if at else self._source.sha


def breakable_source(redis: Redis, outbox: Outbox) -> BreakableSource:
    """Return what stands in the place of an Outbox's script from now on."""
    enqueueing: Any = outbox._sending._enqueueing
    enqueueing.script = BreakableSource(redis, enqueueing.script)
    return enqueueing.script  # type: ignore[no-any-return]


def each_break(redis: Redis, act: Callable[[int], None]) -> int:
    """Call `act` with 1, 2, …, on an empty server each time, up to its script's last call; return that."""
    for number in count(1):
        redis.flushall()
        act(number)
        if int(redis.get(_CALLS) or 0) < number:
            return number - 1
    raise AssertionError


@dataclass(slots=True)
class Countdown:
    """Counts commands that are sent."""

    left: int
    """Those until one is lost; above 0 at the end: there were fewer."""


@contextmanager
def lost_at(number: int) -> Iterator[Countdown]:
    """Lose a connection, whichever sends the `number`th command (from 1), once, until the block is left."""
    sending, countdown = AbstractConnection.send_packed_command, Countdown(number)

    def send(self: Any, command: Any, check_health: bool = True) -> None:
        countdown.left -= 1
        if countdown.left == 0:
            raise ConnectionLost("broken off")
        sending(self, command, check_health)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(AbstractConnection, "send_packed_command", send)
        yield countdown


def let(redis: Redis, *rules: str) -> None:
    """Let the user do this and nothing else."""
    redis.execute_command("ACL", "SETUSER", USER, "reset", "on", "nopass", *rules)
