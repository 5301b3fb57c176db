"""Take the screenshots of the docs: real pages, of real mails, in a real Chromium.

make screenshots      writes docs/images/*.png
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import simulator_pictures
from playwright.sync_api import Browser, Page
from redis import Redis

from rq_ses import Message, Outbox, Submission
from rq_ses_worker.simulator.server import SimulatorServer
from support.mails.mail import status
from support.programs.browser import chromium
from support.programs.dashboard import rq_dashboard
from support.programs.processes import KEY_ID, SECRET, TOKEN, running, worker_environment
from support.servers.valkey import client, url, valkey
from support.waiting import wait_for

IMAGES = Path(__file__).parents[1] / "docs" / "images"
WIDTH = 1300


def main() -> None:
    """Take them all."""
    with tempfile.TemporaryDirectory() as directory, chromium() as browser:
        _dashboard(Path(directory), browser)
        simulator_pictures.take(browser, IMAGES)


def _dashboard(directory: Path, browser: Browser) -> None:
    with (
        valkey(directory / "valkey") as server,
        client(server) as redis,
        SimulatorServer(KEY_ID, SECRET, TOKEN) as ses,
        rq_dashboard(url(server), directory) as dashboard,
    ):
        address = dashboard.url
        env = worker_environment(url(server), ses.url, RQ_SES_RATE_LIMITED_DELAY="600")
        jobs = _mails(url(server))
        with running(["worker", "--name", "mail-1.4711"], env, directory / "worker.log"):
            wait_for(lambda: status(redis, jobs["failed"]) == "failed" and _settled(redis))
            _waiting(url(server))
            _shoot(browser, f"{address}/0/view/workers", "dashboard-workers", "mail-1.4711")
        _shoot(browser, f"{address}/", "dashboard-queues", "mail-bulk")
        place = f"{address}/0/view/jobs/mail"
        _shoot(browser, f"{place}/scheduled/8/asc/1", "dashboard-scheduled", "429x9.")
        _shoot(browser, f"{address}/0/view/job/{jobs['failed']}", "dashboard-failed", "MessageRejected")


def _settled(redis: Redis) -> bool:
    return redis.zcard("rq:finished:mail") >= 2 and redis.zcard("rq:scheduled:mail") == 2


def _message(to: str, subject: str) -> Message:
    return Message(sender="Shop <orders@shop.example>", to=to, subject=subject, text="Hello!")


def _mails(redis_url: str) -> dict[str, str]:
    """Enqueue mails that end in every state; return the job id of the one that fails."""
    outbox = Outbox(redis_url)
    outbox.send(_message("anna@customer.example", "Your order 4711 is on its way"))
    outbox.send(_message("ben@customer.example", "Your invoice"))
    outbox.send(_message("429x9.carl@faults.example", "Your order 4712 is on its way"))
    outbox.send(_message("429x9.dora@faults.example", "Your order 4713 is on its way"))
    return {"failed": outbox.send(_message("reject.eve@faults.example", "Welcome to the shop")).job_id}


def _waiting(redis_url: str) -> None:
    """Enqueue what is seen queued: for later, so that no worker takes it while pages are looked at."""
    Redis.from_url(redis_url).set("rq:suspended", 1)
    outbox = Outbox(redis_url)
    outbox.send(_message("fred@customer.example", "Reset your password"), priority="high")
    outbox.send_many(
        Submission(_message(f"reader-{number}@customer.example", "News"), priority="bulk")
        for number in range(240)
    )


def _shoot(browser: Browser, address: str, name: str, words: str) -> None:
    """Save the section of a page that shows `words`, once it does."""
    with (
        browser.new_context(viewport={"width": WIDTH, "height": 800}) as context,
        context.new_page() as page,
    ):
        page.goto(address)
        page.get_by_text(words).first.wait_for()
        _still(page)
        page.locator(".section").first.screenshot(path=IMAGES / f"{name}.png")


def _still(page: Page) -> None:
    """Take the animations away, which a picture would catch anywhere."""
    page.add_style_tag(content="*, *::before { animation: none !important; transition: none !important }")
    page.wait_for_function("document.fonts.status === 'loaded'")


if __name__ == "__main__":
    main()
