"""The Lua scripts, each in the room of the Python that runs it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from importlib.resources import files
from typing import Final

from redis import Redis
from redis.commands.core import Script

from rq_ses import contract

_NAME: Final = re.compile(r"\b[A-Z]+(?:_[A-Z]+)+\b|\bflow\.([a-z_]+)\b")
_COMMENT: Final = re.compile(r"^[ \t]*--.*", re.MULTILINE)
"""A line of nothing else: a third of a text, which workers keep and servers, too."""


def script_text(parts: Iterable[str]) -> str:
    """Return the text of a script: its parts, with the values of `contract.LUA_CONSTANTS` for their names.

    `flow.tokens` becomes `flow[12]`, for it is the twelfth of `contract.FLOW_NAMES`, and so on.
    Values cost a call nothing, where arguments would be read anew by each. Comments become empty lines.
    """
    return _NAME.sub(_value, _COMMENT.sub("", "\n".join(parts)))


def _value(found: re.Match[str]) -> str:
    if found[1]:
        return f"flow[{contract.FLOW_NAMES.index(found[1]) + 1}]"
    value = contract.LUA_CONSTANTS.get(found[0])
    return found[0] if value is None else json.dumps(value)


class Source:
    """The text of a script, and the name that servers give it.

    Args:
        parts: the files it is made of, one behind the other; each is named ROOM/NAME, without ".lua".
    """

    def __init__(self, *parts: str) -> None:
        package = files("rq_ses")
        texts = (package.joinpath(f"{part}.lua").read_text("utf-8") for part in parts)
        self.text = script_text(texts)
        self.sha = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()


def registered(connection: Redis, *parts: str) -> Script:
    """Return the script of these parts as Source has it, to be called; nothing is asked of the server yet."""
    return connection.register_script(Source(*parts).text)
