"""What `rq-ses sendmail` ends with: the exit codes of BSD's sysexits.h, which every caller of sendmail knows.

Programs that put a mail back for later do so for TEMPFAIL alone; any other code but OK sends it back.
"""

from __future__ import annotations

import os
from typing import Final

from rq_ses.cli.terminal.exits import ExitCode

OK: Final = ExitCode(os.EX_OK, "enqueued")
USAGE: Final = ExitCode(os.EX_USAGE, "a flag that can't be obeyed")
DATA: Final = ExitCode(os.EX_DATAERR, "not a mail that SES takes")
NO_INPUT: Final = ExitCode(os.EX_NOINPUT, "standard input can't be read")
NO_USER: Final = ExitCode(os.EX_NOUSER, "for a local user, while RQ_SES_SENDMAIL_LOCAL is unset")
TRY_AGAIN: Final = ExitCode(os.EX_TEMPFAIL, "no Redis, or it takes no writes: try again")
DENIED: Final = ExitCode(os.EX_NOPERM, "Redis refuses this user")
SETTINGS: Final = ExitCode(os.EX_CONFIG, "bad settings, or no sender")

CODES: Final = (OK, USAGE, DATA, NO_INPUT, NO_USER, TRY_AGAIN, DENIED, SETTINGS)
