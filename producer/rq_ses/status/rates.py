"""What happened between two snapshots, a second."""

from __future__ import annotations

from dataclasses import dataclass

from rq_ses.status.snapshot import Snapshot, WorkerState


@dataclass(frozen=True, slots=True)
class Rates:
    """Ends of attempts a second, by what became of their mails, over some `seconds`."""

    seconds: float
    sent: float
    failed: float
    retried: float
    """Put off to a later attempt."""
    attempt_seconds: float | None
    """What an attempt took on average; None if none ended."""
    by_worker: dict[str, float]
    """Ends of attempts of each worker a second."""

    @property
    def attempts(self) -> float:
        """Ends of attempts of all workers a second."""
        return self.sent + self.failed + self.retried


def rates_between(before: Snapshot, after: Snapshot) -> Rates | None:
    """Return what the workers' counts say of the time between two snapshots; None if no time passed.

    A worker that ended in between takes its last counts with it.
    """
    seconds = after.now - before.now
    if seconds <= 0:
        return None
    earlier = {worker.name: worker for worker in before.workers}
    grown = [(worker, _growth(earlier.get(worker.name), worker, before.now)) for worker in after.workers]
    sent, failed, retried, worked = (sum(growth[place] for _, growth in grown) for place in range(4))
    ended = sent + failed + retried
    return Rates(
        seconds=seconds,
        sent=sent / seconds,
        failed=failed / seconds,
        retried=retried / seconds,
        attempt_seconds=worked / ended if ended else None,
        by_worker={worker.name: sum(growth[:3]) / seconds for worker, growth in grown},
    )


def _growth(
    before: WorkerState | None, after: WorkerState, since: float
) -> tuple[float, float, float, float]:
    counts = (after.sent, after.failed, after.retried, after.seconds)
    if before is None:
        # A worker that was there before, but couldn't be read, has counts from long ago.
        return counts if after.born is not None and after.born >= since else (0, 0, 0, 0.0)
    if before.born != after.born:
        return counts
    earlier = (before.sent, before.failed, before.retried, before.seconds)
    sent, failed, retried, worked = (max(0.0, new - old) for new, old in zip(counts, earlier, strict=True))
    return sent, failed, retried, worked
