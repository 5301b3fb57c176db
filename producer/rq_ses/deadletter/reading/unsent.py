"""Tells from a traceback of RQ's whether the mail was surely not sent: its job broke off before the attempt.

A stock `rq worker` without `--serializer json` can't read our jobs, one without our package can't import the
function, and one without settings stops before it connects: what they fail never got as far as SES.
"""

from __future__ import annotations

import re
from typing import Final

_BEGIN: Final = "Traceback (most recent call last):"
_FRAME: Final = re.compile(r'^ *File "[^"\n]*", line \d+, in ([\w.<>]+)', re.MULTILINE)

_BEFORE: Final = frozenset({"_deserialize_data", "import_attribute", "prepare_job_execution", "_sender"})
"""Functions before the attempt: RQ's (3.0: rq/job.py, rq/utils.py, rq/worker) and rq_ses_worker.job's own."""

_LATER: Final = re.compile(r"_attempt|.*(?:finalize|callback|webhook).*")
"""Functions of the attempt and after it: RQ imports callbacks, too, when the job has been done."""


def surely_unsent(error: str) -> bool:
    """Tell whether a job's failure, as RQ keeps it, shows that no attempt was begun.

    A traceback that isn't whole shows nothing.
    """
    text = error.strip()
    if not text.startswith(_BEGIN):
        return False
    if any(_LATER.fullmatch(name) for name in _FRAME.findall(text)):
        return False
    return not _BEFORE.isdisjoint(_FRAME.findall(text.rpartition(_BEGIN)[2]))
