"""What stands beside rq-ses, met on purpose: RQ's own commands, forks, Lua's numbers."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from typing import Any

from redis import Redis
from rq.registry import FailedJobRegistry

from rq_ses import Outbox
from rq_ses.deadletter import DeadLetters
from rq_ses_worker.simulator.server import SimulatorServer
from support.mails.deadletters import fail
from support.mails.keys import KEYS
from support.mails.mail import mail, status
from support.programs.processes import PATIENCE, environment, run
from support.waiting import wait_for


def rq(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run RQ's own command line."""
    return subprocess.run(
        [sys.executable, "-m", "rq.cli", *arguments],
        env=environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=PATIENCE, check=False,
    )  # fmt: skip


def test_a_worker_of_rq_that_reads_pickles_sends_nothing_and_takes_nothing_away(
    redis: Redis, redis_url: str, ses: SimulatorServer, worker_env: dict[str, str]
) -> None:
    receipt = Outbox(redis_url).send(mail())
    rq("worker", "--burst", "--url", redis_url, "mail")
    assert status(redis, receipt.job_id) == "failed"
    assert ses.mails == []
    assert rq("requeue", "--all", "--queue", "mail", "--url", redis_url).returncode == 0
    assert run(["worker", "--burst"], worker_env).returncode == 0
    assert status(redis, receipt.job_id) == "finished"
    assert len(ses.mails) == 1


def test_a_mail_that_rq_requeued_is_sent_and_forgotten_no_earlier_than_any_other(
    redis: Redis, redis_url: str, worker_env: dict[str, str]
) -> None:
    ids = fail(redis, [mail("anna@example.com"), mail("ben@example.com")])
    key = KEYS.job(ids[0])
    redis.expire(key, 100)
    assert rq("requeue", ids[0], "--queue", "mail", "--url", redis_url).returncode == 0
    assert 0 < redis.ttl(key) <= 100
    assert run(["worker", "--burst"], worker_env).returncode == 0
    assert status(redis, ids[0]) == "finished"
    assert redis.ttl(key) > 100


def test_a_resend_goes_on_over_a_mail_that_is_gone(redis: Redis) -> None:
    ids = fail(redis, [mail(f"user{number}@example.com") for number in range(5)])
    redis.delete(KEYS.job(ids[2]))
    assert DeadLetters(redis).resend().resent == 4
    assert sorted(job.decode() for job in redis.lrange("rq:queue:mail", 0, -1)) == sorted(
        job for job in ids if job != ids[2]
    )


def test_rqs_info_changes_nothing_of_what_waits_or_has_failed(redis: Redis, redis_url: str) -> None:
    fail(redis, [mail("anna@example.com")])
    Outbox(redis_url).send(mail("ben@example.com"))
    Outbox(redis_url).send(mail("cleo@example.com"), delay=3600)
    before = {key: redis.dump(key) for key in redis.keys("rq:job:*") + redis.keys("rq:*:mail")}
    shown = rq("info", "--url", redis_url)
    assert shown.returncode == 0, shown.stderr
    assert "mail" in shown.stdout
    assert {key: redis.dump(key) for key in before} == before
    assert len(FailedJobRegistry("mail", connection=redis)) == 1


FORKED = """
import os, sys
from rq_ses import Message, Outbox
outbox = Outbox(sys.argv[1])
def send(name):
    to = [f"{name}-{number}@shop.example" for number in range(20)]
    outbox.send_many([Message(sender="a@shop.example", to=one, subject="Hi", text="t") for one in to])
send("before")
children = []
for name in ("first", "second"):
    child = os.fork()
    if not child:
        for _ in range(5):
            send(name)
        os._exit(0)
    children.append(child)
send("master")
assert all(os.waitpid(child, 0)[1] == 0 for child in children)
"""


def test_an_outbox_that_was_used_before_a_fork_serves_every_process(redis: Redis, redis_url: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORKED, redis_url],
        env=environment(), capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert redis.llen("rq:queue:mail") == 20 + 2 * 5 * 20 + 20


def test_a_child_forked_while_a_thread_is_taking_a_connection_sends_over_its_own(
    redis: Redis, redis_url: str
) -> None:
    outbox = Outbox(redis_url)
    outbox.send(mail())
    pool: Any = outbox.connection.connection_pool
    taking, forked = threading.Event(), threading.Event()

    def take() -> None:
        with pool._lock:
            taking.set()
            forked.wait()

    thread = threading.Thread(target=take, daemon=True)
    thread.start()
    taking.wait()
    pid = os.fork()
    if not pid:
        ended = 1
        try:
            outbox.send(mail())
            ended = 0
        finally:
            os._exit(ended)
    forked.set()
    thread.join()
    try:
        _, how = wait_for(lambda: (done := os.waitpid(pid, os.WNOHANG))[0] and done)
    except AssertionError:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        raise
    assert how == 0
    assert redis.llen("rq:queue:mail") == 2


def test_no_number_that_lua_has_written_has_lost_digits(
    redis: Redis, redis_url: str, ses: SimulatorServer, worker_env: dict[str, str]
) -> None:
    assert redis.eval("return tostring(1795902067101234)", 0) == b"1.7959020671012e+15"
    outbox = Outbox(redis_url)
    outbox.send_many([mail(), mail("reject.a@faults.example"), mail("429.b@faults.example")])
    env = {**worker_env, "RQ_SES_RATE_LIMITED_DELAY": "0.2"}
    assert "Traceback" not in run(["worker", "--burst"], env).stderr
    outbox.send(mail("later@example.com"), delay=3600)
    assert len(ses.mails) == 2
    texts = [
        f"{key.decode()} {name.decode()}={value.decode(errors='replace')}"
        for key in redis.keys("rq*")
        if redis.type(key) == b"hash"
        for name, value in redis.hgetall(key).items()
        if name != b"data"
    ]
    assert len(texts) > 20
    assert [text for text in texts if re.search(r"\d\.?\d*e\+\d\d", text)] == []


def test_a_long_list_unsubscribe_reaches_ses_as_it_is(
    redis_url: str, ses: SimulatorServer, worker_env: dict[str, str]
) -> None:
    url = f"<https://shop.example/unsubscribe?token={'a' * 200}>"
    headers = {"List-Unsubscribe": url, "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"}
    Outbox(redis_url).send(mail(headers=headers))
    assert run(["worker", "--burst"], worker_env).returncode == 0
    [sent] = ses.mails
    assert json.loads(sent.body)["Content"]["Simple"]["Headers"] == [
        {"Name": name, "Value": value} for name, value in headers.items()
    ]
