"""redis-py without its asyncio half: until somebody asks for that, in whatever way."""

from __future__ import annotations

import subprocess
import sys

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
