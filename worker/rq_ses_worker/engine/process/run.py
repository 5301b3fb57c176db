"""One run of `rq-ses worker`: its processes, from the first claim to the exit code."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import click

from rq_ses.cli.terminal.exits import DENIED, INCOMPLETE, OK, UNFIT
from rq_ses.keys import Keys, enter
from rq_ses_worker.engine.preflight.server import ServerUnfit
from rq_ses_worker.engine.threads.vital import ThreadDied
from rq_ses_worker.logging import events
from rq_ses_worker.server.denial import Denied, Scattered

if TYPE_CHECKING:
    from rq_ses_worker.engine.worker import MailWorker
    from rq_ses_worker.monitoring.server import Monitor
    from rq_ses_worker.monitoring.tally import Board, Tally

log = logging.getLogger(__name__)


class Build(Protocol):
    """What makes the worker of one process."""

    def __call__(self, *, name: str | None, tally: Tally | None, gate: Keys | None) -> MailWorker: ...


@dataclass(frozen=True, slots=True)
class Run:
    """A worker in this process, or several under a supervisor, as the command line describes it.

    Attributes:
        build: makes the worker of a process, in that process.
        processes: how many; more than one are started, and started anew, by a supervisor.
        name: what RQ's tools show; None for one made of host, process and chance.
        burst: end when the queue is drained.
        max_wait: seconds that a burst waits at most for what can't be sent yet; None for as long as it takes.
        board: what the processes count on, if anybody reads it.
        monitor: what serves metrics and health of that board, if anybody asks for them.
        partitions: keys of the queue's partitions, which are dealt out to the processes in turns: as many of
            these at least. The account's gate stays under the keys of the process that starts them.
    """

    build: Build
    processes: int = 1
    name: str | None = None
    burst: bool = False
    max_wait: float | None = None
    board: Board | None = None
    monitor: Monitor | None = None
    partitions: Sequence[Keys] = ()

    def code(self) -> int:
        """Send until told to stop, or the burst is over; return the exit code."""
        if self.processes == 1:
            if self.monitor:
                self.monitor.start()
            return self._work(1)
        from rq_ses_worker.engine.process.supervisor import Supervisor

        return Supervisor(
            self.processes,
            self._work,
            hopeless=frozenset({UNFIT, DENIED}),
            beside=self.monitor.serve if self.monitor else None,
            ended=self._leave,
        ).run()

    def _work(self, number: int) -> int:
        """Run the worker of process `number`, from 1 on, in this process; return its exit code."""
        gate = self._enter_partition(number)
        several = self.processes > 1
        if self.monitor and several:
            self.monitor.detach()
        try:
            self.build(
                name=f"{self.name}-{number}" if self.name and several else self.name,
                tally=self.board.tallies[number - 1] if self.board else None,
                gate=gate,
            ).work(burst=self.burst, max_wait=self.max_wait)
        except ServerUnfit as exc:
            return _refused(exc)
        except Denied as exc:
            events.WORKER_DENIED.log(log, error=str(exc))
            return UNFIT if isinstance(exc, Scattered) else DENIED
        except ThreadDied:
            return INCOMPLETE
        return OK

    def _enter_partition(self, number: int) -> Keys | None:
        """Work under the keys of a partition; return those of the gate."""
        if not self.partitions:
            return None
        gate = Keys.default()
        enter(self.partitions[(number - 1) % len(self.partitions)])
        return gate

    def _leave(self, number: int) -> None:
        if self.board:
            self.board.tallies[number - 1].leave()


def _refused(exc: ServerUnfit) -> int:
    """Say what is wrong with Redis; return DENIED if it is a missing right alone."""
    for finding in exc.findings:
        click.echo(f"Error: Redis: {finding.text}", err=True)
    if not any(finding.stops for finding in exc.findings):
        click.echo("(RQ_SES_PREFLIGHT=warn starts all the same)", err=True)
    return DENIED if all(finding.right for finding in exc.findings) else UNFIT
