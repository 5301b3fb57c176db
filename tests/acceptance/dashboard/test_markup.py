"""What must not run in the real rq-dashboard: markup of senders, SES and strangers."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page
from redis import Redis
from rq import Queue
from rq.serializers import JSONSerializer

from rq_ses import Outbox, contract
from rq_ses_worker.simulator.server import SimulatorServer
from support.mails.keys import KEYS
from support.mails.mail import mail, status
from support.programs.dashboard import Dashboard
from support.programs.dashboard_page import drain, jobs_page
from support.servers.hostile import SCRIPT, hostile_ses


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
    redis.rename(KEYS.job(good), KEYS.job(SCRIPT))
    redis.delete(KEYS.queue("mail"))
    redis.rpush(KEYS.queue("mail"), SCRIPT)
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
