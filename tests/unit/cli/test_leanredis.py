"""redis-py without its asyncio half and its clusters: until somebody asks for those, in whatever way."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from support.programs.processes import PATIENCE, environment

LEAN = "from rq_ses.cli import leanredis\nimport sys, redis\n"


def ran(code: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env=environment(), capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.parametrize(
    "asked",
    [
        "redis.asyncio.Redis",
        "__import__('redis.asyncio', fromlist=['Redis']).Redis",
        "__import__('redis.asyncio.client', fromlist=['Redis']).Redis",
    ],
)
def test_who_asks_for_it_has_it(asked: str) -> None:
    told = ran(
        f"{LEAN}print('redis.asyncio.client' in sys.modules, redis.Redis.__module__)\n"
        f"print({asked}.__module__, redis.asyncio.Redis is {asked}, redis.asyncio.Sentinel.__name__)"
    )
    assert told == ["False", "redis.client", "redis.asyncio.client", "True", "Sentinel"]


def test_a_name_that_it_lacks_is_an_attribute_error() -> None:
    assert ran(f"{LEAN}print(hasattr(redis.asyncio, 'nothing'), hasattr(redis.asyncio, 'Redis'))") == [
        "False", "True",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("asked", "module"),
    [
        ("redis.RedisCluster", "redis.cluster"),
        ("__import__('redis', fromlist=['RedisCluster']).RedisCluster", "redis.cluster"),
        ("__import__('redis.commands', fromlist=['x']).RedisClusterCommands", "redis.commands.cluster"),
    ],
)
def test_clusters_are_loaded_when_they_are_asked_for(asked: str, module: str) -> None:
    told = ran(
        f"{LEAN}client = redis.Redis()\nprint({module!r} in sys.modules)\n"
        f"print({asked}.__module__, redis.Redis is type(client))"
    )
    assert told == ["False", module, "True"]


def test_signatures_for_type_checkers_are_not_kept() -> None:
    assert ran(f"{LEAN}import typing\nprint(len(typing.get_overloads(redis.Redis.get)))") == ["0"]


def test_asyncio_is_whole_for_whoever_uses_it() -> None:
    told = ran(
        f"{LEAN}import logging\nlogging.LogRecord('', 20, '', 0, '', None, None)\n"
        "print('asyncio.base_events' in sys.modules)\n"
        "import asyncio\nfrom asyncio import Lock, get_running_loop\n"
        "async def main(): return get_running_loop().__class__.__name__, Lock is asyncio.locks.Lock\n"
        "print(*asyncio.run(main()), issubclass(asyncio.IncompleteReadError, EOFError))"
    )
    assert told == ["False", "_UnixSelectorEventLoop", "True", "True"]


def test_opentelemetry_is_hidden_from_redis_py_alone(tmp_path: Path) -> None:
    for name in ("", "metrics"):
        (tmp_path / "opentelemetry").mkdir(exist_ok=True)
        (tmp_path / "opentelemetry" / f"{name or '__init__'}.py").write_text("print('loaded', __name__)\n")
    place = f"import sys\nsys.path.insert(0, {str(tmp_path)!r})\n"
    assert ran(f"{place}{LEAN}redis.Redis()\nimport opentelemetry") == ["loaded", "opentelemetry"]


def test_a_redis_py_of_another_make_is_loaded_as_a_whole() -> None:
    code = """\
import sys
from importlib.machinery import SourceFileLoader
execute = SourceFileLoader.exec_module
def refusing(self, module):
    if module.__name__ == "redis.client" and not hasattr(sys.modules["redis.asyncio"], "_refused"):
        type(sys.modules["redis.asyncio"])._refused = True
        raise ImportError("cannot import name")
    return execute(self, module)
SourceFileLoader.exec_module = refusing
from rq_ses.cli import leanredis
SourceFileLoader.exec_module = execute
print("redis" in sys.modules, "redis.asyncio" in sys.modules)
import redis
print("redis.asyncio.client" in sys.modules)
"""
    assert ran(code) == ["False", "False", "True"]


def test_threads_that_ask_at_once_wait_for_the_one_that_loads_it() -> None:
    code = f"""{LEAN}
import threading
sys.setswitchinterval(1e-5)
together, missed = threading.Barrier(8), []
def ask():
    together.wait()
    try:
        redis.asyncio.Redis, redis.RedisCluster, sys.modules["asyncio"].get_running_loop
    except AttributeError as exc:
        missed.append(str(exc))
threads = [threading.Thread(target=ask) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(len(missed), *missed[:1])
"""
    assert ran(code) == ["0"]
