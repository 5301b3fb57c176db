"""Who is subscribed to the account's topic, and who has confirmed it."""

from __future__ import annotations

import secrets
import time
from functools import partial
from typing import Any, Final

from rq_ses_worker.simulator.events.account import AccountTopic
from rq_ses_worker.simulator.events.subscription import Message, Subscription
from rq_ses_worker.simulator.events.target import shown
from rq_ses_worker.simulator.events.told import Delivery, Log, Told
from rq_ses_worker.simulator.way import Target, Way

CONFIRMATION: Final = "SubscriptionConfirmation"


class Subscriptions:
    """The targets that were told something, each with what waits for it; for one thread at a time."""

    def __init__(self, topic: AccountTopic, log: Log) -> None:
        self._topic = topic
        self._log = log
        self._found: dict[Target, Subscription] = {}
        self._tokens: dict[str, Target] = {}
        self._confirmed: set[Target] = set()

    def of(self, way: Way, place: str) -> dict[Target, Subscription]:
        """Return those of all targets; new ones are asked to confirm at `place`, a base URL."""
        for target in way.targets:
            if target not in self._found:
                self._found[target] = Subscription(target)
                if not way.subscribed:
                    self._ask(target, place)
        return {target: self._found[target] for target in way.targets}

    def keep(self, targets: tuple[Target, ...]) -> None:
        """End all others."""
        for target in self._found.keys() - set(targets):
            self._found.pop(target).close()
            self._confirmed.discard(target)
        self._tokens = {token: target for token, target in self._tokens.items() if target in targets}

    def confirm(self, arn: str, token: str) -> bool:
        """Note that a target has confirmed; tell whether topic and token are those that it was asked by."""
        target = self._tokens.get(token)
        if target is None or arn != self._topic.arn:
            return False
        self._confirmed.add(target)
        return True

    def describe(self, targets: tuple[Target, ...]) -> list[dict[str, Any]]:
        """Return how it stands with each target."""
        return [
            {
                "target": shown(target),
                "confirmed": target in self._confirmed,
                "dropped": self._found[target].dropped if target in self._found else 0,
            }
            for target in targets
        ]

    def _ask(self, target: Target, place: str) -> None:
        token = secrets.token_hex(32)
        self._tokens[token] = target
        body, headers = self._topic.confirmation(token, place)
        number = self._log.add(
            Told(
                at=time.time(),
                kind=CONFIRMATION,
                form="",
                message_id="",
                notification_id=headers["x-amz-sns-message-id"],
                recipients=(),
                deliveries=waiting((target,)),
            )
        )
        self._found[target].put(Message(body, headers, partial(self._log.answered, number, shown(target))))


def waiting(targets: tuple[Target, ...]) -> dict[str, Delivery]:
    """Return deliveries that have yet to come, by their targets' names."""
    return {name: Delivery(target=name) for name in map(shown, targets)}
