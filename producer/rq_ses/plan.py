"""Plans: what is to be done with a server, decided without doing any of it.

A plan is a generator. It yields one step after another, is sent the answer to each, or has the error raised
in it with which the step ended, and returns its outcome. So what is written, how an answer is read and when
it is tried again stand once, and are carried out in a thread or in an event loop, whichever the caller has.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from typing import Any, TypeVar

Outcome = TypeVar("Outcome")

Plan = Generator[Any, Any, Outcome]


async def carried_out(plan: Plan[Outcome], make: Callable[[Any], Awaitable[Any]]) -> Outcome:
    """Return the outcome of a plan whose steps `make` makes; it raises what the plan doesn't handle.

    Cancelled, it ends between two steps of the plan, or in the middle of the one that is made.
    """
    go_on, given = plan.send, None
    try:
        while True:
            step = go_on(given)
            try:
                go_on, given = plan.send, await make(step)
            except Exception as exc:  # noqa: BLE001 - the plan knows what to do about it
                go_on, given = plan.throw, exc
    except StopIteration as end:
        outcome: Outcome = end.value
        return outcome
    finally:
        plan.close()


def carry_out(plan: Plan[Outcome], make: Callable[[Any], Any]) -> Outcome:
    """Return the outcome of a plan as `carried_out` does; `make` returns at once, or when it has waited."""

    async def made(step: Any) -> Any:
        return make(step)

    try:
        carried_out(plan, made).send(None)
    except StopIteration as end:
        outcome: Outcome = end.value
        return outcome
    raise AssertionError("nothing is awaited")
