"""Plans what is asked of one server: a script, which it is given if it doesn't know it, or a command."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self

from redis import Redis
from redis.exceptions import NoScriptError

from rq_ses.keys import Keys, keys_of
from rq_ses.outbox.plans.steps import Exchange, Line
from rq_ses.outbox.threads import ClientLine
from rq_ses.plan import Plan
from rq_ses.server.script import Source
from rq_ses.server.stored import answered


class Asks(Protocol):
    """What can be asked of a server; its plans raise what it can't answer by."""

    @property
    def keys(self) -> Keys:
        """Those under which it works."""
        ...

    def command(self, *command: Any) -> Plan[Any]:
        """Return the reply to a command; None where its key is of another type."""
        ...

    def run(self, script: Source, keys: Sequence[Any], args: Sequence[Any]) -> Plan[Any]:
        """Return a script's reply."""
        ...


@dataclass(frozen=True, slots=True)
class Asked:
    """A server, and until when it is asked; every plan raises RedisError or OSError."""

    line: Line
    keys: Keys
    until: float = math.inf
    """The moment (time.monotonic()) at which what is asked is given up."""

    @classmethod
    def over(cls, client: Redis) -> Self:
        """Return the one that a client leads to."""
        return cls(ClientLine(client), keys_of(client))

    def command(self, *command: Any) -> Plan[Any]:
        """Return the reply to a command; None where its key is of another type."""
        [reply] = yield Exchange(self.line, (command,), self.until)
        return answered(reply)

    def run(self, script: Source, keys: Sequence[Any], args: Sequence[Any]) -> Plan[Any]:
        """Return a script's reply."""
        call = ("EVALSHA", script.sha, len(keys), *keys, *args)
        try:
            return (yield from self.command(*call))
        except NoScriptError:
            yield from self.command("SCRIPT LOAD", script.text)
        return (yield from self.command(*call))
