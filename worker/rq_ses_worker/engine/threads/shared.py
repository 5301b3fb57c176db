"""What the threads of one worker share."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from rq_ses.server.serverclock import ServerClock
from rq_ses_worker.account.brake import Brake
from rq_ses_worker.engine.threads.outage import Trouble
from rq_ses_worker.engine.threads.vital import VitalThreads
from rq_ses_worker.lifecycle.leases import Leases


@dataclass(slots=True)
class Shared:
    """What a worker holds, how SES and Redis have been, and whether all of its threads live."""

    leases: Leases
    clock: ServerClock = field(default_factory=ServerClock)
    """The server's time: when a mail expires, or has been tried for too long, goes by it alone."""
    brake: Brake = field(default_factory=Brake)
    trouble: Trouble = field(default_factory=Trouble)
    wake: threading.Event = field(default_factory=threading.Event)
    """Set when the dispatcher may have something to do."""
    closing: threading.Event = field(default_factory=threading.Event)
    """Set when the worker ends: nothing periodic is begun any more."""
    suspended: bool = False
    """The last claim found RQ's workers suspended (`rq suspend`)."""
    threads: VitalThreads = field(init=False)

    def __post_init__(self) -> None:
        self.threads = VitalThreads(self.wake.set)
