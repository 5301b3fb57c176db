"""The transitions of a mail in Redis: claim, settle, promote, reclaim, renew.

claim and settle go by the account's gate and tell it how attempts ended (rq_ses_worker.account.gate).

Each is one Lua script on RQ's own keys (the .lua of its name says what it writes), so that a worker, a host
or a network may die between any two of them and every mail still stands in exactly one place. Here is only
the traffic with Redis; what becomes of an outcome is decided in rq_ses_worker.lifecycle.retry.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from redis import Redis

from rq_ses import contract
from rq_ses.gate import GateState
from rq_ses.keys import keys_of
from rq_ses.partition import MOVING
from rq_ses.rqdate import utcformat
from rq_ses.server.serverclock import ServerClock, epoch
from rq_ses.suppression.lookup import Lookup
from rq_ses_worker.account.gate import GATE, PASSING, Gate, GatePolicy, Observation, View
from rq_ses_worker.lifecycle.bulk.dividing import Dividing
from rq_ses_worker.lifecycle.codec import (
    Claimed,
    read_claimed,
    read_lease,
    read_overdue,
)
from rq_ses_worker.lifecycle.keys import ScriptKeys
from rq_ses_worker.lifecycle.observation import observed, telling
from rq_ses_worker.lifecycle.records import (
    Claim,
    Lease,
    Overdue,
    Settlement,
    Suspended,
    Word,
)
from rq_ses_worker.lifecycle.settling.settling import Settling
from rq_ses_worker.server.errand import Along, Errand, run_with, single
from rq_ses_worker.server.scripts import TYPED, Call, Parts, registered
from rq_ses_worker.ses.account import Account

_EXECUTION: Final = "lifecycle/execution"
_CLAIMING: Final = tuple(f"lifecycle/claiming/{part}" for part in ("campaigns", "queues", "saved"))
_SETTLING: Final = tuple(f"lifecycle/settling/{part}" for part in ("receipt", "contested", "counting"))

SCRIPTS: Final[dict[str, Parts]] = {
    "claim": (TYPED, GATE, PASSING, _EXECUTION, *_CLAIMING, "lifecycle/claim"),
    "settle": (TYPED, "outcomes/outcome", "mails/finish", *_SETTLING, "lifecycle/settling/settle"),
    "split": (
        *(TYPED, "outcomes/outcome", "mails/finish"),
        *(*_SETTLING, "lifecycle/bulk/parts", "lifecycle/bulk/split"),
    ),
    "count": ("lifecycle/settling/count",),
    "index": ("lifecycle/settling/index",),
    "promote": (TYPED, "lifecycle/promote"),
    "reclaim": (TYPED, "lifecycle/reclaim"),
    "renew": (TYPED, _EXECUTION, "lifecycle/renew"),
}
"""The parts of each transition's script."""

