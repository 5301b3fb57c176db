"""The Lua scripts, each in the room of the Python that runs it: how they are put together and registered."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from typing import Any, Final

from redis import Redis

from rq_ses import contract

SCRATCH: Final = f"{contract.PREFIX}ses:scratch"
"""A key of no meaning: scripts begin with its deletion, and make there what is then moved as a whole."""

TYPED: Final = "server/typed"
"""Stands in front of scripts whose reads must bear keys of another type."""


def registered(connection: Redis, scripts: Mapping[str, tuple[str, ...]]) -> dict[str, Any]:
    """Return scripts by their names, to be called; nothing is asked of the server yet.

    Args:
        connection: where they will run.
        scripts: the parts of each by its name, as `lua` takes them.
    """
    return {name: connection.register_script(lua(*parts)) for name, parts in scripts.items()}


def lua(*parts: str) -> str:
    """Return the text of some scripts, one behind the other; each is named ROOM/NAME, without ".lua"."""
    package = files("rq_ses_worker")
    return "\n".join(package.joinpath(f"{part}.lua").read_text("utf-8") for part in parts)
