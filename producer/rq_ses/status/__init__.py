"""What `rq-ses status` shows: queues, workers and accounts as they stand in Redis, read without a trace."""

from rq_ses.status.rates import Rates, rates_between
from rq_ses.status.reader import read_snapshot
from rq_ses.status.snapshot import CurrentMail, PartitionState, QueueState, Snapshot, Untold, WorkerState
from rq_ses.status.unserved import Unserved, strays, unserved
from rq_ses.status.whole import read_whole
from rq_ses.status.workers import served_accounts

__all__ = [
    "CurrentMail",
    "PartitionState",
    "QueueState",
    "Rates",
    "Snapshot",
    "Unserved",
    "Untold",
    "WorkerState",
    "rates_between",
    "read_snapshot",
    "read_whole",
    "served_accounts",
    "strays",
    "unserved",
]
