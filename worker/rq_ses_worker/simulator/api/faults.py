"""What scripted faults do to an attempt, and how far each address has come in its script (steps.py)."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

from rq_ses_worker.simulator.api import answers
from rq_ses_worker.simulator.api.answers import Answer
from rq_ses_worker.simulator.api.steps import FATES, ScriptError, Step, parse, script_of, spelled

HangUp = Literal["close", "reset"]

_ADDRESS: Final = re.compile(
    r"""(?:[^\s\x00-\x1f\x7f]{1,320}|"[^"\x00-\x1f\x7f]{1,318}")@[^\s\x00-\x1f\x7f@]{1,255}"""
)
_MAX_STEPS: Final = 1000


@dataclass(frozen=True, slots=True)
class Effect:
    """What a step does to one attempt: refuse it with `answer`, or accept it in an odd way.

    `hang_up` ends the connection without an answer, `hints` sends an interim one before it; `delay` is in
    seconds. An `anonymous` one is answered without a MessageId.
    """

    answer: Answer | None = None
    delay: float = 0.0
    hang_up: HangUp | None = None
    hints: bool = False
    accepts: bool = False
    anonymous: bool = False


def effect(step: Step, address: str, region: str) -> Effect:
    """Return what `step` does to an attempt to send to `address`."""
    if step.word.startswith("html"):
        return Effect(answers.page(int(step.word[4:])))
    if step.word.removeprefix("all").isdecimal():
        return Effect(answers.for_status(int(step.word.removeprefix("all"))))
    if step.word in answers.BY_STATUS_NAME:
        return Effect(answers.BY_STATUS_NAME[step.word])
    match step.word:
        case "quota":
            return Effect(answers.QUOTA_EXCEEDED)
        case "throttle":
            return Effect(answers.THROTTLED)
        case "reject":
            return Effect(answers.not_verified([address], region))
        case "paused":
            return Effect(answers.SENDING_PAUSED)
        case "suspended":
            return Effect(answers.ACCOUNT_SUSPENDED)
        case "slow":
            return Effect(delay=step.seconds, accepts=True)
        case "hints":
            return Effect(hints=True, accepts=True)
        case "drop":
            return Effect(hang_up="close", accepts=True)
        case "reset":
            return Effect(hang_up="reset")
        case _:
            # What is about an entry's result does nothing to a mail alone, but for its id.
            return Effect(accepts=True, anonymous=step.word == "noid")


@dataclass(frozen=True, slots=True)
class Script:
    """A script that was given to an address: its steps as written, and how many attempts it has consumed."""

    address: str
    steps: tuple[str, ...]
    consumed: int
    over: bool

    def as_dict(self) -> dict[str, Any]:
        """Return all fields."""
        return asdict(self)


class Faults:
    """The scripts of all addresses and how far each has come; safe to use from another thread."""

    def __init__(self, region: str, limit: int = 100_000) -> None:
        self._region = region
        self._limit = limit
        self._lock = threading.Lock()
        self._scripts: dict[str, tuple[Step, ...]] = {}
        self._consumed: dict[str, int] = {}
        self._changes = 0

    @property
    def changes(self) -> int:
        """How often scripts were given, taken away or forgotten."""
        return self._changes

    def script(self, address: str, steps: Iterable[str]) -> None:
        """Give `address`, on any domain, a script: `steps`, one an attempt, from its next attempt on.

        Without steps its mails are accepted, whatever it spells. Raises ScriptError when it is no address, or
        a step is none.
        """
        script = tuple(parse(step) for step in steps)
        address = address.strip().lower()
        if not _ADDRESS.fullmatch(address):
            raise ScriptError(f"{address[:100]!r} is not an address such as anna@example.com")
        if len(script) > _MAX_STEPS:
            raise ScriptError(f"{len(script)} steps are too many: give {_MAX_STEPS} at most")
        with self._lock:
            if address not in self._scripts and len(self._scripts) >= self._limit:
                raise ScriptError(f"{self._limit} addresses have scripts: remove some of them")
            self._scripts[address] = script
            self._consumed.pop(address, None)
            self._changes += 1

    def remove(self, address: str) -> bool:
        """Take the script of `address` away; tell whether there was one."""
        with self._lock:
            address = address.strip().lower()
            if self._scripts.pop(address, None) is None:
                return False
            self._consumed.pop(address, None)
            self._changes += 1
            return True

    def scripts(self) -> list[Script]:
        """Return the scripts that were given, oldest first; those that addresses spell are not among them."""
        with self._lock:
            return [
                Script(
                    address,
                    tuple(spelled(step) for step in script),
                    consumed := self._consumed.get(address, 0),
                    _at(script, consumed) is None,
                )
                for address, script in self._scripts.items()
            ]

    def next(self, recipients: Sequence[str]) -> tuple[str, Step] | None:
        """Return the first recipient with a step left and that step, without consuming it.

        What becomes of a mail once it is accepted (`fates`) is not among them.
        """
        with self._lock:
            for recipient in recipients:
                step = self._step(recipient)
                if step is not None and step.word not in FATES:
                    return recipient, step
        return None

    def fates(self, recipients: Sequence[str], besides: str | None = None) -> dict[str, str]:
        """Return what becomes of an accepted mail by the scripts of its recipients, and consume these steps.

        `besides` is the recipient whose step was played already.
        """
        found = {}
        for recipient in recipients:
            with self._lock:
                step = self._step(recipient) if recipient != besides else None
            if step is not None and step.word in FATES:
                found[recipient] = step.word
                self.consume(recipient)
        return found

    def _step(self, recipient: str) -> Step | None:
        address = recipient.lower()
        script = self._scripts.get(address)
        if script is None:
            script = script_of(address)
        return _at(script, self._consumed.get(address, 0)) if script else None

    def effect(self, address: str, step: Step) -> Effect:
        return effect(step, address, self._region)

    def consume(self, recipient: str) -> None:
        """Take one attempt off the script of `recipient`."""
        address = recipient.lower()
        with self._lock:
            # Popped and put back, so that the address that rested longest is forgotten first.
            self._consumed[address] = self._consumed.pop(address, 0) + 1
            if len(self._consumed) > self._limit:
                del self._consumed[next(iter(self._consumed))]

    def clear(self) -> None:
        """Forget scripts and progress: every address starts anew."""
        with self._lock:
            self._scripts.clear()
            self._consumed.clear()
            self._changes += 1


def _at(script: Sequence[Step], consumed: int) -> Step | None:
    for step in script:
        if step.times is None or consumed < step.times:
            return step
        consumed -= step.times
    return None
