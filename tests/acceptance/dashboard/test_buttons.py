"""What the buttons of the real rq-dashboard do to mails, in a real browser."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Page, expect
from redis import Redis

from rq_ses import Outbox
from rq_ses_worker.simulator.server import SimulatorServer
from support.mails.deadletters import fail
from support.mails.keys import KEYS
from support.mails.mail import fetch, mail, status
from support.programs.dashboard import Dashboard
from support.programs.dashboard_page import (
    ADDRESSES,
    drain,
    jobs_page,
    posted,
    press,
    press_and_answer,
    row,
    traces,
)
from support.programs.processes import running
from support.waiting import wait_for


def test_requeue_in_the_list_sends_the_mail_and_counts_its_attempts_anew(
    redis: Redis, redis_url: str, ses: SimulatorServer, worker_env: dict[str, str], tmp_path: Path,
    dashboard: Dashboard, page: Page,
) -> None:  # fmt: skip
    ses.faults.script("anna@example.com", ["503x3"])
    job_id = Outbox(redis_url).send(mail()).job_id
    env = {**worker_env, "RQ_SES_MAX_ATTEMPTS": "2", "RQ_SES_TRANSIENT_DELAY": "0.05"}
    with running(["worker"], env, tmp_path / "log"):
        wait_for(lambda: status(redis, job_id) == "failed")
        assert fetch(redis, job_id).meta["attempts"] == 2
        page.goto(jobs_page(dashboard, "failed"))
        wait_for(lambda: posted(page, row(page, job_id).get_by_text("Requeue")))
        # One more 503, and sent at the second attempt: which a third would not have been allowed to be.
        wait_for(lambda: status(redis, job_id) == "finished")
        row(page, job_id).wait_for(state="detached")
    assert fetch(redis, job_id).meta == {"attempts": 2}
    assert [request.status for request in ses.requests if request.recipients] == [503, 503, 503, 200]


def test_requeue_all_asks_first_and_then_sends_all_of_the_queue(
    redis: Redis, ses: SimulatorServer, worker_env: dict[str, str], tmp_path: Path, dashboard: Dashboard,
    page: Page,
) -> None:  # fmt: skip
    jobs = fail(redis, [mail(address) for address in ADDRESSES])
    others = fail(redis, [mail("other@example.com")], queue="other")
    page.goto(jobs_page(dashboard, "failed"))
    row(page, jobs[0]).wait_for()
    press_and_answer(page, page.get_by_role("link", name="Requeue All"), "No", about="requeue all")
    assert {status(redis, job_id) for job_id in jobs} == {"failed"}
    with running(["worker"], worker_env, tmp_path / "log"):
        press_and_answer(page, page.get_by_role("link", name="Requeue All"), "Yes", about="requeue all")
        wait_for(lambda: {status(redis, job_id) for job_id in jobs} == {"finished"})
        page.get_by_text("No jobs.").wait_for()
    assert sorted(accepted.recipients[0] for accepted in ses.mails) == ADDRESSES
    assert status(redis, others[0]) == "failed"


def test_a_deleted_mail_is_never_sent_and_leaves_nothing(
    redis: Redis, redis_url: str, ses: SimulatorServer, dashboard: Dashboard, page: Page
) -> None:
    outbox = Outbox(redis_url)
    first, second, third = (outbox.send(mail(to), key=to).job_id for to in ADDRESSES[:3])
    page.goto(jobs_page(dashboard, "queued"))
    press_and_answer(page, row(page, first).get_by_text("Delete"), "No", about="delete job")
    assert status(redis, first) == "queued"
    press_and_answer(page, row(page, first).get_by_text("Delete"), "Yes", about="delete job")
    row(page, first).wait_for(state="detached")
    press(row(page, second).get_by_role("link", name=second), lambda: "/view/job/" in page.url)
    page.locator("#job-data", has_text=ADDRESSES[1]).wait_for()
    press_and_answer(page, page.get_by_role("button", name="Delete"), "Yes", about="delete job")
    page.get_by_role("heading", name="Queues").wait_for()
    assert traces(redis, first) == traces(redis, second) == []
    assert traces(redis, third)
    drain(redis_url, ses.url)
    assert [accepted.recipients for accepted in ses.mails] == [(ADDRESSES[2],)]
    # Its key names nothing any more, so the same mail may be enqueued again.
    assert not outbox.send(mail(ADDRESSES[0]), key=ADDRESSES[0]).duplicate


def test_a_failed_mail_that_is_deleted_leaves_nothing_but_its_groups_neighbours(
    redis: Redis, dashboard: Dashboard, page: Page
) -> None:
    deleted, kept = fail(redis, [mail(), mail()])
    page.goto(jobs_page(dashboard, "failed"))
    press_and_answer(page, row(page, deleted).get_by_text("Delete"), "Yes", about="delete job")
    row(page, deleted).wait_for(state="detached")
    assert traces(redis, deleted) == []
    assert status(redis, kept) == "failed"


def test_empty_takes_all_mails_of_the_registry_that_is_shown_and_no_others(
    redis: Redis, redis_url: str, ses: SimulatorServer, dashboard: Dashboard, page: Page
) -> None:
    outbox = Outbox(redis_url)
    jobs = {"failed": fail(redis, [mail(), mail()])}
    jobs["scheduled"] = [outbox.send(mail(), delay=3600).job_id for _ in range(2)]
    jobs["queued"] = [outbox.send(mail()).job_id for _ in range(2)]
    urgent = outbox.send(mail("urgent@example.com"), priority="high").job_id
    for registry in ("failed", "scheduled", "queued"):
        page.goto(jobs_page(dashboard, registry))
        expect(page.locator("tr[data-role=job]")).to_have_count(2)
        press_and_answer(page, page.get_by_role("link", name="Empty queue"), "Yes", about="empty")
        page.get_by_text("No jobs.").wait_for()
        assert [traces(redis, job_id) for job_id in jobs.pop(registry)] == [[], []]
        assert all(status(redis, job_id) != "gone" for left in jobs.values() for job_id in left)
    assert status(redis, urgent) == "queued"
    drain(redis_url, ses.url)
    assert [accepted.recipients for accepted in ses.mails] == [("urgent@example.com",)]


def test_compact_drops_what_is_gone_and_leaves_mails_where_they_are(
    redis: Redis, redis_url: str, dashboard: Dashboard, page: Page
) -> None:
    jobs = [Outbox(redis_url).send(mail(to)).job_id for to in ADDRESSES]
    redis.delete(KEYS.job(jobs[1]))
    page.goto(jobs_page(dashboard, "queued"))
    press_and_answer(page, page.get_by_role("link", name="Compact"), "Yes", about="compact")
    left = [job_id.encode() for job_id in (jobs[0], *jobs[2:])]
    wait_for(lambda: redis.lrange(KEYS.queue("mail"), 0, -1) == left)


def test_a_canceled_mail_stands_on_its_page_and_is_not_sent(
    redis: Redis, redis_url: str, ses: SimulatorServer, dashboard: Dashboard, page: Page
) -> None:
    """The dashboard has no button for it: RQ's API has."""
    outbox = Outbox(redis_url)
    canceled = [outbox.send(mail()).job_id, outbox.send(mail(), delay=3600).job_id]
    for job_id in canceled:
        fetch(redis, job_id).cancel()
    sent = outbox.send(mail("ben@example.com")).job_id
    drain(redis_url, ses.url)
    assert status(redis, sent) == "finished"
    page.goto(jobs_page(dashboard, "canceled"))
    for job_id in canceled:
        row(page, job_id).wait_for()
    press_and_answer(page, row(page, canceled[0]).get_by_text("Delete"), "Yes", about="delete job")
    row(page, canceled[0]).wait_for(state="detached")
    assert traces(redis, canceled[0]) == []
    assert [accepted.recipients for accepted in ses.mails] == [("ben@example.com",)]
