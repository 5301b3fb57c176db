"""The Lua scripts, each in the room of the Python that runs it."""

from __future__ import annotations

from importlib.resources import files

from redis import Redis
from redis.commands.core import Script


def registered(connection: Redis, name: str) -> Script:
    """Return the script ROOM/NAME (without ".lua"), to be called; nothing is asked of the server yet."""
    return connection.register_script(files("rq_ses").joinpath(f"{name}.lua").read_text("utf-8"))
