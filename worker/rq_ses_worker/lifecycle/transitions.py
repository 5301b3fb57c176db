"""The transitions of a mail in Redis: claim, settle, promote, reclaim, renew.

claim and settle go by the account's gate and tell it how attempts ended (rq_ses_worker.account.gate).

Each is one Lua script on RQ's own keys (the .lua of its name says what it writes), so that a worker, a host
or a network may die between any two of them and every mail still stands in exactly one place. Here is only
the traffic with Redis; what becomes of an outcome is decided in rq_ses_worker.lifecycle.retry.
"""

from __future__ import annotations

import json
import logging
import struct
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from redis import Redis
from redis.exceptions import NoScriptError, RedisError
from rq.utils import utcformat

from rq_ses import contract
from rq_ses.gate import GateState, read_gate
from rq_ses.server.serverclock import ServerClock, epoch
from rq_ses_worker.account.gate import GatePolicy, View
from rq_ses_worker.lifecycle.observation import Observation, observed
from rq_ses_worker.lifecycle.records import Claim, Lease, Overdue, Settlement, Suspended, Word
from rq_ses_worker.logging import events
from rq_ses_worker.server.scripts import SCRATCH, TYPED, registered
from rq_ses_worker.ses.account import Account

log = logging.getLogger(__name__)

GRACE: Final = 86_400
"""Seconds after our lease at which RQ's own clean-up would fail a started job; reclaim comes long before."""

CLAIM_BYTES: Final = 8 * 1024 * 1024
"""Payload after which one claim stops, whatever the number of idle threads."""

_JOB = contract.JOB_PREFIX
_EXECUTION = f"{contract.PREFIX}execution:"
_INDEX = f"{contract.PREFIX}executions:"
_RESULTS = f"{contract.PREFIX}results:"
_WORKER = f"{contract.PREFIX}worker:"

_GATE: Final = "account/gate"
SCRIPTS: Final = {
    "claim": (TYPED, _GATE, "lifecycle/claim"),
    "settle": (TYPED, "lifecycle/settle"),
    "observe": (TYPED, _GATE, "account/observe"),
    "limits": (TYPED, _GATE, "account/limits"),
    "promote": (TYPED, "lifecycle/promote"),
    "reclaim": (TYPED, "lifecycle/reclaim"),
    "renew": (TYPED, "lifecycle/renew"),
}
"""The parts of each script."""

_RECEIPT_DATA = json.dumps([contract.JOB_FUNCTION, None, [], {}])
_HEAD = struct.Struct(">BBBBIII")


