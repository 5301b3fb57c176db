"""What the exit codes of `rq-ses` mean."""

from typing import Final

OK: Final = 0
"""All that was asked for was done."""

INCOMPLETE: Final = 1
"""Some of it was not done; stderr says what, and why."""

USAGE: Final = 2
"""The command line can't be used (click's own code)."""

SETTINGS: Final = 3
"""Settings are missing or wrong; nothing was touched."""

UNAVAILABLE: Final = 4
"""Redis could not be reached in time."""

UNFIT: Final = 5
"""Redis would lose mails as it is set up (RQ_SES_PREFLIGHT), or the doctor found another error."""

DENIED: Final = 6
"""Redis refuses this user a command, a key or a channel (ACL); stderr says which."""
