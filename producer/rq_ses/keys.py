"""The keys in Redis, all under one prefix: RQ's own, and what is ours alone behind a further `ses:`."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, AnyStr, Final

from rq_ses.text.invalid import shown

VARIABLE: Final = "RQ_KEY_PREFIX"
"""Environment variable of RQ's."""

_PREFIX: Final = re.compile(r"[A-Za-z0-9_.:{}-]+")
"""What RQ 3.0 takes (rq/defaults.py)."""

_CARRIED: Final = "rq_ses_keys"


@dataclass(frozen=True, slots=True)
class Keys:
    """The names of all keys and channels under one prefix, which stands without its colon: `rq`, `{mail}`.

    Names of jobs and executions may be bytes, as they are read from Redis; their keys are bytes then.

    Raises:
        ValueError: RQ takes no such prefix.
    """

    prefix: str
    root: str = field(init=False, compare=False, repr=False)
    """What all keys begin with."""
    job_prefix: str = field(init=False, compare=False, repr=False)
    execution_prefix: str = field(init=False, compare=False, repr=False)
    executions_prefix: str = field(init=False, compare=False, repr=False)
    results_prefix: str = field(init=False, compare=False, repr=False)
    worker_prefix: str = field(init=False, compare=False, repr=False)
    workers: str = field(init=False, compare=False, repr=False)
    """Set of the keys of all workers that are, or were, registered."""
    queues: str = field(init=False, compare=False, repr=False)
    """Set of the keys of all queues; RQ's."""
    suspended: str = field(init=False, compare=False, repr=False)
    """Is there while `rq suspend` holds all workers."""
    scratch: str = field(init=False, compare=False, repr=False)
    """Scratch key: scripts delete it first, which a server that takes no writes refuses, and build there what
    they then rename.

    Between two scripts it never stands, and each declares it: so a cluster that is moving our slot elsewhere
    refuses a script as a whole (TRYAGAIN, ASK), whatever has gone ahead, and breaks none off half-way.
    """
    result_scratch: str = field(init=False, compare=False, repr=False)
    """Another one: results are copies of what is built there."""
    turns: str = field(init=False, compare=False, repr=False)
    """Hash in which a partition's workers keep whose turn it is among its queues."""
    campaigns: str = field(init=False, compare=False, repr=False)
    """Set of the names of all campaigns."""
    durable: str = field(init=False, compare=False, repr=False)
    """String that every durable call writes last, so that WAIT and WAITAOF have a write to speak of."""
    feedback: str = field(init=False, compare=False, repr=False)
    """Hash of how many events of each kind have come back from SES."""
    suppressed: str = field(init=False, compare=False, repr=False)
    """String that is there while addresses are suppressed: one list under `Keys.own()` (suppressed_in)."""
    outcomes: str = field(init=False, compare=False, repr=False)
    """Stream of outcomes and events, for hooks."""

    def __post_init__(self) -> None:
        if not _PREFIX.fullmatch(self.prefix):
            raise ValueError(
                f"{VARIABLE}: {shown(self.prefix)} can't be used: "
                "give ASCII letters, digits, and _ . : - { }, one at least"
            )
        for name, end in _ENDS.items():
            object.__setattr__(self, name, f"{self.prefix}:{end}")

    @staticmethod
    @cache
    def default() -> Keys:
        """Return the keys of this process: those that RQ uses in it."""
        # RQ keeps to what the environment said when it was loaded. It isn't loaded for this.
        loaded = getattr(sys.modules.get("rq.defaults"), VARIABLE, None)
        return Keys(os.environ.get(VARIABLE, "rq") if loaded is None else loaded)

    @staticmethod
    def own() -> Keys:
        """Return the deployment's own keys: those of this process, or of before it entered a partition."""
        return _LEFT[0] if _LEFT else Keys.default()

    def job(self, job_id: AnyStr) -> AnyStr:
        """Hash of a job."""
        return _under(self.job_prefix, job_id)

    def execution(self, member: AnyStr) -> AnyStr:
        """Hash of an execution, by `JOB:EXECUTION`."""
        return _under(self.execution_prefix, member)

    def executions(self, job_id: AnyStr) -> AnyStr:
        """Sorted set of a job's executions."""
        return _under(self.executions_prefix, job_id)

    def results(self, job_id: AnyStr) -> AnyStr:
        """Stream of RQ's Results of a job."""
        return _under(self.results_prefix, job_id)

    def worker(self, name: str) -> str:
        """Hash of a worker."""
        return self.worker_prefix + name

    def workers_at(self, queue: str) -> str:
        """Set of the keys of the workers that are, or were, at a queue."""
        return f"{self.workers}:{queue}"

    def queue(self, queue: str) -> str:
        """List of the ids of a queue's jobs."""
        return f"{self.root}queue:{queue}"

    def intermediate(self, queue: str) -> str:
        """List in which a stock worker keeps a job it has taken and not yet started."""
        return f"{self.queue(queue)}:intermediate"

    def registry(self, kind: str, queue: str) -> str:
        """Return the key of one of RQ's registries: wip, scheduled, finished, failed, canceled, deferred."""
        return f"{self.root}{kind}:{queue}"

    def leases(self, queue: str) -> str:
        """Sorted set of `JOB:EXECUTION` by the time (epoch seconds) at which the lease runs out."""
        return f"{self.root}ses:leases:{queue}"

    def campaign(self, name: str) -> str:
        """Hash of a campaign: its record."""
        return f"{self.root}ses:campaign:{name}"

    def campaign_index(self, name: str, bucket: str) -> str:
        """Hash of a campaign's entries whose ids begin with this hex digit: the numbers of their jobs."""
        return f"{self.root}ses:campaign:{name}:{bucket}"

    def terms(self, terms_hash: str) -> str:
        """String with what campaigns of these terms have in common."""
        return f"{self.root}ses:terms:{terms_hash}"

    def account(self, account: str, region: str) -> str:
        """Hash of an SES account's gate: its breaker, its bucket, its quota."""
        return f"{self.root}ses:account:{account}:{region}"

    def events(self, mail_id: AnyStr) -> AnyStr:
        """Hash of what came back about a mail, by its job's id, or else by SES's MessageId."""
        return _under(f"{self.root}ses:events:", mail_id)

    def message(self, message_id: AnyStr) -> AnyStr:
        """String of the id of the job that SES took under this MessageId."""
        return _under(f"{self.root}ses:message:", message_id)

    def suppressed_in(self, bucket: str) -> str:
        """Hash of the suppressed addresses of one bucket (rq_ses.suppression)."""
        return f"{self.suppressed}:{bucket}"

    def sweep(self, queues: Sequence[str]) -> str:
        """String of the one worker that sweeps these queues in this minute; it expires by itself."""
        return f"{self.root}ses:sweep:{','.join(queues)}"

    def wake(self, queue: str) -> str:
        """Pub/sub channel that tells idle workers that an empty queue has a job again."""
        return f"{self.root}ses:wake:{queue}"


