"""How an app took a message."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Answer:
    """What a POST was answered with; `status` is HTTP's, None when there was no answer."""

    status: int | None
    text: str = ""

    @property
    def taken(self) -> bool:
        """Whether SNS would be content: it asks for any 2xx."""
        return self.status is not None and 200 <= self.status < 300

    @property
    def again(self) -> bool:
        """Whether SNS would repeat it: a 4xx ends it, silence and a 5xx don't.

        https://docs.aws.amazon.com/sns/latest/dg/sns-message-delivery-retries.html
        """
        return self.status is None or self.status >= 500
