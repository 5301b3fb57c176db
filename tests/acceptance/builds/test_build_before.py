"""A queue that the build before has filled is drained by this one, and the other way round.

tests/data/redis-REV.json is what that revision left in Redis, as scripts/record_dump.py recorded it. The same
script lets that revision itself drain what this build leaves (`--drain REV`), which needs its code from git.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any, Final

import pytest
from redis import Redis

from rq_ses import Message, Outbox, contract
from support.builds import dump
from support.builds.answers import AnsweringSes
from support.builds.build import Build
from support.builds.draining import drained, faults, states, waiting, wrong
from support.builds.enqueue import STAGES, message
from support.builds.filling import ACCOUNT, fill, work_off
from support.builds.recording import BOUND, recorded, scores, shape, ttls

DATA: Final = Path(__file__).parents[2] / "data"
BEFORE: Final = DATA / "redis-e41c962.json"
"""The last build before both packages moved into rooms."""

RECORDED: Final = sorted(DATA.glob("redis-*.json"))
KEYS: Final = {
    label: terms["key"] for stage in STAGES.values() for label, terms in stage.items() if "key" in terms
}


def but_for_executions(shape: dict[str, Any]) -> dict[str, Any]:
    """Return the form of all keys, but for what names an execution, and blanks in the JSON of results."""
    kept = {name: entry for name, entry in shape.items() if not name.startswith("rq:execution")}
    for name, entry in kept.items():
        value = entry["value"]
        if name.startswith("rq:job:"):
            entry["value"] = {
                field: text for field, text in value.items() if field != contract.EXECUTION_FIELD
            }
        if name.startswith("rq:results:"):
            for _, fields in value:
                if "return_value" in fields:
                    fields["return_value"] = json.loads(fields["return_value"]["base64"])
        if name in ("rq:ses:leases:mail", "rq:wip:mail"):
            entry["value"] = {member.partition(":")[0]: end for member, end in value.items()}
    return kept


def by_job(scores: dict[str, float]) -> dict[str, float]:
    """Return scores by `KEY JOB`, for those of executions as well; RQ's records of them are left out."""
    named = {re.sub(r"( [0-9a-f]{32}):\w+$", r"\1", name): score for name, score in scores.items()}
    return {name: score for name, score in named.items() if not name.startswith("rq:executions:")}


def load(path: Path) -> dump.Dump:
    return dump.load(path.read_text("utf-8"))


@pytest.fixture(params=RECORDED, ids=lambda path: path.stem)
def left(request: pytest.FixtureRequest) -> dump.Dump:
    """What a build before has left."""
    return load(request.param)


def command(redis_url: str, *arguments: str, codes: tuple[int, ...] = (0,)) -> str:
    build = Build()
    return build.run(["-m", "rq_ses", *arguments], build.environment(redis_url, ""), codes=codes)


def test_what_was_recorded_has_every_state() -> None:
    assert BEFORE in RECORDED
    before = load(BEFORE)
    assert {label for stage in STAGES.values() for label in stage} == set(before["jobs"])
    found = Counter(
        before["keys"][f"rq:job:{job_id}"]["value"]["status"] for job_id in before["jobs"].values()
    )
    assert found == {"queued": 7, "scheduled": 5, "started": 2, "finished": 3, "failed": 5, "canceled": 2}


def test_what_it_left_is_drained_and_every_mail_is_sent_once(
    left: dump.Dump, redis: Redis, redis_url: str, tmp_path: Path
) -> None:
    accepted = drained(Build(), redis, redis_url, left, tmp_path)
    assert faults(redis, left["jobs"], accepted) == []
    assert set(accepted) == waiting(left["jobs"])


def test_what_failed_there_is_resent_here(
    left: dump.Dump, redis: Redis, redis_url: str, tmp_path: Path
) -> None:
    drained(Build(), redis, redis_url, left, tmp_path)
    command(redis_url, "resend", "--yes", "--include-unknown", codes=(0, 1))
    with AnsweringSes(difficult=False) as ses:
        work_off(Build(), redis, Build().environment(redis_url, ses.url), tmp_path)
    again = {"doubted-held", "flaky-given-up", "refused", "refused-keyed"}
    assert ses.accepted == dict.fromkeys(again, 1)
    found = states(redis, left["jobs"])
    assert {label for label, status in found.items() if status == "failed"} == {"expired"}