_LEFT: Final[list[Keys]] = []
"""The keys of this process before it entered others; none if it hasn't."""

_ENDS: Final = {
    "root": "",
    "job_prefix": "job:",
    "execution_prefix": "execution:",
    "executions_prefix": "executions:",
    "results_prefix": "results:",
    "worker_prefix": "worker:",
    "workers": "workers",
    "queues": "queues",
    "suspended": "suspended",
    "scratch": "ses:scratch",
    "result_scratch": "ses:scratch:result",
    "turns": "ses:turns",
    "campaigns": "ses:campaigns",
    "durable": "ses:durable",
    "feedback": "ses:feedback",
    "suppressed": "ses:suppressed",
    "outcomes": "ses:outcomes",
}
"""Keys that are made once, as hot paths use them: what stands behind the prefix and its colon."""


def keys_of(connection: Any) -> Keys:
    """Return the keys under which a client works: those it carries, else the process's own."""
    carried = getattr(getattr(connection, "connection_pool", None), _CARRIED, None)
    return carried if isinstance(carried, Keys) else Keys.default()


def enter(keys: Keys) -> None:
    """Let this process work under these keys, and RQ with it, which must not be loaded before.

    Raises:
        RuntimeError: it is, and works under others.
    """
    if not _LEFT:
        _LEFT.append(Keys.default())
    os.environ[VARIABLE] = keys.prefix
    Keys.default.cache_clear()
    if Keys.default() != keys:
        raise RuntimeError(f"RQ is loaded already, and keeps to the prefix {Keys.default().prefix}")


def carry(connection: Any, keys: Keys) -> None:
    """Let a client, which has a pool of its own, work under these keys."""
    # The pool has them: pipelines, and clients that redis-py makes of a client, share it.
    setattr(connection.connection_pool, _CARRIED, keys)


def _under(prefix: str, name: AnyStr) -> AnyStr:
    return prefix + name if isinstance(name, str) else prefix.encode() + name
