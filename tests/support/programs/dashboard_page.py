"""The dashboard's pages in a browser: rows, buttons, questions; and what they leave in Redis."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from playwright.sync_api import Locator, Page
from playwright.sync_api import TimeoutError as PlaywrightTimeout
from redis import Redis

from rq_ses_worker.engine.burst import deliver
from support.programs.dashboard import Dashboard
from support.programs.processes import KEY_ID, SECRET, TOKEN
from support.waiting import wait_for

ADDRESSES = [f"user{number}@example.com" for number in range(4)]


def jobs_page(dashboard: Dashboard, registry: str, queue: str = "mail") -> str:
    return f"{dashboard.url}/0/view/jobs/{queue}/{registry}/8/asc/1"


def row(page: Page, job_id: str) -> Any:
    return page.locator(f'tr[data-job-id="{job_id}"]')


def press(target: Locator, effect: Callable[[], bool]) -> None:
    """Click until it has its effect: a table that is drawn anew at that moment swallows the click."""

    def pressed() -> bool:
        with suppress(PlaywrightTimeout):
            target.click(timeout=1000)
        return effect()

    wait_for(pressed)


def posted(page: Page, target: Locator) -> bool:
    """Click, and tell whether that made the page send something."""
    try:
        with page.expect_request(lambda request: request.method == "POST", timeout=2000):
            target.click(timeout=1000)
    except PlaywrightTimeout:
        return False
    return True


def press_and_answer(page: Page, target: Locator, answer: str, *, about: str) -> None:
    """Click, answer "Do you really want to …?", and wait until the question is gone."""
    question = page.locator("#confirmation-modal")
    press(target, question.get_by_text(f"Do you really want to {about}?").is_visible)
    question.get_by_role("button", name=answer, exact=True).click()
    question.wait_for(state="hidden")


def drain(redis_url: str, ses_url: str) -> None:
    """Let a worker send all that is queued."""
    deliver(
        redis_url,
        base_url=ses_url,
        region="us-east-1",
        access_key_id=KEY_ID,
        secret_access_key=SECRET,
        session_token=TOKEN,
    )


def traces(redis: Redis, job_id: str) -> list[str]:
    """Return every key whose name or content holds the job's id."""
    wanted = job_id.encode()
    found = []
    for key in redis.scan_iter():
        kind = redis.type(key)
        content: Any = {
            b"string": redis.get,
            b"hash": redis.hgetall,
            b"list": lambda name: redis.lrange(name, 0, -1),
            b"set": redis.smembers,
            b"zset": lambda name: redis.zrange(name, 0, -1),
            b"stream": redis.xrange,
        }[kind](key)
        if wanted in key or job_id in str(content):
            found.append(key.decode())
    return found
