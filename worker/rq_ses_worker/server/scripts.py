"""The Lua scripts, each in the room of the Python that runs it: put together, registered and called."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Final
from weakref import WeakSet

from redis import Redis
from redis.exceptions import NoScriptError, RedisError

from rq_ses.server.script import script_text

TYPED: Final = "mails/typed"
"""Stands in front of scripts whose reads must bear keys of another type."""

Parts = tuple[str, ...]
"""The files a script is made of, one behind the other; each is named ROOM/NAME, without ".lua".

Those that producers use, too, stand in their rooms.
"""


def registered(connection: Redis, scripts: Mapping[str, Parts]) -> dict[str, Any]:
    """Return scripts by their names, to be called; nothing is asked of the server yet.

    Args:
        connection: where they will run.
        scripts: the parts of each by its name.
    """
    return {name: connection.register_script(lua(*parts)) for name, parts in scripts.items()}


def lua(*parts: str) -> str:
    """Return the text of a script that is made of these parts."""
    return script_text(map(_text, parts))


def _text(part: str) -> str:
    here = files("rq_ses_worker").joinpath(f"{part}.lua")
    found = here if here.is_file() else files("rq_ses").joinpath(f"{part}.lua")
    return found.read_text("utf-8")


@dataclass(frozen=True, slots=True)
class Call:
    """A registered script with its KEYS and ARGV."""

    script: Any
    keys: Sequence[str]
    args: Sequence[Any]

    def run(self) -> Any:
        """Return the script's reply. Raises RedisError."""
        return self.script(keys=self.keys, args=self.args)


_met: WeakSet[Any] = WeakSet()
"""Registered scripts that their server has had from us."""


def run_together(connection: Any, calls: Sequence[Call]) -> list[Any]:
    """Make some calls in one round trip, in order; return each one's reply, or the RedisError it ended with.

    One whose script the server has forgotten is made once more, behind the others.

    Raises:
        RedisError: the server is away, and which of them have run is unknown; or a single call was refused.
    """
    scripts = [call.script for call in calls]
    if len(calls) == 1:
        reply = calls[0].run()
        _met.update(scripts)
        return [reply]
    # Else the first batch of a worker would be settled behind the claim that takes the place of its mails.
    new = [script for script in dict.fromkeys(scripts) if script not in _met]
    with connection.pipeline(transaction=False) as pipeline:
        for script in new:
            pipeline.script_load(script.script)
        for call in calls:
            pipeline.evalsha(call.script.sha, len(call.keys), *call.keys, *call.args)
        replies: list[Any] = pipeline.execute(raise_on_error=False)[len(new) :]
    _met.update(scripts)
    for place, call in enumerate(calls):
        if isinstance(replies[place], NoScriptError):
            try:
                replies[place] = call.run()
            except RedisError as exc:
                replies[place] = exc
    return replies
