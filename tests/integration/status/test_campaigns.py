"""What of the queues are campaigns: their jobs are counted as jobs, and their entries beside them."""

from __future__ import annotations

import json

from redis import Redis
from rich.console import Console

from rq_ses.keys import Keys
from rq_ses.server.connection import connect
from rq_ses.server.partitions import Partitions
from rq_ses.status.campaigns import CampaignState
from rq_ses.status.reader import read_snapshot
from rq_ses.status.view import screen, status_object
from rq_ses.status.whole import read_whole
from support.campaigns.standing import BULK, campaign, entries, index_entries, queue_entries
from support.mails.keys import KEYS

QUEUES = ["mail", BULK]


def test_entries_stand_beside_the_jobs_that_a_queue_counts(redis: Redis) -> None:
    queue_entries(redis, campaign(), entries(30))
    queue_entries(redis, campaign(), entries(20, 30), 2)
    redis.hset(KEYS.campaign("sale"), mapping={"enqueued": 60, "sent": 7, "canceled": 2, "discarded": 1})
    index_entries(redis, campaign("over"), ["a@b.example"], sent=1)
    redis.sadd(KEYS.campaigns, "ghost", "odd")
    redis.set(KEYS.campaign("odd"), "another type")
    found = read_snapshot(redis, QUEUES)
    assert found.queues[1].queued == 2
    assert found.campaigns == (CampaignState("sale", BULK, "sending", 60, 50),)
    assert json.loads(json.dumps(status_object(found, None)))["campaigns"][0]["left"] == 50
    console = Console(width=120)
    with console.capture() as shown:
        console.print(screen(found, None, title="rq-ses"))
    line = "campaign sale (sending): 50 of 60 entries wait or have failed; mail-bulk counts its jobs, "
    assert line in shown.get()


def test_a_campaign_in_several_partitions_is_one(redis: Redis, redis_url: str) -> None:
    clients = [
        connect(redis_url, socket_timeout=5, connect_timeout=5, keys=Keys(prefix))
        for prefix in ("{a}", "{b}", "rq")
    ]
    for client, left in zip(clients[:2], (2, 3), strict=True):
        addresses = [f"user{number}@example.com" for number in range(left + 1)]
        index_entries(client, campaign(), addresses, sent=1)
    with Partitions(clients[:2], clients[2]) as partitions:
        found = read_whole(partitions, QUEUES)
    assert found.campaigns == (CampaignState("sale", BULK, "sending", 7, 5),)
