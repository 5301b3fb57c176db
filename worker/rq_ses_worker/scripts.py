"""The Lua scripts of the transitions (lua/*.lua), as they are put together and registered."""

from __future__ import annotations

from importlib.resources import files
from typing import Any, Final

from redis import Redis

from rq_ses import contract

SCRATCH: Final = f"{contract.PREFIX}ses:scratch"
"""A key of no meaning: scripts begin with its deletion, and make there what is then moved as a whole."""

SCRIPTS: Final = ("claim", "settle", "observe", "limits", "promote", "reclaim", "renew")
"""Those of rq_ses_worker.lifecycle."""

_GATED: Final = frozenset({"claim", "observe", "limits"})
"""Scripts that have gate.lua in front of them."""


def registered(connection: Redis) -> dict[str, Any]:
    """Return SCRIPTS by their names, to be called; nothing is asked of the server yet."""
    return {
        name: connection.register_script(lua("typed", *["gate"] * (name in _GATED), name)) for name in SCRIPTS
    }


def lua(*names: str) -> str:
    """Return the text of some of lua/*.lua, one behind the other."""
    folder = files("rq_ses_worker").joinpath("lua")
    return "\n".join(folder.joinpath(f"{name}.lua").read_text("utf-8") for name in names)
