"""Loads redis-py for a command: without its asyncio half, unless somebody asks for that.

`import redis` loads `redis.asyncio`, too, which takes as long as all of click, and 1.5 MB of each worker.
Here it stands as a module that loads itself when it is first asked for a name. Only in processes that are
commands of rq-ses: an app's redis-py is the app's business.
"""

from __future__ import annotations

import importlib
import sys
import threading
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any, Final

_REDIS: Final = "redis"
_ASYNCIO: Final = "redis.asyncio"

_loading = threading.RLock()


class _Deferred(ModuleType):
    """A package that is executed when it is first asked for a name that it doesn't have."""

    _busy = False

    def __init__(self, spec: ModuleSpec) -> None:
        super().__init__(spec.name)
        self.__spec__ = spec
        self.__loader__ = spec.loader
        self.__package__ = spec.name
        self.__file__ = spec.origin
        self.__path__ = list(spec.submodule_search_locations or ())

    def __getattr__(self, name: str) -> Any:
        # Names like __wrapped__ are asked for by whoever looks at all modules there are.
        # And a module of this package that is being imported may ask for another one, which is found then.
        if name.startswith("__") or self._busy or _is_imported_from():
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        with _loading:
            if isinstance(self, _Deferred) and self.__spec__ and self.__spec__.loader:
                self._busy = True
                self.__spec__.loader.exec_module(self)
                self.__class__ = ModuleType  # type: ignore[assignment]
        return getattr(self, name)


def _is_imported_from() -> bool:
    """Tell whether a module of the package is just being executed."""
    inside = [module for name, module in list(sys.modules.items()) if name.startswith(f"{_ASYNCIO}.")]
    return any(getattr(module.__spec__, "_initializing", False) for module in inside)


def load_redis() -> None:
    """Load redis-py, unless it is loaded already."""
    if _REDIS in sys.modules or not (spec := _asyncio()):
        return
    sys.modules[_ASYNCIO] = _Deferred(spec)
    try:
        importlib.import_module(_REDIS)
    except (ImportError, AttributeError):
        # A version that is put together in another way: it is imported as a whole, by whoever needs it.
        for name in [name for name in sys.modules if name.partition(".")[0] == _REDIS]:
            del sys.modules[name]


def _asyncio() -> ModuleSpec | None:
    package = PathFinder.find_spec(_REDIS)
    return package and PathFinder.find_spec(_ASYNCIO, package.submodule_search_locations)


load_redis()
