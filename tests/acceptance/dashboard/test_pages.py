"""What the real rq-dashboard shows of mails in a real browser."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Page, expect
from redis import Redis

from rq_ses import Outbox
from rq_ses_worker.simulator.server import SimulatorServer
from support.mails.deadletters import fail
from support.mails.mail import mail, status
from support.programs.dashboard import Dashboard
from support.programs.dashboard_page import ADDRESSES, jobs_page, press, row
from support.programs.processes import running
from support.waiting import wait_for


def test_queues_show_how_many_mails_of_each_priority_are_where(
    redis: Redis, redis_url: str, dashboard: Dashboard, page: Page
) -> None:
    outbox = Outbox(redis_url)
    fail(redis, [mail(address) for address in ADDRESSES])
    outbox.send_many([mail(), mail()])
    outbox.send(mail(), delay=3600)
    outbox.send(mail(), priority="high")
    for _ in range(3):
        outbox.send(mail(), priority="bulk")
    page.goto(f"{dashboard.url}/")
    for name, counts in {
        "mail": ("2", "0", "1", "0", "0", "4", "0"),
        "mail-high": ("1", *"000000"),
        "mail-bulk": ("3", *"000000"),
    }.items():
        cells = page.locator("#queues tr", has=page.get_by_role("cell", name=name, exact=True)).locator("td")
        expect(cells).to_have_text([name, *counts])


def test_what_is_sent_and_what_is_tried_again_stand_on_their_pages(
    redis: Redis, redis_url: str, worker_env: dict[str, str], tmp_path: Path, dashboard: Dashboard, page: Page
) -> None:
    outbox = Outbox(redis_url)
    again = outbox.send(mail("429.x@faults.example", subject="Again")).job_id
    sent = outbox.send(mail("slow-20.x@faults.example", subject="Under way")).job_id
    env = {**worker_env, "RQ_SES_RATE_LIMITED_DELAY": "600", "RQ_SES_TIMEOUT": "30"}
    with running(["worker", "--name", "the-worker", "--concurrency", "1"], env, tmp_path / "log"):
        wait_for(lambda: (status(redis, again), status(redis, sent)) == ("scheduled", "started"))
        page.goto(jobs_page(dashboard, "scheduled"))
        expect(row(page, again)).to_contain_text("429.x@faults.example → Again")
        page.goto(jobs_page(dashboard, "started"))
        expect(row(page, sent)).to_contain_text("slow-20.x@faults.example → Under way")
        page.goto(f"{dashboard.url}/0/view/workers")
        # That job it would read as a pickle, and answer with an error: it is kept from seeing it.
        expect(page.locator("#workers tr[data-role=worker] td")).to_have_text(
            ["the-worker", "idle", "mail-high, mail, mail-bulk"]
        )


def test_a_failed_mail_shows_ses_words_and_the_hint_in_the_list_and_on_its_page(
    redis: Redis, dashboard: Dashboard, page: Page
) -> None:
    [job_id] = fail(redis, [mail()])
    words = ["MessageRejected: Email address is not verified.", "(HTTP 400, request id r-1)", "Hint: "]
    page.goto(jobs_page(dashboard, "failed"))
    for word in words:
        expect(row(page, job_id).locator("pre.exc_info")).to_contain_text(word)
    press(row(page, job_id).get_by_role("link", name=job_id), lambda: "/view/job/" in page.url)
    for word in words:
        expect(page.locator("#job-data pre.exc_info")).to_contain_text(word)


def test_a_browser_shows_the_states_and_its_requeue_button_sends(
    redis: Redis, redis_url: str, ses: SimulatorServer, worker_env: dict[str, str], tmp_path: Path,
    dashboard: Dashboard, page: Page,
) -> None:  # fmt: skip
    ses.faults.script("anna@example.com", ["rejectx1"])
    job_id = Outbox(redis_url).send(mail()).job_id
    failures: list[str] = []
    page.on("pageerror", lambda error: failures.append(str(error)))
    with running(["worker", "--name", "the-worker"], worker_env, tmp_path / "log"):
        wait_for(lambda: status(redis, job_id) == "failed")
        page.goto(f"{dashboard.url}/0/view/workers")
        page.get_by_text("the-worker").wait_for()
        page.goto(f"{dashboard.url}/0/view/queues")
        page.locator("#queues td.failed a", has_text="1").wait_for()
        page.goto(jobs_page(dashboard, "failed"))
        page.get_by_text("anna@example.com → Hi").wait_for()
        press(page.get_by_role("link", name=job_id), lambda: "/view/job/" in page.url)
        page.get_by_text("MessageRejected: Email address is not verified.").first.wait_for()
        page.get_by_role("button", name="Requeue").click()
        page.get_by_text(f'"message_id": "{wait_for(lambda: ses.mails)[0].message_id}"').wait_for()
    assert status(redis, job_id) == "finished"
    assert failures == []
