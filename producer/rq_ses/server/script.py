"""The Lua scripts, each in the room of the Python that runs it."""

from __future__ import annotations

import hashlib
from importlib.resources import files

from redis import Redis
from redis.commands.core import Script

from rq_ses import contract


class Source:
    """The text of the script ROOM/NAME (without ".lua"), and the name that servers give it.

    In front of it stand the numbers that it shares with Python.
    """

    def __init__(self, name: str) -> None:
        text = files("rq_ses").joinpath(f"{name}.lua").read_text("utf-8")
        self.text = contract.LUA_CONSTANTS + text
        self.sha = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()


def registered(connection: Redis, name: str) -> Script:
    """Return the script ROOM/NAME as Source has it, to be called; nothing is asked of the server yet."""
    return connection.register_script(Source(name).text)
