"""A settlement that goes along with a claim: one round trip, and one waking of the server, for both."""

from __future__ import annotations

from typing import Any

from redis import Redis

from rq_ses_worker.server.scripts import Call, run_together


class Along:
    """What goes along with the next claim, and what became of it. One thread alone uses it.

    Args:
        connection: where both run.
    """

    def __init__(self, connection: Redis) -> None:
        self._connection = connection
        self._known = False
        self.call: Call | None = None
        """The settlement."""
        self.words: list[Any] | None = None
        """What it replied, once it has run."""

    def run_with(self, claim: Call) -> Any:
        """Return the reply of a claim, before which the settlement is made, if there is one.

        Raises RedisError: the claim's own, or both are unknown.
        """
        call, self.call = self.call, None
        if call is None:
            return claim.run()
        if not self._known:
            # A server that knows the claim alone would run it first, and the worker hold more than it may.
            self.words = [word.decode() for word in call.run()]
            self._known = True
            return claim.run()
        words, reply = run_together(self._connection, [call, claim])
        if not isinstance(words, Exception):
            self.words = [word.decode() for word in words]
        if isinstance(reply, Exception):
            raise reply
        return reply

    def take_words(self) -> list[Any] | None:
        """Return the words, and forget them; None if the settlement hasn't been made, or failed."""
        words, self.words, self.call = self.words, None, None
        return words
