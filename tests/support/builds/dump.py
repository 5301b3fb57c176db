"""A Redis as JSON: each key with its type, its value and its time to live, legible and at a fixed time.

Values are kept as what they mean: text, compressed text as its text, the packed numbers of an account's gate
as numbers. So a dump can be read, doesn't depend on the server's version, and is shifted to any time.
"""

from __future__ import annotations

import base64
import json
import re
import struct
import zlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from redis import Redis

Dump = dict[str, Any]
"""{"moment": epoch seconds, "keys": {key: {"type", "ttl" (seconds, or none), "value"}}, "jobs": …}"""

_DATE = re.compile(r"\b20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?=Z|\+00:00)")
_MOMENT = re.compile(r"(?<![\w.])1[6-9]\d{8}(?:\d{3}(?=-))?(?:\.\d+)?(?![\w.])")
"""Epoch seconds; milliseconds where they begin the id of a stream's entry."""
_EPOCHS = (1.6e9, 2e9)


def read(redis: Redis) -> Dump:
    """Read all that stands in a database."""
    keys = {}
    for key in sorted(redis.scan_iter("*")):
        kind = redis.type(key).decode()
        left = redis.ttl(key)
        keys[key.decode()] = {
            "type": kind,
            **({"ttl": left} if left >= 0 else {}),
            "value": _READERS[kind](redis, key),
        }
    seconds, micros = redis.time()
    return {"moment": seconds + micros / 1e6, "keys": keys}


def write(redis: Redis, dump: Dump, *, ago: float = 0.0) -> None:
    """Write a dump into a database as if it had been made `ago` seconds before now."""
    seconds, micros = redis.time()
    for key, entry in at(dump, seconds + micros / 1e6 - ago)["keys"].items():
        left = entry.get("ttl")
        if left is not None and left <= ago:
            continue
        _WRITERS[entry["type"]](redis, key, entry["value"])
        if left is not None:
            redis.pexpire(key, round((left - ago) * 1000))


def at(dump: Dump, moment: float) -> Dump:
    """Return a dump with all its moments shifted, as if it had been made at `moment` (epoch seconds)."""
    seconds = moment - dump["moment"]
    keys = {
        name: {**entry, "value": _shifted(entry["value"], seconds)} for name, entry in dump["keys"].items()
    }
    return {**dump, "moment": moment, "keys": keys}


def mapped(value: Any, change: Callable[[str], str]) -> Any:
    """Return a value with all its texts, names too, as `change` has them."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {change(name): mapped(item, change) for name, item in value.items()}
    return [mapped(item, change) for item in value] if isinstance(value, list) else value


def _shifted(value: Any, seconds: float) -> Any:
    def text(old: str) -> str:
        old = _DATE.sub(lambda found: _date(found[0], seconds), old)
        return _MOMENT.sub(lambda found: _moment(found[0], seconds), old)

    if isinstance(value, dict):
        return {name: _shifted(item, seconds) for name, item in value.items()}
    if isinstance(value, list):
        return [_shifted(item, seconds) for item in value]
    if isinstance(value, float) and _EPOCHS[0] < value < _EPOCHS[1]:
        return round(value + seconds, 6)
    return text(value) if isinstance(value, str) else value


def _date(text: str, seconds: float) -> str:
    moment = datetime.fromisoformat(text).replace(tzinfo=UTC) + timedelta(seconds=seconds)
    return moment.replace(tzinfo=None).isoformat(timespec="microseconds" if "." in text else "seconds")


def _moment(text: str, seconds: float) -> str:
    if len(text.partition(".")[0]) == 13:
        return str(int(text) + round(seconds * 1000))
    places = len(text.partition(".")[2])
    return f"{float(text) + seconds:.{min(places, 6)}f}" if places else str(round(int(text) + seconds))


def packed(value: Any) -> bytes:
    """Return the bytes that a dump's value stands for."""
    if isinstance(value, str):
        return value.encode()
    if "base64" in value:
        return base64.b64encode(packed(value["base64"]))
    if "zlib" in value:
        return zlib.compress(value["zlib"].encode())
    if "doubles" in value:
        return struct.pack(f">{len(value['doubles'])}d", *value["doubles"])
    return bytes.fromhex(value["bytes"])


def unpacked(data: bytes) -> Any:
    """Return bytes as a dump has them."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        pass
    try:
        return {"zlib": zlib.decompress(data).decode()}
    except (zlib.error, UnicodeDecodeError):
        pass
    if len(data) % 8 == 0:
        return {"doubles": list(struct.unpack(f">{len(data) // 8}d", data))}
    return {"bytes": data.hex()}


def _result(name: bytes, value: bytes) -> Any:
    if name in (b"exc_string", b"return_value"):
        return {"base64": unpacked(base64.b64decode(value))}
    return unpacked(value)


def _hash(redis: Redis, key: bytes) -> Any:
    return {name.decode(): unpacked(value) for name, value in sorted(redis.hgetall(key).items())}


def _stream(redis: Redis, key: bytes) -> Any:
    return [
        [number.decode(), {name.decode(): _result(name, value) for name, value in sorted(fields.items())}]
        for number, fields in redis.xrange(key)
    ]


_READERS: dict[str, Callable[[Redis, bytes], Any]] = {
    "string": lambda redis, key: unpacked(redis.get(key)),
    "list": lambda redis, key: [unpacked(item) for item in redis.lrange(key, 0, -1)],
    "set": lambda redis, key: sorted(item.decode() for item in redis.smembers(key)),
    "zset": lambda redis, key: [
        [m.decode(), score] for m, score in redis.zrange(key, 0, -1, withscores=True)
    ],
    "hash": _hash,
    "stream": _stream,
}
_WRITERS: dict[str, Callable[[Redis, str, Any], Any]] = {
    "string": lambda redis, key, value: redis.set(key, packed(value)),
    "list": lambda redis, key, value: redis.rpush(key, *map(packed, value)),
    "set": lambda redis, key, value: redis.sadd(key, *value),
    "zset": lambda redis, key, value: redis.zadd(key, dict(value)),
    "hash": lambda redis, key, value: redis.hset(
        key, mapping={name: packed(item) for name, item in value.items()}
    ),
    "stream": lambda redis, key, value: [
        redis.xadd(key, {name: packed(item) for name, item in fields.items()}, id=number)
        for number, fields in value
    ],
}


def load(text: str) -> Dump:
    """Read a recorded dump."""
    dump: Dump = json.loads(text)
    return dump


def stored(dump: Dump) -> str:
    """Return a dump as it is recorded."""
    return json.dumps(dump, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
