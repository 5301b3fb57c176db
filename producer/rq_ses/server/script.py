"""The Lua scripts, each in the room of the Python that runs it."""

from __future__ import annotations

from importlib.resources import files

from redis import Redis
from redis.commands.core import Script

from rq_ses import contract


def registered(connection: Redis, name: str) -> Script:
    """Return the script ROOM/NAME (without ".lua"), to be called; nothing is asked of the server yet.

    In front of it stand the numbers that it shares with Python.
    """
    text = files("rq_ses").joinpath(f"{name}.lua").read_text("utf-8")
    return connection.register_script(contract.LUA_CONSTANTS + text)
