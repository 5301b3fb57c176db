"""Loads redis-py for a command: without what no command uses, unless somebody asks for it.

`import redis` loads its asyncio half, its client of clusters and all of asyncio: 4 MB of each worker, and
more time than all of click takes. Here those packages stand as modules that load themselves when they are
first asked for a name; a few names are known by the module they are in, which is loaded alone. OpenTelemetry,
which redis-py looks for and nobody can switch on here, is hidden from it while it is loaded. Only in
processes that are commands of rq-ses: an app's redis-py is the app's business.
"""

from __future__ import annotations

import importlib
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.machinery import ModuleSpec, PathFinder
from types import FrameType, ModuleType
from typing import Any, Final, clear_overloads

_REDIS: Final = "redis"
_TELEMETRY: Final = "opentelemetry"

_DEFERRED: Final[Mapping[str, Mapping[str, str]]] = {
    # What redis-py's synchronous half has of it; logging asks for the last one from Python 3.12 on.
    "asyncio": {
        "IncompleteReadError": "asyncio.exceptions",
        "Lock": "asyncio.locks",
        "StreamReader": "asyncio.streams",
        "TimeoutError": "asyncio.exceptions",
        "current_task": "asyncio.tasks",
    },
    "redis": {
        "BlockingConnectionPool": "redis.connection",
        "Connection": "redis.connection",
        "ConnectionPool": "redis.connection",
        "Redis": "redis.client",
        "RedisError": "redis.exceptions",
        "Sentinel": "redis.sentinel",
        "SentinelConnectionPool": "redis.sentinel",
        "SentinelManagedConnection": "redis.sentinel",
        "SentinelManagedSSLConnection": "redis.sentinel",
    },
    "redis.asyncio": {},
    "redis.commands": {
        "CoreCommands": "redis.commands.core",
        "RedisModuleCommands": "redis.commands.redismodules",
        "SentinelCommands": "redis.commands.sentinel",
        "list_or_args": "redis.commands.helpers",
    },
}
"""Packages, and by name in which of their modules something is that is asked for all the time."""

_ASKED: Final = ("__all__", "__version__")
"""Names with underscores that a package has itself."""


class _Deferred(ModuleType):
    """A package that is executed when it is first asked for a name that it doesn't have."""

    def __init__(self, spec: ModuleSpec, places: Mapping[str, str]) -> None:
        super().__init__(spec.name)
        self._loading = threading.RLock()
        self.__spec__ = spec
        self.__loader__ = spec.loader
        self.__package__ = spec.name
        self.__file__ = spec.origin
        self.__path__ = list(spec.submodule_search_locations or ())
        self._places = places

    def __getattr__(self, name: str) -> Any:
        if name in self._places:
            return getattr(importlib.import_module(self._places[name]), name)
        # Names like __wrapped__ are asked for by whoever looks at all modules there are.
        # And a module of this package that is being imported may ask for another one, which is found then.
        hidden = name.startswith("__") and name not in _ASKED
        if hidden or _is_executed_here(self.__name__):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        with self._loading:
            if isinstance(self, _Deferred) and self.__spec__ and self.__spec__.loader:
                self.__spec__.loader.exec_module(self)
                self.__class__ = ModuleType  # type: ignore[assignment]
        return getattr(self, name)


def _is_executed_here(package: str) -> bool:
    """Tell whether the package, or a module of it, is just being imported by this very thread."""
    frame: FrameType | None = sys._getframe(1)
    while frame:
        name = str(frame.f_globals.get("__name__"))
        if frame.f_code.co_name == "<module>" and f"{name}.".startswith(f"{package}."):
            return True
        frame = frame.f_back
    return False


def load_redis() -> None:
    """Load redis-py, unless it is loaded already."""
    if _REDIS in sys.modules or PathFinder.find_spec(_REDIS) is None:
        return
    for name, places in _DEFERRED.items():
        if name not in sys.modules:
            _defer(name, places)
    try:
        with _without(_TELEMETRY):
            importlib.import_module("redis.client")
        # One of its signatures after the other is kept for whoever asks for them: half a megabyte.
        clear_overloads()
    except (ImportError, AttributeError):
        # A version that is put together in another way: it is imported as a whole, by whoever needs it.
        for name in [name for name in sys.modules if name.partition(".")[0] == _REDIS]:
            del sys.modules[name]


def _defer(name: str, places: Mapping[str, str]) -> None:
    parent, _, last = name.rpartition(".")
    spec = PathFinder.find_spec(name, sys.modules[parent].__path__ if parent else None)
    if spec is None:
        return
    sys.modules[name] = module = _Deferred(spec, places)
    if parent:
        setattr(sys.modules[parent], last, module)


@contextmanager
def _without(name: str) -> Iterator[None]:
    """Let a package that isn't loaded yet seem absent."""
    absent = sys.modules.setdefault(name, None) is None  # type: ignore[arg-type]
    try:
        yield
    finally:
        if absent:
            del sys.modules[name]


load_redis()
