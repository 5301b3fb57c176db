"""Campaigns in requests of many entries, of which each has its own answer from SES."""

from __future__ import annotations

from collections import Counter

from redis import Redis

from rq_ses import Outbox
from rq_ses.campaign import Campaign, Campaigns, Entry, Template
from rq_ses.cli.terminal.exits import INCOMPLETE
from rq_ses.deadletter import DeadLetters, Filter
from rq_ses.mails import Mails
from rq_ses_worker.audit.campaigns.audit import CampaignAudit
from rq_ses_worker.simulator.server import SimulatorServer
from support.bulk.desk import places
from support.programs.processes import run

NEWS = Campaign(
    name="news",
    sender="Shop <shop@example.com>",
    template=Template(subject="For {{name}}", html="<p>Dear {{name}}</p>"),
)
ONCE_MORE = ("503", "429", "account_throttled")
DEAD = ("message_rejected", "mail_from_domain_not_verified", "oddstatus")


def test_each_entry_of_a_mixed_answer_goes_its_own_way_and_none_is_sent_twice(
    redis: Redis, redis_url: str, ses: SimulatorServer, worker_env: dict[str, str]
) -> None:
    fates = [*["fine"] * 6, *ONCE_MORE, *DEAD]
    to = [
        f"user{number}@example.com" if fate == "fine" else f"{fate}.n{number}@faults.example"
        for number, fate in enumerate(fates * 10)
    ]
    Outbox(redis_url).send_bulk(NEWS, (Entry(one, {"name": "<Ann & Bob>"}) for one in to))
    done = run(["worker", "--burst", "--rate-limited-delay", "0.5", "--transient-delay", "0.2"], worker_env)
    assert done.returncode == INCOMPLETE, done.stderr
    dead = {one for one in to if one.partition(".")[0] in DEAD}
    accepted = Counter(one for mail in ses.mails for one in mail.recipients)
    # What SES says of an odd status, nobody knows: it may be sent, and is named in doubt.
    assert {one: times for one, times in accepted.items() if one not in dead} == dict.fromkeys(
        set(to) - dead, 1
    )
    assert places(redis) == {one: ["failed" if one in dead else "finished"] for one in to}
    first = next(mail for mail in ses.mails if mail.recipients == (to[0],)).parsed
    assert (first.subject, first.html) == ("For <Ann & Bob>", "<p>Dear &lt;Ann &amp; Bob&gt;</p>")
    status = Campaigns(redis_url).status("news")
    assert (status.sent, status.failed, status.unknown, status.waiting) == (90, 20, 10, 0)
    groups = Counter(one.code for one in DeadLetters(redis).find(Filter(campaign="news")))
    assert sorted(groups.values()) == [10, 10, 10]
    assert Mails(redis).entry("news", to[0]).message_id
    assert list(CampaignAudit(redis, wait=0).run()) == []
