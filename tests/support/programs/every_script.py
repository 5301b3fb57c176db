"""Runs every Lua script there is once, and tells how: `python -m support.programs.every_script URL`.

It prints a JSON object: of each script, by the name of its file, how it may be called again: its digest, its
KEYS, and its ARGV as Latin-1 texts.
"""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest import mock

from redis._parsers import Encoder
from redis.client import Redis
from redis.commands.core import CoreCommands

import rq_ses
import rq_ses_worker
from rq_ses import Outbox, contract
from rq_ses.campaign import Campaigns, Entry
from rq_ses.deadletter import DeadLetters, Filter
from rq_ses.feedback.event import read_event
from rq_ses.feedback.store import Store
from rq_ses.keys import keys_of
from rq_ses.mails.mails import Mails
from rq_ses.outbox.plans.enqueueing import SCRIPT
from rq_ses.server.connection import connect
from rq_ses.server.partitions import Partitions
from rq_ses.server.script import Source, registered, script_text
from rq_ses.states import FAILED
from rq_ses_worker.account.gate import GatePolicy, Observation
from rq_ses_worker.account.grants import Grants
from rq_ses_worker.audit.campaigns.audit import CampaignAudit
from rq_ses_worker.audit.campaigns.sweep import CampaignSweep
from rq_ses_worker.audit.places import Places
from rq_ses_worker.audit.sweep import Sweep
from rq_ses_worker.lifecycle.transitions import Lifecycle
from rq_ses_worker.ses.outcome import Sent
from rq_ses_worker.simulator.events.event import Sent as Told
from rq_ses_worker.simulator.events.event import event
from support.bulk import desk as bulk
from support.mails.deadletters import fail
from support.mails.mail import mail
from support.mails.world import ending

_PARTS = frozenset(
    {
        *("typed", "gate", "passing", "execution", "receipt", "contested", "finish", "resolve", "rights"),
        *("campaigns", "queues", "saved", "counting", "parts", "suppress", "outcome"),
    }
)
"""What stands in front of others; and rights.lua, which has no keys."""


def script_files() -> dict[str, str]:
    """Return the text of every script that has keys, as servers have it, by its folder and name."""
    folders = [Path(package.__file__ or "").parent for package in (rq_ses, rq_ses_worker)]
    files = [(file, folder) for folder in folders for file in folder.rglob("*.lua")]
    return {
        str(file.relative_to(folder).with_suffix("")): script_text([file.read_text("utf-8")])
        for file, folder in files
        if file.stem not in _PARTS
    }


_SOURCES = (
    *((SCRIPT,), ("mails/cancel",), ("mails/typed", "mails/plans/look")),
    *(("outbox/bulk/record",), ("outbox/bulk/enqueue",)),
)
"""What plans call by their digests."""


@contextmanager
def _noted(calls: dict[str, Any]) -> Iterator[None]:
    files, encoder = script_files(), Encoder("utf-8", "strict", False)
    names = {Source(*parts).sha: parts[-1] for parts in _SOURCES}
    register, evalsha, execute = Redis.register_script, CoreCommands.evalsha, Redis.execute_command

    def registering(self: Redis, script: str) -> Any:
        made = register(self, script)
        # Each stands behind what it shares with others.
        names.update((made.sha, name) for name, text in files.items() if script.endswith(text))
        return made

    def noted(sha: str, numkeys: int, *rest: Any) -> None:
        if sha in names:
            texts = [bytes(encoder.encode(one)).decode("latin-1") for one in rest]
            calls[names[sha]] = {"sha": sha, "keys": texts[:numkeys], "args": texts[numkeys:]}

    def calling(self: Any, sha: str, numkeys: int, *rest: Any) -> Any:
        noted(sha, numkeys, *rest)
        return evalsha(self, sha, numkeys, *rest)

    def executing(self: Redis, *command: Any, **options: Any) -> Any:
        if command[0] == "EVALSHA":
            noted(*command[1:])
        return execute(self, *command, **options)

    with (
        mock.patch.object(Redis, "register_script", registering),
        mock.patch.object(CoreCommands, "evalsha", calling),
        mock.patch.object(Redis, "execute_command", executing),
    ):
        yield


def _run_all(redis: Redis) -> None:
    lifecycle = Lifecycle(redis, contract.queue_names("mail"), "w", "a" * 16, 30.0)
    letters = DeadLetters(redis)
    [one, _] = fail(redis, [mail(), mail()])
    file, wanted = io.StringIO(), Filter(ids=[one])
    letters.export(file)
    assert letters.discard(wanted).discarded == 1
    assert letters.restore(io.BytesIO(file.getvalue().encode())).failed == 1
    assert letters.resend(wanted).resent == 1
    assert Mails(redis).cancel(one).canceled
    outbox = Outbox(redis)
    job_id = outbox.send(mail()).job_id
    [claim], _ = lifecycle.claim(1)
    assert lifecycle.renew([claim.lease]) == [claim.lease]
    assert lifecycle.reclaim() == []
    lifecycle.dividing.finish(claim.lease)
    lifecycle.settling.index_messages()
    sent = ending(claim.lease, "sent", outcome=Sent(200, message_id="m"))
    assert lifecycle.settle([sent], clock=0) == ["done"]
    lifecycle.count()
    outbox.send(mail(), at=datetime.now(UTC))
    lifecycle.promote()
    lifecycle.learn(None, ask_again=60)
    lifecycle._gate.observe(Observation(healthy=True)).run()
    grants = Grants(redis, GatePolicy(), 30.0)
    assert grants.ask(1, 1, ":probe")
    grants.found("j", "j:e")
    Store(Partitions([redis], redis)).store(read_event(event("Bounce", Told(tags={"rq-ses-job": job_id}))))
    keys = keys_of(redis)
    for name, entry in (("add", ["a@example.com", "manual", "", ""]), ("remove", ["a@example.com"])):
        change = registered(redis, "suppression/suppress", f"suppression/{name}")
        change(keys=[keys.scratch, keys.suppressed], args=[keys.root, *entry])
    outbox.send_bulk(bulk.campaign(), [Entry("a@example.com", {"name": "a"})])
    redis.zadd(keys.registry(FAILED, bulk.QUEUE), {"gone": 1})
    campaigns = Campaigns(redis)
    assert campaigns.status(bulk.NAME).waiting == 1
    assert campaigns.cancel(bulk.NAME).canceled == 1
    redis.zrem(keys.registry(FAILED, bulk.QUEUE), "gone")
    Places(redis, "mail").look(job_id.encode())
    Sweep(redis, "mail").run()
    redis.sadd(keys_of(redis).campaigns, "gone")
    assert CampaignSweep(redis).run() == 0
    redis.hset(keys_of(redis).campaign("odd"), "state", "none")
    assert [one.what for one in CampaignAudit(redis, wait=0).run(repair=True)] == ["campaign odd"] * 2


if __name__ == "__main__":
    found: dict[str, Any] = {}
    with _noted(found), connect(sys.argv[1], socket_timeout=5, connect_timeout=5) as client:
        _run_all(client)
    print(json.dumps(found))  # noqa: T201 (read by who started it)
