"""Debian's Postfix as a client of the ingress: one of its own, under a folder, that listens nowhere."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from support.programs.processes import PATIENCE

_MAIN: Final = """\
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
maillog_file = {folder}/log/postfix
maillog_file_prefixes = {folder}
myhostname = postfix.example.com
mydestination =
inet_interfaces = loopback-only
inet_protocols = ipv4
alias_maps =
alias_database =
relayhost = [localhost]:{port}
minimal_backoff_time = 1s
maximal_backoff_time = 1s
queue_run_delay = 1s
smtp_host_lookup = native
smtp_tls_security_level = verify
smtp_tls_CAfile = {folder}/ca
smtp_sasl_auth_enable = yes
smtp_sasl_password_maps = texthash:{folder}/password
smtp_sasl_security_options = noanonymous
"""

_MASTER: Final = """\
pickup unix n - n 1 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 1 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
tlsmgr unix - - n 1000? 1 tlsmgr
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""


class Postfix:
    """A running one; `submit` gives it a mail as sendmail does."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def log(self) -> str:
        path = self._folder / "log" / "postfix"
        return path.read_text() if path.exists() else ""

    def submit(self, sender: str, recipients: list[str], content: bytes) -> None:
        subprocess.run(
            ["sendmail", "-C", str(self._folder / "etc"), "-i", "-f", sender, "--", *recipients],
            input=content, timeout=PATIENCE, check=True,
        )  # fmt: skip

    def control(self, command: str) -> None:
        done = subprocess.run(
            ["postfix", "-c", str(self._folder / "etc"), command],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr + self.log


@contextmanager
def postfix(port: int, *, ca: str, login: str) -> Iterator[Postfix]:
    """Run one that relays everything to a port of localhost, over TLS, logged in (name:password)."""
    # Its own users must reach it, and they don't reach what is a test's.
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        for part in ("etc", "queue", "data", "log"):
            (folder / part).mkdir()
        shutil.chown(folder / "data", "postfix")
        (folder / "ca").write_text(ca)
        (folder / "password").write_text(f"[localhost]:{port} {login}\n")
        (folder / "etc" / "main.cf").write_text(_MAIN.format(folder=folder, port=port))
        (folder / "etc" / "master.cf").write_text(_MASTER)
        running = Postfix(folder)
        running.control("start")
        try:
            yield running
        finally:
            running.control("stop")
