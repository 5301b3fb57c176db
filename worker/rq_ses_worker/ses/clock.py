"""The time that is signed: our own clock's, set right by SES's where SES refused it.

AWS refuses a signature whose time is more than some minutes (five, in most services) from its own.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from rq_ses_worker.ses.wire.headers import lower_names
from rq_ses_worker.ses.wire.httpdate import parse_http_date


class SigningClock:
    """Tell the time to sign, to any number of threads; `clock` tells our own, in UTC."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        # Each is read and replaced as a whole, so that threads need no lock.
        self._correction = timedelta(0)
        self._offset: timedelta | None = None

    def now(self) -> datetime:
        """Return the time to sign."""
        return self._clock() + self._correction

    def correct(self, headers: Mapping[str, str]) -> bool:
        """Take over the time of an answer; tell whether it has one."""
        theirs = _date(headers)
        if theirs is None:
            return False
        self._correction = theirs - self._clock()
        return True

    def compare(self, headers: Mapping[str, str]) -> None:
        """Note how far the time of an answer is from ours, if it has one."""
        if theirs := _date(headers):
            self._offset = theirs - self._clock()

    @property
    def offset(self) -> timedelta | None:
        """SES's clock minus ours, to a second, when they were last compared; None if they never were."""
        return self._offset


def _date(headers: Mapping[str, str]) -> datetime | None:
    return parse_http_date(lower_names(headers).get("date", ""))
