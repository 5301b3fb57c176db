"""A dump as it is recorded, and its shape: what two builds must have in common."""

from __future__ import annotations

import hashlib
import re
from typing import Any

from redis import Redis

from support.builds import dump
from support.builds.dump import Dump

MOMENT = 1_767_225_600.0
"""Epoch seconds at which every recorded dump was made."""

BOUND = 120
"""Seconds by which times to live may differ; a key that has no more may be gone."""

_NONCE = re.compile(r"^([0-9a-f]{32}):[0-9a-f]{16}$")
_OF_THIS_MACHINE = {
    "hostname": "host", "pid": "4711", "ip_address": "127.0.0.1:4711", "python_version": "3.11",
}  # fmt: skip
_FORMS = (
    (re.compile(r"\b20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z"), "<date>"),
    (re.compile(r"(?<![\w.])1[6-9]\d{8}(?:\.\d+)?(?![\w.])"), "<moment>"),
    (re.compile(r"(?<![\w.])1[6-9]\d{11}-\d+"), "<entry>"),
    (re.compile(r"(?<![\w.:])\d+\.\d{2,}(?![\w.])"), "<decimal>"),
)
_ALIVE = frozenset(("started", "idle", "busy"))
"""States of a worker: which of them the last heartbeat before the kill has told, is chance."""
_LOCKS = "rq:clean_registries:"
_WORKERS = "rq:worker:"
_KILLED = ("worker.lost", "worker.under-way")
"""Workers whose hashes stand still: one that ends leaves its own for a minute alone."""

_STEADY = frozenset((0, 1, 2, 13, 14, 15, 16, 18, 19))
"""Places of the gate's packed numbers that are alike in every recording: how many mails were claimed and have
failed, the rate and to what it was lowered, the day's quota. The others are moments and measures.
"""


def recorded(redis: Redis, jobs: dict[str, str]) -> Dump:
    """Return what stands in a database, with what differs from run to run put in order."""
    made = dump.at({**dump.read(redis), "jobs": jobs}, MOMENT)
    # RQ's lock of a clean-up, which a worker that is killed in it leaves: by chance, and for 15 minutes.
    made["keys"] = {name: key for name, key in made["keys"].items() if not name.startswith(_LOCKS)}
    names = {job_id: label for label, job_id in jobs.items()}
    new = {job_id: _id(label) for job_id, label in names.items() if not _keyed(made, job_id)}
    for member, _ in made["keys"]["rq:ses:leases:mail"]["value"]:
        job_id, _, execution = member.partition(":")
        # What chance makes of it: of a build before, 16 digits.
        size = 16 if len(execution) == 25 else 8
        new[execution] = _id(f"execution of {names[job_id]}")[:size] + execution[size:]
    pattern = re.compile("|".join(new))

    def name(text: str) -> str:
        return _NONCE.sub(r"\1:0123456789abcdef", pattern.sub(lambda found: new[found[0]], text))

    made = dump.mapped({"keys": made["keys"], "jobs": made["jobs"]}, name)
    for entry in made["keys"].values():
        if entry["type"] == "hash" and "birth" in entry["value"]:
            entry["value"].update(_OF_THIS_MACHINE)
    return {**made, "moment": MOMENT}


def shape(recording: Dump) -> dict[str, Any]:
    """Return the form of each lasting key's value, and of each killed worker's hash.

    Texts are as they are; times and measures are what they are.
    """
    killed = {_WORKERS + name for name in _KILLED}
    return {
        name: {"type": entry["type"], "value": _form(entry["value"], entry["type"])}
        for name, entry in recording["keys"].items()
        if entry.get("ttl", BOUND + 1) > BOUND or name in killed
    }


def ttls(recording: Dump) -> dict[str, int]:
    """Return the seconds that each lasting key with an end has."""
    return {name: entry["ttl"] for name, entry in recording["keys"].items() if entry.get("ttl", 0) > BOUND}


def scores(recording: Dump) -> dict[str, float]:
    """Return how many seconds from its own moment each member of a sorted set stands, by `KEY MEMBER`."""
    return {
        f"{name} {member}": score - recording["moment"]
        for name, entry in recording["keys"].items()
        if entry["type"] == "zset"
        for member, score in entry["value"]
    }


def _keyed(made: Dump, job_id: str) -> bool:
    return "rq_ses_key" in made["keys"][f"rq:job:{job_id}"]["value"]


def _id(label: str) -> str:
    return hashlib.blake2b(label.encode(), digest_size=16).hexdigest()


def _form(value: Any, kind: str = "") -> Any:
    if kind == "zset":
        return {member: _form(score) for member, score in sorted(value)}
    if isinstance(value, dict) and "doubles" in value:
        return [number if at in _STEADY else _form(number) for at, number in enumerate(value["doubles"])]
    if isinstance(value, dict):
        formed = {name: "<count>" if name == "fails" else _form(item) for name, item in value.items()}
        if "birth" in formed and formed["state"] in _ALIVE:
            formed["state"] = "<alive>"
        return formed
    if isinstance(value, list):
        return [_form(item) for item in value]
    if isinstance(value, float):
        return "<moment>" if value > 1.6e9 else "<measure>"
    for pattern, form in _FORMS:
        value = pattern.sub(form, value)
    return value
