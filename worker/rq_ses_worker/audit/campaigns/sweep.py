"""The clean-up of campaigns: a week after its last change one that has ended is forgotten, terms and all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from redis import Redis

from rq_ses.campaign.names import BUCKET
from rq_ses.keys import keys_of
from rq_ses_worker.server.scripts import TYPED, Parts, lua

SCRIPT: Final[Parts] = (TYPED, "audit/campaigns/forget")

KEPT: Final = 604_800
"""Seconds for which an ended campaign is remembered: until then none of its entries is sent again."""

PAUSE: Final = 0.005
"""Seconds between two campaigns."""

_PAGE: Final = 100


class CampaignSweep:
    """Looks at the campaigns under one prefix.

    Args:
        connection: any client.
        kept: seconds for which an ended one is remembered.
    """

    def __init__(self, connection: Redis, *, kept: int = KEPT) -> None:
        self._connection: Any = connection
        self._keys = keys_of(connection)
        self._kept = kept
        self._script: Any = connection.register_script(lua(*SCRIPT))

    def run(self, pause: Callable[[float], bool] = lambda _: False) -> int:
        """Sweep once; return how many campaigns are forgotten. `pause` waits, and tells whether to stop.

        Raises:
            RedisError: the server is away, or withholds a right; what was done is done.
        """
        forgotten = 0
        for name in self._old():
            forgotten += self.forget(name) == b"forgotten"
            if pause(PAUSE):
                break
        return forgotten

    def _old(self) -> list[str]:
        """Return the campaigns that haven't changed for so long: the script looks at the rest."""
        now = self._connection.time()[0]
        names = [raw.decode("utf-8", "replace") for raw in self._connection.smembers(self._keys.campaigns)]
        old = []
        for at in range(0, len(names), _PAGE):
            page = names[at : at + _PAGE]
            with self._connection.pipeline(transaction=False) as pipeline:
                for name in page:
                    pipeline.hget(self._keys.campaign(name), "changed_at")
                answers = pipeline.execute(raise_on_error=False)
            old += [
                name
                for name, answer in zip(page, answers, strict=True)
                if answer is None or (isinstance(answer, bytes) and _epoch(answer) <= now - self._kept)
            ]
        return old

    def forget(self, name: str) -> bytes:
        """Delete what is kept of a campaign if it has ended; return forget.lua's word. Raises RedisError."""
        keys = self._keys
        word: bytes = self._script(
            keys=[keys.scratch, keys.campaigns, keys.campaign(name)],
            args=[name, self._kept, keys.campaign(""), keys.terms(""), BUCKET],
        )
        return word


def _epoch(raw: bytes) -> float:
    try:
        return float(raw)
    except ValueError:
        return float("inf")