def test_before_anything_is_due_a_live_lease_and_what_is_scheduled_are_left_alone(
    left: dump.Dump, redis: Redis, redis_url: str, tmp_path: Path
) -> None:
    dump.write(redis, left)
    kept = {label for label, status in states(redis, left["jobs"]).items() if status == "scheduled"}
    command(redis_url, "breaker", "close", *ACCOUNT)
    with AnsweringSes(difficult=False) as ses:
        env = Build().environment(redis_url, ses.url)
        work_off(Build(), redis, env, tmp_path, "--transient-delay", "0.1")
    assert set(ses.accepted) == waiting(left["jobs"]) - kept - {"kept-under-way"}
    assert set(ses.accepted.values()) == {1}
    found = states(redis, left["jobs"])
    assert found["kept-under-way"] == "started"
    assert {label for label, status in found.items() if status == "scheduled"} == kept


def test_nothing_is_wrong_with_it_but_that_rq_requeues_a_mail_with_its_time_to_live(
    left: dump.Dump, redis: Redis, redis_url: str
) -> None:
    dump.write(redis, left)
    found = wrong(Build(), Build().environment(redis_url, ""))
    assert found == {left["jobs"]["refused-requeued"]}
    assert redis.ttl(f"rq:job:{left['jobs']['refused-requeued']}") > 0


def test_its_keys_answer_with_its_receipts(left: dump.Dump, redis: Redis) -> None:
    dump.write(redis, left)
    outbox = Outbox(connection=redis)
    for label in (KEYS.keys() & left["jobs"].keys()) - {"canceled"}:
        receipt = outbox.send(message(label), key=KEYS[label])
        assert (receipt.job_id, receipt.duplicate) == (left["jobs"][label], True), label
    other = Message(sender="shop@example.com", to="anna@example.com", subject="Another", text="mail")
    for label in ("sent-keyed", "queued-keyed", "refused-keyed"):
        assert outbox.send(other, key=KEYS[label], on_conflict="keep").conflict, label


def test_each_of_its_mails_is_shown_and_what_waits_is_canceled(
    left: dump.Dump, redis: Redis, redis_url: str
) -> None:
    dump.write(redis, left)
    for label in ("sent", "refused", "doubted-held", "kept-lost", "limited", "queued-terms", "scheduled-at"):
        shown: dict[str, Any] = json.loads(command(redis_url, "show", "--json", left["jobs"][label]))
        assert shown["status"] == states(redis, left["jobs"])[label]
        assert f"{label}@example.com" in json.dumps(shown) or label == "sent"
    for label in ("queued", "queued-bulk", "scheduled-delay", "limited"):
        command(redis_url, "cancel", left["jobs"][label])
        assert states(redis, left["jobs"])[label] == "canceled"


def test_its_gate_is_read(redis: Redis, redis_url: str) -> None:
    dump.write(redis, load(BEFORE))
    shown = command(redis_url, "breaker", "show", *ACCOUNT)
    assert "a build is recorded" in shown


def test_this_build_leaves_what_the_one_before_has_left(redis: Redis, redis_url: str, tmp_path: Path) -> None:
    before = load(BEFORE)
    now = recorded(redis, fill(Build(), redis, redis_url, tmp_path))
    assert but_for_executions(shape(now)) == but_for_executions(shape(before))
    # Its execution stands in the job, and is recorded only once its lease was renewed.
    under_way = now["keys"][f"rq:job:{now['jobs']['kept-under-way']}"]["value"]
    [member] = [
        member
        for member, _ in now["keys"]["rq:wip:mail"]["value"]
        if member.startswith(now["jobs"]["kept-under-way"])
    ]
    assert member.endswith(f":{under_way[contract.EXECUTION_FIELD]}")
    left, given = {name: ttl for name, ttl in ttls(before).items() if "rq:execution" not in name}, ttls(now)
    assert {name: given[name] for name in left if abs(given[name] - left[name]) > BOUND} == {}
    due, stands = by_job(scores(before)), by_job(scores(now))
    assert {name: stands[name] for name in due if abs(stands[name] - due[name]) > BOUND} == {}
