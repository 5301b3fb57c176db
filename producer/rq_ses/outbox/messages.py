"""Draws messages from the iterable that a caller gave, whatever it is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from rq_ses.errors import SendManyInterrupted
from rq_ses.message.mailable import Mailable
from rq_ses.message.reading import AnyMessage
from rq_ses.outbox.submission import Submission


def drawn(messages: Iterable[AnyMessage | Submission]) -> Iterator[AnyMessage | Submission]:
    """Yield what an iterable holds.

    Raises:
        TypeError: it is no iterable of messages.
        SendManyInterrupted: from what it raised.
    """
    # A message can be iterated over, too: pydantic gives its fields.
    kind: Any = type(messages)
    if issubclass(kind, Mailable) or not (hasattr(kind, "__iter__") or hasattr(kind, "__getitem__")):
        raise TypeError(f"messages: a {kind.__name__} is no iterable of messages: give a list, or call send")
    iterator = iter(messages)
    while True:
        try:
            message = next(iterator)
        except StopIteration:
            return
        except Exception as exc:
            raise SendManyInterrupted(f"what gave the messages raised {type(exc).__name__}: {exc}") from exc
        yield message
