"""The real rq-dashboard in a real browser: what it shows, what its buttons do, what must not run in it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Locator, Page, expect
from playwright.sync_api import TimeoutError as PlaywrightTimeout
from redis import Redis
from rq import Queue
from rq.serializers import JSONSerializer

from rq_ses import Outbox, contract
from rq_ses_worker.engine.burst import deliver
from rq_ses_worker.simulator.server import SimulatorServer
from support.mails.deadletters import fail
from support.mails.mail import fetch, mail, status
from support.programs.dashboard import Dashboard
from support.programs.processes import KEY_ID, SECRET, TOKEN, running
from support.servers.hostile import SCRIPT, hostile_ses
from support.waiting import wait_for

ADDRESSES = [f"user{number}@example.com" for number in range(4)]

UNFADED = """
document.addEventListener("DOMContentLoaded", () => {
  document.getElementById("confirmation-modal")?.classList.remove("fade");
});
"""


@pytest.fixture
def page(page: Page) -> Page:
    """A page whose questions don't fade in: until they have, they can't be closed."""
    page.add_init_script(UNFADED)
    return page


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


# What it shows


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


# What its buttons do


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
    redis.delete(contract.JOB_PREFIX + jobs[1])
    page.goto(jobs_page(dashboard, "queued"))
    press_and_answer(page, page.get_by_role("link", name="Compact"), "Yes", about="compact")
    left = [job_id.encode() for job_id in (jobs[0], *jobs[2:])]
    wait_for(lambda: redis.lrange(contract.queue_key("mail"), 0, -1) == left)


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


# What must not run in it


def ran(page: Page) -> bool:
    return bool(page.evaluate("window.ran === 1"))


def test_no_markup_of_senders_ses_or_strangers_runs_in_the_dashboard(
    redis: Redis, redis_url: str, dashboard: Dashboard, page: Page
) -> None:
    stranger = Queue("mail", connection=redis, serializer=JSONSerializer)
    payload = {
        "sender": SCRIPT,
        "to": [SCRIPT],
        "subject": SCRIPT,
        SCRIPT: SCRIPT,
        "headers": {SCRIPT: SCRIPT},
    }
    jobs = {
        Outbox(redis_url).send(mail(subject=f"Hi {SCRIPT}", text=SCRIPT)).job_id: "Rejected‹img",
        stranger.enqueue(SCRIPT, description="a function").id: "only rq_ses_worker.job.send is executed",
        stranger.enqueue(contract.JOB_FUNCTION, payload, description="a payload").id: "InvalidMessage: ",
        stranger.enqueue(contract.JOB_FUNCTION, SCRIPT, description="an argument").id: "InvalidMessage: ",
    }
    requested: list[str] = []
    page.on("request", lambda request: requested.append(urlsplit(request.url).path))
    with hostile_ses() as ses_url:
        drain(redis_url, ses_url)
    for job_id, words in jobs.items():
        assert words in dashboard.data(f"job/{job_id}")["exc_info"]
    page.goto(jobs_page(dashboard, "failed"))
    page.get_by_text("anna@example.com → Hi ‹img").wait_for()
    assert page.locator("tr[data-role=job]").count() == len(jobs)
    assert not ran(page)
    for job_id, words in jobs.items():
        page.goto(f"{dashboard.url}/0/view/job/{job_id}")
        page.locator("pre.exc_info", has_text=words).wait_for()
        assert page.locator("#job-data img, #job-data script").count() == 0
        assert not ran(page)
    assert not [path for path in requested if path.endswith("/x")]


def test_no_markup_runs_in_the_result_of_a_mail_that_was_taken(
    redis: Redis, redis_url: str, dashboard: Dashboard, page: Page
) -> None:
    job_id = Outbox(redis_url).send(mail()).job_id
    with hostile_ses(takes_mails=True) as ses_url:
        drain(redis_url, ses_url)
    assert status(redis, job_id) == "finished"
    page.goto(f"{dashboard.url}/0/view/job/{job_id}")
    page.locator("#job-data", has_text="finished").wait_for()
    assert page.locator("#job-data img, #job-data script").count() == 0
    assert not ran(page)


def test_a_job_whose_id_is_markup_is_not_taken_to_where_it_would_run(
    redis: Redis, redis_url: str, ses: SimulatorServer, dashboard: Dashboard, page: Page
) -> None:
    """RQ makes no such ids, and our API makes its own: a stranger has written it into Redis by hand."""
    good = Outbox(redis_url).send(mail()).job_id
    redis.rename(contract.JOB_PREFIX + good, contract.JOB_PREFIX + SCRIPT)
    redis.delete(contract.queue_key("mail"))
    redis.rpush(contract.queue_key("mail"), SCRIPT)
    sent = Outbox(redis_url).send(mail("ben@example.com")).job_id
    drain(redis_url, ses.url)
    assert status(redis, sent) == "finished"
    for registry in ("finished", "failed", "scheduled", "started", "queued"):
        page.goto(jobs_page(dashboard, registry))
        page.locator("#jobs tbody tr:not([data-role=loading-placeholder])").first.wait_for()
        assert page.locator("#jobs img, #jobs script").count() == 0
        assert not ran(page)


@pytest.mark.parametrize("name", [SCRIPT, "mail<b>", "mail'", 'a"b', "a/b", ""])
def test_no_queue_gets_a_name_that_is_markup(name: str, redis: Redis, redis_url: str) -> None:
    with pytest.raises(ValueError, match=r"^queue: .* is not the name of a queue: use 1-100 ASCII letters"):
        Outbox(redis_url, name)
    assert redis.exists("rq:queues") == 0


def test_the_browser_would_have_run_it(redis: Redis, dashboard: Dashboard, page: Page) -> None:
    """The dashboard escapes nothing: what a stranger himself writes into a description does run there."""
    stranger = Queue("mail", connection=redis, serializer=JSONSerializer)
    job = stranger.enqueue(contract.JOB_FUNCTION, {}, description=SCRIPT)
    page.goto(f"{dashboard.url}/0/view/job/{job.id}")
    page.wait_for_function("window.ran === 1")
    assert ran(page)
