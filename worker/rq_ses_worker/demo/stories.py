"""What shall happen to the demo's mails, and how one tells that it did."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from rq_ses.message.message import Attachment, Message
from rq_ses.states import FAILED, FINISHED

SENDER: Final = "Demo <demo@example.com>"
MAX_ATTEMPTS: Final = 3
"""The demo's worker gives up after so many transient failures, so that one can watch it."""

VERIFIED: Final = ("example.com", "faults.example")
"""What the demo's account in the sandbox may send from and to."""


@dataclass(frozen=True, slots=True)
class Story:
    """Mails to which the same shall happen.

    `delays` are the seconds between the end of each attempt and the next, as rq-ses promises them; `words` is
    what a failed mail's line must contain.
    """

    title: str
    mails: int
    address: Callable[[int], str]
    ends: Literal["finished", "failed"]
    delays: tuple[float, ...] = ()
    words: str = ""
    accepted: int = 1
    """How often SES accepts such a mail."""
    keyed: bool = False
    """Each mail is enqueued twice under one idempotency key."""

    @property
    def attempts(self) -> int:
        return len(self.delays) + 1


def _fault(steps: str) -> Callable[[int], str]:
    return lambda n: f"{steps}.user{n}@faults.example"


STORIES: Final = (
    Story("sent at once", 100, lambda n: f"user{n}@example.com", FINISHED),
    Story("enqueued twice, one key", 10, lambda n: f"keyed{n}@example.com", FINISHED, keyed=True),
    Story("AWS's own simulator", 10, lambda n: f"success+{n}@simulator.amazonses.com", FINISHED),
    Story("429 once: again in 5 s", 20, _fault("429"), FINISHED, delays=(5.0,)),
    Story("503 once: again in 1 s", 20, _fault("503"), FINISHED, delays=(1.0,)),
    Story("503, then 429", 5, _fault("503+429"), FINISHED, delays=(1.0, 5.0)),
    Story("slow answer (2 s)", 5, _fault("slow-2"), FINISHED),
    Story("answer lost: sent again", 5, _fault("drop"), FINISHED, delays=(1.0,), accepted=2),
    Story("503 at every attempt", 5, _fault("503x9"), FAILED, (1.0, 1.0), "gave up after 3 attempts", 0),
    Story("request refused", 10, _fault("400x9"), FAILED, words="BadRequestException", accepted=0),
    Story(
        "recipient not verified", 10, lambda n: f"user{n}@elsewhere.example", FAILED,
        words="Email address is not verified", accepted=0,
    ),
)  # fmt: skip


def message(story: Story, number: int) -> Message:
    """Return the story's mail of that number; every tenth has HTML and an attachment."""
    rich = number % 10 == 0
    return Message(
        sender=SENDER,
        to=[story.address(number)],
        subject=f"{story.title} № {number}",
        text=f"Story: {story.title}. Nobody will ever read this mail.",
        html="<p>Nobody will ever <b>read</b> this mail.</p>" if rich else None,
        attachments=[Attachment(filename="note.txt", content_type="text/plain", content=b"demo")]
        if rich
        else [],
        tags={"story": str(STORIES.index(story))},
    )
