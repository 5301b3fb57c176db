"""Campaigns that the worker renders: each entry a mail of its own, of a template that Redis has once."""

from __future__ import annotations

from redis import Redis

from rq_ses import Outbox
from rq_ses.campaign import Campaign, Campaigns, Entry, Template
from rq_ses.cli.terminal.exits import INCOMPLETE
from rq_ses.deadletter import DeadLetters, Filter
from rq_ses.mails import Mails
from rq_ses_worker.audit.campaigns.audit import CampaignAudit
from rq_ses_worker.simulator.server import SimulatorServer
from support.campaigns.standing import BULK, counts
from support.mails.keys import KEYS
from support.programs.processes import run

TEMPLATE = Template(
    subject="For {{ name }}",
    html="<p>{{ name }}{% if cart %}: {% for item in cart %}{{ item.title }} {% endfor %}{% endif %}</p>",
    engine="jinja2",
)
SALE = Campaign(
    name="sale",
    sender="Shop <shop@example.com>",
    template=TEMPLATE,
    headers={"X-Kind": "sale"},
    tags={"kind": "sale"},
    unsubscribe="https://shop.example/u/{{token}}",
)


def entry(number: int, **data: object) -> Entry:
    return Entry(
        f"user{number}@example.com", {"name": f"N & {number}", "token": f"t{number}", "cart": [], **data}
    )


def test_each_entry_is_rendered_and_sent_by_itself_and_one_that_cant_be_is_a_dead_letter(
    redis: Redis, redis_url: str, ses: SimulatorServer, worker_env: dict[str, str]
) -> None:
    some = [entry(number, cart=[{"title": "Tea"}]) for number in range(59)]
    receipt = Outbox(redis_url).send_bulk(SALE, [*some, entry(59, cart=[{"name": "untitled"}])])
    assert receipt.enqueued == 60
    done = run(["worker", "--burst"], worker_env)
    assert done.returncode == INCOMPLETE, done.stderr
    assert len(ses.mails) == 59
    [mail] = [one for one in ses.mails if one.recipients == ("user7@example.com",)]
    text = mail.body.decode()
    for part in ("For N & 7", "<p>N &amp; 7: Tea </p>", "X-Kind", "https://shop.example/u/t7", "rq-ses-job"):
        assert part in text, part
    assert counts(redis) == {"enqueued": 60, "sent": 59}
    letters = DeadLetters(redis)
    [dead] = letters.find(Filter(campaign="sale"), messages=True)
    assert (dead.code, dead.mails, dead.unknown) == ("RenderingFailure", 1, False)
    assert "html: 'dict object' has no attribute 'title'" in dead.error
    status = Campaigns(redis_url).status("sale")
    assert (status.sent, status.failed, status.waiting) == (59, 1, 0)
    mails = Mails(redis)
    assert mails.entry("sale", "user7@example.com").message_id
    assert mails.entry("sale", "user59@example.com").status == "failed"
    assert list(CampaignAudit(redis, wait=0).run()) == []
    # Its terms are there for it, and its data are the same: it fails once more.
    assert letters.resend(Filter(campaign="sale")).resent == 1
    assert run(["worker", "--burst"], worker_env).returncode == INCOMPLETE
    assert letters.discard(Filter(campaign="sale")).discarded == 1
    assert counts(redis) == {"enqueued": 60, "sent": 59, "discarded": 1}
    assert redis.llen(KEYS.queue(BULK)) == 0
