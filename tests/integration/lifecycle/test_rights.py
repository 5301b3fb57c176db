"""A user without one right: preflight names it, and a worker that goes on all the same strands nothing."""

from __future__ import annotations

import re
from collections import Counter
from contextlib import suppress
from importlib.resources import files
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import RedisError

from rq_ses import Outbox
from rq_ses_worker.engine.preflight.rights import COMMANDS, Missing, missing_rights, needed_commands
from rq_ses_worker.engine.preflight.server import ServerUnfit, preflight
from rq_ses_worker.lifecycle.transitions import Lifecycle
from support.mails.breaking import let
from support.mails.mail import mail
from support.mails.world import LEASES, World, ending


def test_a_user_with_all_rights_misses_none(redis: Redis, restricted: Redis) -> None:
    assert missing_rights(redis) == Missing()
    assert missing_rights(restricted) == Missing()


@pytest.mark.parametrize("command", needed_commands())
def test_each_right_that_is_missing_is_named_at_the_start(
    redis: Redis, restricted: Redis, command: str
) -> None:
    let(redis, "~rq:*", "&rq:*", "+@all", f"-{command.lower()}")
    with pytest.raises(ServerUnfit) as caught:
        preflight(restricted, "refuse")
    assert f"this user may not call {command}; set: ACL SETUSER … +{command.lower()}" in str(caught.value)


def test_all_missing_rights_are_named_at_once(redis: Redis, restricted: Redis) -> None:
    let(redis, "~rq:job:*", "~rq:ses:*", "&other", "+@all", "-persist", "-zadd")
    missing = missing_rights(restricted)
    assert missing is not None
    assert missing.commands == ("PERSIST", "ZADD")
    assert "rq:queue:*" in missing.keys
    assert "rq:job:*" not in missing.keys
    assert str(missing).endswith("set: ACL SETUSER … +persist +zadd ~rq:* &rq:*")


def test_keys_that_may_only_be_read_are_missing(redis: Redis, restricted: Redis) -> None:
    let(redis, "%R~rq:*", "&rq:*", "+@all")
    assert "rq:queue:*" in missing_rights(restricted).keys  # type: ignore[union-attr]


def test_a_user_who_may_not_run_scripts_is_told_so(redis: Redis, restricted: Redis) -> None:
    let(redis, "~rq:*", "&rq:*", "+@all", "-evalsha")
    assert str(missing_rights(restricted)).startswith("this user may not call EVALSHA")


def test_every_command_of_a_script_is_written_so_that_it_is_found() -> None:
    roots = [Path(str(files("rq_ses_worker"))), Path(str(files("rq_ses")))]
    for path in (path for root in roots for path in root.rglob("*.lua")):
        for line in path.read_text().splitlines():
            if re.search(r"(redis\.p?call|typed|kept)\(", line.partition("--")[0]) and not re.search(
                r"function (typed|kept)\b", line
            ):
                assert re.search(r"(redis\.p?call|typed|kept)\('[A-Z]+'", line) or "(...)" in line, line


def test_every_command_of_a_worker_can_be_asked_for() -> None:
    assert set(needed_commands()) <= set(COMMANDS)


@pytest.mark.parametrize("command", needed_commands())
def test_a_worker_without_one_right_strands_and_doubles_nothing(
    redis: Redis, restricted: Redis, command: str
) -> None:
    world = World(redis)
    ours = Lifecycle(restricted, ["mail"], "ours", "a" * 8, 30.0)
    ids = [receipt.job_id for receipt in world.outbox.send_many([mail() for _ in range(6)])]
    ids += [world.outbox.send(mail(), delay=0).job_id for _ in range(3)]
    claims, _ = ours.claim(3)
    let(redis, "~rq:*", "&rq:*", "+@all", f"-{command.lower()}")
    settlements = [
        ending(claim.lease, action) for claim, action in zip(claims, ("sent", "retry", "back"), strict=True)
    ]
    settled = False
    for _ in range(2):
        with suppress(RedisError):
            settled = bool(ours.settle(settlements, clock=0))
        with suppress(RedisError):
            ours.promote()
        with suppress(RedisError):
            ours.renew([claim.lease for claim in claims])
        with suppress(RedisError):
            ours.claim(2)
    let(redis, "~rq:*", "&rq:*", "+@all")
    if not settled:
        ours.settle(settlements, clock=0)
    world.put_right()
    assert redis.zcard(LEASES) == 0
    world.check(dict.fromkeys(ids, "finished"))
    accepted = claims[0].lease.job_id
    assert world.sent == Counter({job_id: 1 for job_id in ids if job_id != accepted})


@pytest.mark.parametrize("command", ["XADD", "COPY", "ZADD", "HINCRBY"])
def test_what_is_only_entered_or_shown_keeps_no_accepted_mail_from_being_recorded(
    redis: Redis, restricted: Redis, command: str
) -> None:
    world = World(redis)
    ids = [receipt.job_id for receipt in world.outbox.send_many([mail() for _ in range(5)])]
    ours = Lifecycle(restricted, ["mail"], "ours", "a" * 8, 30.0)
    claims, _ = ours.claim(5)
    let(redis, "~rq:*", "&rq:*", "+@all", f"-{command.lower()}")
    with suppress(RedisError):
        ours.settle([ending(claim.lease, "sent") for claim in claims], clock=0)
    world.put_right()
    world.check(dict.fromkeys(ids, "finished"))
    assert not world.sent


@pytest.mark.parametrize("command", ["SADD", "RPUSH", "ZADD", "HSET", "EXISTS", "HMGET", "PUBLISH"])
def test_an_enqueueing_that_was_refused_is_finished_by_the_next_call(
    redis: Redis, restricted: Redis, command: str
) -> None:
    let(redis, "~rq:*", "&rq:*", "+@all", f"-{command.lower()}")
    first = Outbox(connection=restricted)
    for delay, key in ((None, "now"), (3600, "later")):
        with suppress(Exception):
            first.send(mail(), key=key, delay=delay)
    let(redis, "~rq:*", "&rq:*", "+@all")
    ids = [first.send(mail(), key=key, delay=delay).job_id for delay, key in ((None, "now"), (3600, "later"))]
    world = World(redis)
    world.put_right()
    world.check({ids[0]: "finished", ids[1]: "scheduled"})
    assert world.sent == Counter(ids[:1])