class Lifecycle:
    """Moves the jobs of some queues through their states, on behalf of one worker.

    Every method may raise redis.exceptions.RedisError; all but `claim` may then simply be called again. After
    a claim without an answer, `held` tells what it took.

    Args:
        connection: a client that does not retry by itself: a claim sent twice would take twice.
        queues: names, the most urgent first.
        worker_name: RQ's name of the worker.
        execution_prefix: text no other process uses; execution ids begin with it.
        lease: seconds.
        gate: of the account that sends what is claimed.
        asks: whether this worker can ask SES for the account's limits.
    """

    def __init__(
        self,
        connection: Redis,
        queues: Sequence[str],
        worker_name: str,
        execution_prefix: str,
        lease: float,
        *,
        gate: GatePolicy | None = None,
        asks: bool = False,
    ) -> None:
        # redis-py's types cover both of its faces, the asynchronous one too.
        self._connection: Any = connection
        self._worker_name = worker_name
        self._prefix = execution_prefix
        self._lease = lease
        self._gate = gate or GatePolicy()
        self._asks = "1" if asks else ""
        self.view = View()
        """What the last claim saw of the gate."""
        self.clock: Final = ServerClock()
        """The server's time, as each claim and promotion tells it."""
        self._count = 0
        self._leases_keys = [contract.leases_key(q) for q in queues]
        wip = [contract.registry_key("wip", q) for q in queues]
        lists = [contract.queue_key(q) for q in queues]
        scheduled = [contract.registry_key("scheduled", q) for q in queues]
        finished = [contract.registry_key("finished", q) for q in queues]
        failed = [contract.registry_key("failed", q) for q in queues]
        canceled = [contract.registry_key("canceled", q) for q in queues]
        places = _flat(lists, wip, self._leases_keys)
        self._claim_keys = [contract.SUSPENDED_KEY, self._gate.key, SCRATCH, *places]
        self._settle_keys = [
            _WORKER + worker_name,
            SCRATCH,
            *_flat(lists, wip, self._leases_keys, scheduled, finished, failed, canceled),
        ]
        self._promote_keys = [SCRATCH, *_flat(scheduled, lists)]
        self._renew_keys = [SCRATCH, *_flat(wip, self._leases_keys)]
        self._scripts: dict[str, Any] = registered(connection, SCRIPTS)

    def rename(self, worker_name: str) -> None:
        """Act for a worker of another name from here on."""
        self._worker_name = worker_name
        self._settle_keys[0] = _WORKER + worker_name

    def claim(self, wanted: int) -> tuple[list[Claim], int]:
        """Take up to `wanted` queued jobs; return them, and how many dead ids were dropped from the lists.

        `view` tells what the gate had to say.

        Raises:
            Suspended: `rq suspend` is in force.
        """
        first = self._count
        # Numbers are used up even if no answer comes: what was taken under them is found by `held`.
        self._count += wanted
        args = [wanted, CLAIM_BYTES, self._worker_name, self._now(), self._lease, GRACE, self._prefix, first]
        args += [_JOB, _EXECUTION, _INDEX, contract.RECIPIENTS_FIELD, self._gate.rate_text, self._asks]
        began = time.monotonic()
        reply = self._scripts["claim"](keys=self._claim_keys, args=args)
        if isinstance(reply, bytes):
            raise Suspended
        dropped, blob, refusal, wait, waiting, ask, failures, openings, *moment = reply
        self._hear(moment, began)
        self.view = View(refusal.decode(), wait / 1e6, bool(waiting), bool(ask), failures, openings)
        return list(self._read_claims(blob, first, probe=refusal == b"probe")), dropped

    def held(self) -> list[Lease]:
        """Return the leases under which this process may send, as the server has them.

        One whose claim broke off before its execution had begun is left out: its mail may still be queued,
        and another's by now; the lease runs out.
        """
        found = []
        for queue, key in enumerate(self._leases_keys):
            for member in self._connection.zrange(key, 0, -1):
                job_id, _, execution = member.decode("utf-8", "replace").partition(":")
                begun = f"{_EXECUTION}{job_id}:{execution}"
                if execution.startswith(self._prefix) and self._connection.exists(begun):
                    found.append(Lease(queue, job_id, execution))
        return found

    def adopt(self, lease: Lease) -> Claim | None:
        """Read a job that `held` found, as `claim` would have returned it; None if it is gone."""
        fields = ("data", "meta", "success_callback_name", "failure_callback_name", "stopped_callback_name")
        names = [*fields, "webhooks", "enqueued_at"]
        data, meta, *hooks, queued_at = self._connection.hmget(_JOB + lease.job_id, names)
        if data is None:
            return None
        probe = self._connection.hget(self._gate.key, "probe")
        return Claim(
            lease,
            data,
            meta or b"",
            fresh=lease.execution.endswith("1"),
            hooked=any(hooks),
            probe=probe == f"{lease.job_id}:{lease.execution}".encode(),
            queued_at=(queued_at or b"")[:40],
        )

    def settle(self, settlements: Sequence[Settlement], *, clock: float) -> list[Word]:
        """Write how executions ended, in one step; `clock` is time.monotonic() now.

        Calling it again with the same settlements changes nothing. What they say of the account, its gate
        learns in the same round trip.
        """
        entries = [_entry(settlement, clock) for settlement in settlements]
        worked = sum(settlement.seconds for settlement in settlements)
        args = [
            _JOB,
            _EXECUTION,
            _INDEX,
            _RESULTS,
            self._worker_name,
            contract.KEY_FIELD,
            contract.KEY_MEMORY,
        ]
        args += [
            contract.RESULT_TTL,
            contract.FAILURE_TTL,
            _RECEIPT_DATA,
            f"{worked:.6f}",
            json.dumps(entries),
        ]
        observation = observed(settlements)
        if observation.tells(self.view):
            return self._settle_and_observe(args, observation)
        return [word.decode() for word in self._scripts["settle"](keys=self._settle_keys, args=args)]

    def _settle_and_observe(self, args: list[Any], seen: Observation) -> list[Word]:
        gate = self._gate
        observe_args = [
            int(seen.healthy),
            seen.failing,
            seen.trailing,
            int(seen.limited),
            seen.line,
            int(seen.account),
            seen.probe,
            seen.verdict,
            gate.breaker_failures,
            gate.breaker_share,
            gate.first_probe,
            gate.longest_probe,
            gate.rate_text,
            gate.streak,
        ]
        calls = [("settle", self._settle_keys, args), ("observe", [gate.key, SCRATCH], observe_args)]
        with self._connection.pipeline(transaction=False) as pipeline:
            for name, keys, values in calls:
                pipeline.evalsha(self._scripts[name].sha, len(keys), *keys, *values)
            replies = pipeline.execute(raise_on_error=False)
        for place, (name, keys, values) in enumerate(calls):
            if isinstance(replies[place], NoScriptError):
                try:
                    replies[place] = self._scripts[name](keys=keys, args=values)
                except RedisError as exc:
                    replies[place] = exc
        if isinstance(replies[0], Exception):
            raise replies[0]
        if isinstance(replies[1], Exception):
            # The outcomes are written: saying them again for this would only make them look late.
            events.GATE_UNTOLD.log(log, error=str(replies[1]))
        return [word.decode() for word in replies[0]]

    def learn(self, account: Account | None, *, ask_again: float) -> None:
        """Keep the account's limits as SES told them, or None if it didn't; ask again after these seconds."""
        limits: list[Any] = ["", -1, 0]
        if account is not None:
            limits = [account.max_send_rate, account.max_24_hour_send, account.sent_last_24_hours]
        self._scripts["limits"](keys=[self._gate.key, SCRATCH], args=[*limits, ask_again])

    def gate_state(self) -> GateState:
        """Return the account's gate as it stands, for people."""
        return read_gate(self._connection, self._gate.account, self._gate.region)

    def promote(self, most: int = 1000) -> tuple[int, float | None]:
        """Queue what is due; return how many, and the seconds until the next (None: nothing is scheduled)."""
        began = time.monotonic()
        args = [most, self._now(), _JOB]
        moved, pause, *moment = self._scripts["promote"](keys=self._promote_keys, args=args)
        self._hear(moment, began)
        return moved, int(pause) / 1e6 if pause else None

    def _now(self) -> str:
        return str(utcformat(datetime.fromtimestamp(self.clock.now(), UTC)))

    def _hear(self, moment: Sequence[bytes], began: float) -> None:
        # The script looked at its clock somewhere between the call and the answer.
        self.clock.heard(epoch(moment), began, time.monotonic())

    def reclaim(self, most: int = 100) -> list[Overdue]:
        """Return executions whose lease ran out; end each by `settle` with `overdue`."""
        found = self._scripts["reclaim"](keys=[SCRATCH, *self._leases_keys], args=[most, _JOB])
        overdue = []
        for queue, member, meta, worker in found:
            job_id, _, execution = member.decode().partition(":")
            overdue.append(Overdue(Lease(queue, job_id, execution), meta, worker.decode("utf-8", "replace")))
        return overdue

    def renew(self, leases: Sequence[Lease]) -> list[Lease]:
        """Extend the leases that still stand, and return them."""
        args: list[Any] = [self._lease, GRACE, self._now(), _JOB, _EXECUTION, _INDEX]
        for lease in leases:
            args += (lease.queue, lease.job_id, lease.execution)
        lost = set(self._scripts["renew"](keys=self._renew_keys, args=args))
        return [lease for place, lease in enumerate(leases) if place not in lost]

    def _read_claims(self, blob: bytes, number: int, *, probe: bool) -> Iterable[Claim]:
        at = 0
        while at < len(blob):
            queue, fresh, hooked, date_size, id_size, data_size, meta_size = _HEAD.unpack_from(blob, at)
            id_end = at + _HEAD.size + id_size
            job_id = blob[at + _HEAD.size : id_end].decode()
            data = blob[id_end : id_end + data_size]
            meta = blob[id_end + data_size : id_end + data_size + meta_size]
            at = id_end + data_size + meta_size + date_size
            lease = Lease(queue, job_id, f"{self._prefix}{number:08x}{fresh}")
            yield Claim(
                lease, data, meta, bool(fresh), bool(hooked), probe, queued_at=blob[at - date_size : at]
            )
            number += 1


def _entry(settlement: Settlement, clock: float) -> dict[str, Any]:
    lease = settlement.lease
    entry = {
        "q": lease.queue,
        "id": lease.job_id,
        "x": lease.execution,
        "a": settlement.action,
        "ended": utcformat(settlement.ended),
        **settlement.fields,
    }
    if settlement.meta or settlement.action != "back":
        entry["meta"] = json.dumps(settlement.meta)
    if settlement.action == "retry":
        entry["age"] = max(0.0, clock - settlement.ended_clock)
    if settlement.overdue:
        entry["overdue"] = 1
    return entry


def _flat(*columns: Sequence[str]) -> list[str]:
    return [key for row in zip(*columns, strict=True) for key in row]
