"""Dead letters, the mails that failed for good: grouped, shown, resent, discarded, and kept in a file.

    from rq_ses.deadletter import DeadLetters, Filter

    letters = DeadLetters("redis://127.0.0.1:6379/0")
    for group in letters.groups():
        print(group.count, group.code, group.cause)
    print(letters.resend(Filter(codes=["MessageRejected"]), limit=1000, rate=10))

Looking never changes anything: RQ's registries are read without their methods, which clean up. The commands
`rq-ses failed`, `resend`, `discard` and `import` are made of this.
"""

from rq_ses.deadletter.archive import Restored
from rq_ses.deadletter.deadletters import DeadLetterNotFound, DeadLetters
from rq_ses.deadletter.discarding import Discarded
from rq_ses.deadletter.edits import EditRefused
from rq_ses.deadletter.groups import Group, Groups
from rq_ses.deadletter.reading.deadletter import DeadLetter
from rq_ses.deadletter.reading.filter import Filter
from rq_ses.deadletter.resending import Resent

__all__ = [
    "DeadLetter",
    "DeadLetterNotFound",
    "DeadLetters",
    "Discarded",
    "EditRefused",
    "Filter",
    "Group",
    "Groups",
    "Resent",
    "Restored",
]
