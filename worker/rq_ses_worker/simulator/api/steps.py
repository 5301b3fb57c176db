"""The steps of a scripted fault, which an address can spell: `429x2.anna@faults.example` is refused twice.

The third mail to it is accepted.

    local part   = steps [ "." name ]
    steps        = step *( "+" step )
    step         = word [ "x" times ]

    word         this attempt is                                        without "x"
    400 … 599    answered with that status in SES's words               once
    html400 …    answered with that status and a load balancer's page   once
    quota        refused: the daily quota is used up (429)              once
    throttle     refused: ThrottlingException (400)                     once
    reject       refused: MessageRejected                               every time
    paused       refused: SendingPausedException                        every time
    suspended    refused: AccountSuspendedException                     every time
    slow-2.5     accepted at once, answered after 2.5 seconds           once
    hints        accepted; 103 Early Hints comes before the answer      once
    drop         accepted, then the connection is closed unanswered     once
    reset        not accepted, the connection is reset                  once
    noid         accepted, answered without a MessageId                 once
    bounce       accepted, then an event says that it bounced           every time
    softbounce   accepted, then it bounces from a full mailbox          every time
    complaint    accepted and delivered, then somebody complains        every time
    delay        accepted, delivered after an event about a delay       every time
    virus        accepted, then an event says that SES rejected it      every time
    transient_failure, … any status of SES's for an entry of a          once
                 SendBulkEmail, in lower case

In a SendBulkEmail the steps are those of the entry with that recipient: 429 is ACCOUNT_THROTTLED, 5xx is
TRANSIENT_FAILURE, reject is MESSAGE_REJECTED, and so on. html…, slow, hints, drop and reset are for the whole
request, as is

    all400 …     the request is answered with that status               once

and for entries alone there are

    nostatus     not accepted, its result has no Status                 once
    oddstatus    not accepted, with a status that nobody knows          once
    noresult     accepted, its result is left out                       once

Each attempt to send to an address consumes one step; after the last one its mails are accepted. The state
is kept per full address (case ignored), so a name makes a script of its own: `503.a@…` and `503.b@…`. Where
several recipients of one mail have steps left, the first of them decides and only its step is consumed;
bounce, softbounce, complaint, delay and virus are each recipient's own, and are played once the mail is
accepted. A name after whole seconds should not begin with a digit: `slow-2.5` is two and a half seconds.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

FAULTS_DOMAIN: Final = "faults.example"

STATUSES: Final = (
    "message_rejected",
    "mail_from_domain_not_verified",
    "configuration_set_not_found",
    "template_not_found",
    "account_suspended",
    "account_throttled",
    "account_daily_quota_exceeded",
    "invalid_sending_pool_name",
    "account_sending_paused",
    "configuration_set_sending_paused",
    "invalid_parameter",
    "transient_failure",
    "failed",
)
"""Statuses of an entry of SendBulkEmail beside SUCCESS, as steps write them (API model, BulkEmailStatus)."""

FATES: Final = ("bounce", "softbounce", "complaint", "delay", "virus")
"""What becomes of a mail once it is accepted; an event tells of it."""

_WORDS: Final = (
    *FATES, "quota", "throttle", "reject", "paused", "suspended", "hints", "drop", "reset",
    "noid", "nostatus", "oddstatus", "noresult", *STATUSES,
)  # fmt: skip
_STEP: Final = (
    rf"(?:(?:html|all)?[45][0-9]{{2}}|{'|'.join(_WORDS)}|slow-[0-9]{{1,4}}(?:\.[0-9]{{1,3}})?)"
    r"(?:x[0-9]{1,6})?"
)
_SCRIPT: Final = re.compile(rf"({_STEP}(?:\+{_STEP})*)(?:\.|$)")
_ONE: Final = re.compile(rf"{_STEP}")
_MEANT_AS_STEP: Final = re.compile(rf"[0-9]|(?:(?:html|all)[0-9]|slow|{'|'.join(_WORDS)})(?:[^a-z]|$)")
_TIMES: Final = re.compile(r"x([0-9]+)\Z")
_SEPARATORS: Final = re.compile(r"[+,\s]+")
_FOREVER: Final = frozenset({"reject", "paused", "suspended", *FATES})


class ScriptError(ValueError):
    """Raised when something meant as a step is none."""


@dataclass(frozen=True, slots=True)
class Step:
    """What happens to `times` attempts in a row; None is every attempt from here on."""

    word: str
    times: int | None = 1
    seconds: float = 0.0


def parse(step: str) -> Step:
    """Return the step written as in an address, `429x2`. Raises ScriptError."""
    if not _ONE.fullmatch(step):
        raise ScriptError(
            f"{step!r} is not a step; steps are 429x2, html502, quota, throttle, reject, paused, "
            "suspended, slow-2.5, hints, drop, reset, noid, bounce, softbounce, complaint, delay, virus, "
            "all503, and for entries of a bulk request "
            "transient_failure and SES's other statuses, nostatus, oddstatus and noresult"
        )
    times = _TIMES.search(step)
    word, _, seconds = (step[: times.start()] if times else step).partition("-")
    count = int(times[1]) if times else (None if word in _FOREVER else 1)
    return Step(word, count, float(seconds or 0))


def script_of(address: str) -> tuple[Step, ...]:
    """Return the steps a faults address spells; none for every other address.

    Raises ScriptError when the local part begins like a step and isn't one, so that no typo passes as a
    mail without faults.
    """
    local, _, domain = address.lower().rpartition("@")
    if domain != FAULTS_DOMAIN:
        return ()
    match = _SCRIPT.match(local)
    if match:
        return tuple(parse(step) for step in match[1].split("+"))
    if _MEANT_AS_STEP.match(local):
        parse(local.partition(".")[0])
        raise ScriptError(f"{address!r} does not spell steps joined by '+' and a name after a '.'")
    return ()


def steps_in(text: str) -> list[str]:
    """Return the steps in `429x2+503`, or in the same with spaces or commas between; none are checked."""
    return [step for step in _SEPARATORS.split(text.lower()) if step]


def spelled(step: Step) -> str:
    """Return a step as it is written in an address."""
    word = f"{step.word}-{step.seconds:g}" if step.word == "slow" else step.word
    usual = None if step.word in _FOREVER else 1
    return word if step.times == usual else f"{word}x{step.times}"
