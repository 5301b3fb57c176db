"""`rq-ses smtp` as a process, and the mails that it brought to SES's stand-in."""

from __future__ import annotations

import base64
import json
import smtplib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from rq_ses_worker.simulator.server import SimulatorServer
from support.programs.processes import Process, running
from support.servers.ports import free_port
from support.waiting import PATIENCE, wait_for


@contextmanager
def smtp_ingress(
    env: Mapping[str, str], log: Path, *options: str, port: int | None = None
) -> Iterator[tuple[Process, int]]:
    """Run it until the block is left; yield it and its port once it greets."""
    port = port or free_port()
    with running(["smtp", "--listen", str(port), *options], env, log) as process:
        wait_for(lambda: greets(port) or not process.running, what=f"greeting on {port}")
        assert process.running, process.output
        yield process, port


def greets(port: int) -> bool:
    """Tell whether an SMTP server is there."""
    try:
        with smtplib.SMTP("127.0.0.1", port, timeout=PATIENCE) as client:
            return client.noop()[0] == 250
    except (OSError, smtplib.SMTPException):
        return False


def takes_mails(port: int) -> bool:
    """Tell whether it has found its Redis fit: until then it greets, and answers MAIL with 451."""
    with smtplib.SMTP("127.0.0.1", port, timeout=PATIENCE) as client:
        client.ehlo()
        return client.mail("ann@example.com")[0] == 250


def sent(ses: SimulatorServer) -> list[tuple[tuple[str, ...], bytes]]:
    """Return recipients and bytes of each mail that SES has, without the Received header in front."""
    found = []
    for accepted in ses.mails:
        body = json.loads(accepted.body)
        data = base64.b64decode(body["Content"]["Raw"]["Data"])
        received, _, rest = data.partition(b"+0000\r\n")
        assert received.startswith(b"Received: by rq-ses with ESMTP")
        found.append((tuple(body["Destination"]["ToAddresses"]), rest))
    return found
