"""`credential_process`: a command that prints credentials as JSON.

https://docs.aws.amazon.com/sdkref/latest/guide/feature-process-credentials.html
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import signal
import subprocess
import threading
from typing import IO, Final

from rq_ses.text.plaintext import one_line
from rq_ses_worker.identity.provider import Grant, NotConfigured, ProviderFailed, grant, read_json
from rq_ses_worker.ses.redaction import redact

TIMEOUT: Final = 30.0
"""Seconds; AWS names no bound. A tool may have to ask a server, and a worker that stops waits for it."""

_OUTPUT: Final = 65_536
_WORDS: Final = 160
_SECRETS: Final = re.compile(
    r"((?:secret|passw(?:or)?d|pwd|token|key)[\w.-]{0,40}[\"']?\s{0,4}[:=]\s{0,4}[\"']?)[^\s\"',;}]+"
    r"|(?<![\w/+=])[A-Za-z0-9/+]{40}(?![\w/+])",
    re.IGNORECASE,
)
"""What a command that complains may repeat: a secret beside its name, and what looks like AWS's."""


class CredentialProcess:
    """Run a profile's command, without a shell, each time credentials are needed."""

    def __init__(self, profile: str, command: str, *, timeout: float = TIMEOUT) -> None:
        self.name = f"credential_process of profile {profile}"
        self._command = command
        self._timeout = timeout

    def load(self) -> Grant | NotConfigured:
        """Run the command. Raises ProviderFailed; what it prints on stdout is never repeated."""
        document = read_json(self._run(), otherwise="the command printed no JSON")
        if not isinstance(document, dict) or document.get("Version") != 1:
            raise ProviderFailed("the command's JSON is not of Version 1: it must print that", lasting=True)
        return grant("the command's JSON", document)

    def _run(self) -> bytes:
        try:
            words = shlex.split(self._command)
        except ValueError as exc:
            raise ProviderFailed(
                f"credential_process can't be split into words: {exc}", lasting=True
            ) from None
        if not words:
            raise ProviderFailed("credential_process is empty: give a command", lasting=True)
        try:
            process = subprocess.Popen(  # noqa: S603 - the profile's owner chose it; no shell
                words,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except (OSError, ValueError) as exc:
            why = exc.strerror if isinstance(exc, OSError) else "it holds a zero byte"
            raise ProviderFailed(f"the command {words[0]!r} can't be run: {why}", lasting=True) from None
        return self._finish(process)

    def _finish(self, process: subprocess.Popen[bytes]) -> bytes:
        late = threading.Event()

        def stop() -> None:
            late.set()
            _kill(process)

        timer = threading.Timer(self._timeout, stop)
        timer.daemon = True
        complaint: list[bytes] = []
        assert process.stdout is not None  # noqa: S101 - for the type checker: PIPE was asked for
        assert process.stderr is not None  # noqa: S101
        drain = threading.Thread(target=_drain, args=(process.stderr, complaint), daemon=True)
        timer.start()
        drain.start()
        try:
            output = process.stdout.read(_OUTPUT + 1)
            if len(output) > _OUTPUT:
                raise ProviderFailed(f"the command printed more than {_OUTPUT} bytes", lasting=True)
            code = process.wait()
        finally:
            timer.cancel()
            _kill(process)
            process.wait()
            process.stdout.close()
            # A child that it left running may hold this pipe for ever.
            drain.join(1.0)
            if not drain.is_alive():
                process.stderr.close()
        if late.is_set():
            raise ProviderFailed(f"the command took longer than {self._timeout:g} s")
        if code:
            words = one_line(_unsecret(b"".join(complaint).decode("utf-8", "replace")), _WORDS)
            raise ProviderFailed(f"the command ended with exit code {code}{': ' if words else ''}{words}")
        return output


def _unsecret(text: str) -> str:
    return _SECRETS.sub(lambda found: f"{found[1] or ''}***", redact(text))


def _kill(process: subprocess.Popen[bytes]) -> None:
    if process.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def _drain(pipe: IO[bytes], into: list[bytes]) -> None:
    kept = 0
    while piece := pipe.read(4096):
        if kept < _OUTPUT:
            into.append(piece)
            kept += len(piece)
