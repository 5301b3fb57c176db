"""The Lua scripts, each in the room of the Python that runs it."""

from __future__ import annotations

import hashlib
from importlib.resources import files

from redis import Redis
from redis.commands.core import Script

from rq_ses import contract


class Source:
    """The text of a script, and the name that servers give it.

    In front of it stand the numbers that it shares with Python.

    Args:
        parts: the files it is made of, one behind the other; each is named ROOM/NAME, without ".lua".
    """

    def __init__(self, *parts: str) -> None:
        package = files("rq_ses")
        texts = (package.joinpath(f"{part}.lua").read_text("utf-8") for part in parts)
        self.text = contract.LUA_CONSTANTS + "\n".join(texts)
        self.sha = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()


def registered(connection: Redis, *parts: str) -> Script:
    """Return the script of these parts as Source has it, to be called; nothing is asked of the server yet."""
    return connection.register_script(Source(*parts).text)