_ADOPTED: Final = (
    *("data", "meta", "success_callback_name", "failure_callback_name", "stopped_callback_name"),
    *("webhooks", "enqueued_at", contract.CAMPAIGN_FIELD, contract.PARTS_FIELD),
)
"""Fields of a job that make a claim."""


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
        self._gate = Gate(connection, gate or GatePolicy())
        self._asks = "1" if asks else ""
        self.view = View()
        """What the last claim saw of the gate."""
        self.clock: Final = ServerClock()
        """The server's time, as each claim and promotion tells it."""
        self.suppression = Lookup(connection)
        """The suppression list; `listed` tells whether it has to be asked."""
        self._listed = True
        self._count = 0
        self._keys = ScriptKeys(keys_of(connection), queues, worker_name, self._gate.key)
        self._scripts = registered(connection, SCRIPTS)
        self.dividing: Final = Dividing(connection, self._scripts["split"], self._keys)
        self.settling: Final = Settling(self._scripts, self._keys, queues, self.dividing)

    def rename(self, worker_name: str) -> None:
        """Act for a worker of another name from here on."""
        self._worker_name = worker_name
        self._keys.rename(worker_name)

    def claim(self, wanted: int, along: Sequence[Along[Any]] = ()) -> tuple[list[Claim], int]:
        """Take up to `wanted` queued jobs; return them, and how many dead ids were dropped from the lists.

        What goes `along` is done first, in the same round trip. `view` tells what the gate had to say.

        Raises:
            Suspended: `rq suspend` is in force.
        """
        claimed = self._claim(wanted, along=along)
        while claimed.aside and not claimed.claims and not claimed.view.refusal:
            claimed = self._claim(wanted)
        self.view = claimed.view
        return claimed.claims, claimed.dropped

    def _claim(self, wanted: int, *more: Any, along: Sequence[Along[Any]] = ()) -> Claimed:
        """Run the script, with `more` arguments in a partition."""
        # A number is used up even if no answer comes: what was taken under it is found by `held`.
        execution = f"{self._prefix}{self._count:x}"
        self._count += 1
        args = [wanted, self._worker_name, self._now(), self._lease, self._keys.names.root, execution]
        args += [self._gate.rate_text, self._asks, self._gate.bulk_size, *more]
        began = time.monotonic()
        self._listed = True  # what a claim without an answer has taken may be
        call = Call(self._scripts["claim"], self._keys.claim, args)
        reply = run_with(self._connection, along, call)
        if isinstance(reply, bytes):
            raise Suspended(moving=reply == MOVING.encode())
        answered = time.monotonic()
        claimed = read_claimed(reply, execution)
        self._listed = claimed.listed
        self._note_time(claimed.moment, began, answered)
        return claimed

    @property
    def listed(self) -> bool:
        """Tell whether addresses were suppressed when jobs were claimed last. Raises RedisError."""
        return self._listed

    def leave(self) -> None:
        """Claim no more: where tokens are granted, what is left of them goes back."""

    def held(self) -> list[Lease]:
        """Return the leases under which this process may send, as the server has them.

        One whose claim broke off before its execution had begun is left out: its mail may still be queued,
        and another's by now; the lease runs out.
        """
        found = []
        for queue, key in enumerate(self._keys.leases):
            for member in self._connection.zrange(key, 0, -1):
                lease = read_lease(queue, member.decode("utf-8", "replace"))
                if lease.execution.startswith(self._prefix) and self._has_begun(lease):
                    found.append(lease)
        return found

    def _has_begun(self, lease: Lease) -> bool:
        named = self._connection.hget(self._keys.names.job(lease.job_id), contract.EXECUTION_FIELD)
        return bool(named == lease.execution.encode())

    def adopt(self, lease: Lease) -> Claim | None:
        """Read a job that `held` found, as `claim` would have returned it; None if it is gone.

        How many entries of a bulk job the gate let pass was in the reply alone: it is granted one.
        """
        found = self._connection.hmget(self._keys.names.job(lease.job_id), _ADOPTED)
        data, meta, *hooks, queued_at, campaign, parts = found
        if data is None:
            return None
        return Claim(
            lease,
            data,
            meta or b"",
            fresh=lease.fresh,
            hooked=any(hooks),
            probe=self._gate.is_probed_by(lease.member),
            queued_at=(queued_at or b"")[:40],
            granted=int(campaign is not None),
            unfinished=parts is not None,
        )

    def settle(self, settlements: Sequence[Settlement], *, clock: float) -> list[Word]:
        """Write how executions ended, in one step; `clock` is time.monotonic() now.

        A bulk job that is divided has a step of its own, and comes alone. The same again changes nothing.
        What they say of the account its gate learns at once, what they count is shown later (`count`).
        """
        return self.settlement(settlements, clock=clock).run(self._connection)

    def settlement(self, settlements: Sequence[Settlement], *, clock: float) -> Errand[list[Word]]:
        """Return what `settle` does, to be done with a claim."""
        seen = observed(settlements)
        told = [self._tell_gate(seen)] if seen.tells(self.view) else []
        return self.settling.errand(settlements, clock, told)

    def count(self, *, now: bool = True) -> float | None:
        """Show what was settled, if it is due or `now`; return the seconds until it is (None: never)."""
        return self.settling.counts.write(self._connection, now=now)

    def _tell_gate(self, seen: Observation) -> Errand[None]:
        return telling(self._gate, seen)

    def learn(self, account: Account | None, *, ask_again: float) -> None:
        """Let the gate know the account's limits (Gate.learn)."""
        self._gate.learn(account, ask_again=ask_again)

    def gate_state(self) -> GateState:
        """Return the account's gate as it stands, for people."""
        return self._gate.state()

    def promote(self, most: int = 1000) -> tuple[int, float | None]:
        """Queue what is due; return how many, and the seconds until the next (None: nothing is scheduled)."""
        return self.promotion(most).run(self._connection)

    def promotion(self, most: int = 1000) -> Errand[tuple[int, float | None]]:
        """Return what `promote` does, to be done with a claim."""
        began = time.monotonic()

        def read(reply: Any) -> tuple[int, float | None]:
            moved, pause, *moment = reply
            self._note_time(moment, began, time.monotonic())
            return moved, int(pause) / 1e6 if pause else None

        args = [most, self._now(), self._keys.names.job_prefix]
        return single(Call(self._scripts["promote"], self._keys.promote, args), read)

    def _now(self) -> str:
        return str(utcformat(datetime.fromtimestamp(self.clock.now(), UTC)))

    def _note_time(self, moment: Sequence[Any], began: float, answered: float) -> None:
        # The script looked at its clock somewhere between the call and the answer.
        self.clock.heard(epoch(moment), began, answered)

    def reclaim(self, most: int = 100) -> list[Overdue]:
        """Return executions whose lease ran out; end each by `settle` with `overdue`."""
        reply = self._scripts["reclaim"](keys=self._keys.reclaim, args=[most, self._keys.names.job_prefix])
        return read_overdue(reply)

    def renew(self, leases: Sequence[Lease]) -> list[Lease]:
        """Extend the leases that still stand, and return them."""
        args: list[Any] = [self._lease, self._now(), self._worker_name, self._keys.names.root]
        for lease in leases:
            args += (lease.queue, lease.job_id, lease.execution)
        lost = set(self._scripts["renew"](keys=self._keys.renew, args=args))
        return [lease for place, lease in enumerate(leases) if place not in lost]
