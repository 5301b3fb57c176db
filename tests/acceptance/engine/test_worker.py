"""The worker as operators run it: the real command, a real Valkey, a stand-in that checks signatures."""

from __future__ import annotations

import signal
from itertools import pairwise
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from redis import Redis
from rq import Queue, Worker
from rq.command import send_shutdown_command
from rq.job import JobStatus
from rq.registry import FailedJobRegistry, FinishedJobRegistry, ScheduledJobRegistry, StartedJobRegistry
from rq.serializers import JSONSerializer
from rq.suspension import resume, suspend

from rq_ses import Outbox, contract
from rq_ses_worker.simulator.server import SimulatorServer
from support.mails.keys import KEYS
from support.mails.mail import fetch, mail, status
from support.programs.processes import KEY_ID, SECRET, TOKEN, running
from support.waiting import wait_for

LATE = 1.0
"""Seconds a busy test machine may add to a delay; the benchmark measures what is promised."""


@pytest.fixture
def outbox(redis_url: str) -> Outbox:
    return Outbox(redis_url)


def ended(redis: Redis, job_id: str) -> bool:
    return status(redis, job_id) in ("finished", "failed")


def test_a_mail_is_sent_and_rq_tells_its_message_id(
    redis: Redis, outbox: Outbox, ses: SimulatorServer, worker_env: dict[str, str], tmp_path: Path
) -> None:
    job_id = outbox.send(mail(text="Grüße", subject="Ünïcode")).job_id
    with running(["worker"], worker_env, tmp_path / "log") as worker:
        wait_for(lambda: ended(redis, job_id))
        assert worker.stop() == 0
    [accepted] = ses.mails
    assert accepted.request["Content"]["Simple"]["Body"]["Text"] == {"Data": "Grüße", "Charset": "UTF-8"}
    job = fetch(redis, job_id)
    assert job.get_status() == JobStatus.FINISHED
    assert job.return_value() == {"message_id": accepted.message_id}
    assert job.description == "anna@example.com → Ünïcode"
    assert FinishedJobRegistry("mail", connection=redis).get_job_ids() == [job_id]


@pytest.mark.parametrize(
    ("steps", "delays"),
    [("429", [5.0]), ("503", [1.0]), ("drop", [1.0]), ("html502", [1.0]), ("throttle", [5.0])],
)
def test_a_mail_is_tried_again_after_the_promised_delay_and_never_early(
    redis: Redis, outbox: Outbox, ses: SimulatorServer, worker_env: dict[str, str], tmp_path: Path,
    steps: str, delays: list[float],
) -> None:  # fmt: skip
    job_id = outbox.send(mail(f"{steps}.x@faults.example")).job_id
    with running(["worker"], worker_env, tmp_path / "log"):
        wait_for(lambda: status(redis, job_id) == "scheduled")
        assert ScheduledJobRegistry("mail", connection=redis).get_job_ids() == [job_id]
        assert fetch(redis, job_id).get_meta()["attempts"] == 1
        wait_for(lambda: ended(redis, job_id))
    requests = ses.attempts
    measured = [later.at - earlier.answered_at for earlier, later in pairwise(requests)]
    assert len(measured) == len(delays)
    for delay, promised in zip(measured, delays, strict=True):
        assert promised <= delay < promised + LATE
    assert status(redis, job_id) == "finished"
    doubt = {"ambiguous": 1} if steps in ("drop", "html502") else {}
    assert fetch(redis, job_id).get_meta() == {"attempts": 2, **doubt}


def test_a_rejected_mail_stands_in_the_failed_registry_with_sess_words_and_can_be_requeued(
    redis: Redis, outbox: Outbox, ses: SimulatorServer, worker_env: dict[str, str], tmp_path: Path
) -> None:
    ses.faults.script("anna@example.com", ["rejectx1"])
    job_id = outbox.send(mail()).job_id
    with running(["worker"], worker_env, tmp_path / "log"):
        wait_for(lambda: ended(redis, job_id))
        job = fetch(redis, job_id)
        text = job.latest_result().exc_string
        line, hint = text.split("\n")
        assert job.get_status() == JobStatus.FAILED
        assert line.startswith("MessageRejected: ")
        assert "(HTTP 400, request id " in line
        assert hint.startswith("Hint: In the sandbox the sender and every recipient must be verified")
        assert job._exc_info == text
        meta = job.get_meta()
        assert meta["attempts"] == 1
        assert meta["last_outcome"]["code"] == "MessageRejected"
        assert job.args[0]["to"] == ["anna@example.com"]
        assert FailedJobRegistry("mail", connection=redis).get_job_ids() == [job_id]
        job.requeue()
        wait_for(lambda: status(redis, job_id) == "finished")
    assert fetch(redis, job_id).get_meta() == {"attempts": 1}


def test_transient_failures_end_after_max_attempts_and_say_so(
    redis: Redis, outbox: Outbox, worker_env: dict[str, str], tmp_path: Path
) -> None:
    job_id = outbox.send(mail("503x9.x@faults.example")).job_id
    env = {**worker_env, "RQ_SES_MAX_ATTEMPTS": "3", "RQ_SES_TRANSIENT_DELAY": "0.1"}
    with running(["worker"], env, tmp_path / "log"):
        wait_for(lambda: ended(redis, job_id))
    job = fetch(redis, job_id)
    assert "; gave up after 3 attempts\nHint: " in job.latest_result().exc_string
    assert job.get_meta()["attempts"] == 3


def test_an_expired_mail_is_failed_and_not_sent(
    redis: Redis, outbox: Outbox, ses: SimulatorServer, worker_env: dict[str, str], tmp_path: Path
) -> None:
    job_id = outbox.send(mail(), expires=0.001).job_id
    with running(["worker", "--burst"], worker_env, tmp_path / "log"):
        wait_for(lambda: ended(redis, job_id))
    assert fetch(redis, job_id).latest_result().exc_string.startswith("Expired: ")
    assert ses.attempts == []


def test_a_mail_in_doubt_is_held_if_so_told(
    redis: Redis, outbox: Outbox, ses: SimulatorServer, worker_env: dict[str, str], tmp_path: Path
) -> None:
    job_id = outbox.send(mail("drop.x@faults.example")).job_id
    with running(["worker", "--on-unknown", "hold"], worker_env, tmp_path / "log"):
        wait_for(lambda: ended(redis, job_id))
    assert fetch(redis, job_id).latest_result().exc_string.startswith("outcome unknown: ")
    assert len(ses.mails) == 1


@pytest.mark.parametrize("killed", [False, True])
def test_a_mails_own_wish_for_doubt_goes_before_the_workers(
    redis: Redis,
    outbox: Outbox,
    ses: SimulatorServer,
    worker_env: dict[str, str],
    tmp_path: Path,
    killed: bool,
) -> None:
    steps = "slow-3" if killed else "drop"
    held = outbox.send(mail(f"{steps}.held@faults.example"), on_unknown="hold").job_id
    resent = outbox.send(mail(f"{steps}.resent@faults.example")).job_id
    options = ["worker", "--lease", "1"]
    with running(options, worker_env, tmp_path / "first") as worker:
        wait_for(lambda: len(ses.mails) >= 2)
        if killed:
            worker.kill(signal.SIGKILL)
        else:
            wait_for(lambda: ended(redis, held) and ended(redis, resent))
    with running(options, worker_env, tmp_path / "second"):
        wait_for(lambda: ended(redis, held) and ended(redis, resent))
    assert fetch(redis, held).latest_result().exc_string.startswith("outcome unknown: ")
    assert status(redis, resent) == "finished"
    assert len(ses.mails) == 3


def test_a_burst_waits_for_what_is_scheduled_and_exits(
    redis: Redis, outbox: Outbox, ses: SimulatorServer, worker_env: dict[str, str], tmp_path: Path
) -> None:
    jobs = [outbox.send(mail(f"503.{n}@faults.example")).job_id for n in range(5)]
    jobs.append(outbox.send(mail(), delay=1.5).job_id)
    with running(["worker", "--burst"], worker_env, tmp_path / "log") as worker:
        wait_for(lambda: not worker.running)
        assert worker.stop() == 0
    assert {status(redis, job_id) for job_id in jobs} == {"finished"}
    assert len(ses.mails) == 6


def test_sigterm_under_load_finishes_what_is_being_sent_and_leaves_nothing_started(
    redis: Redis, outbox: Outbox, ses: SimulatorServer, worker_env: dict[str, str], tmp_path: Path
) -> None:
    jobs = [r.job_id for r in outbox.send_many([mail(f"slow-0.3x9.{n}@faults.example") for n in range(60)])]
    with running(["worker", "--concurrency", "8"], worker_env, tmp_path / "log") as worker:
        wait_for(lambda: len(ses.mails) >= 12)
        assert worker.stop(signal.SIGTERM) == 0
    states = [status(redis, job_id) for job_id in jobs]
    assert set(states) == {"finished", "queued"}
    assert redis.zcard(KEYS.registry("wip", "mail")) == 0
    assert redis.zcard(KEYS.leases("mail")) == 0
    assert redis.keys("rq:execution*") == []
    sent = [recipient for accepted in ses.mails for recipient in accepted.recipients]
    assert len(sent) == len(set(sent)) == states.count("finished")
    assert Worker.all(connection=redis) == []


def test_the_mails_of_a_killed_worker_move_on_when_its_lease_runs_out(
    redis: Redis, outbox: Outbox, ses: SimulatorServer, worker_env: dict[str, str], tmp_path: Path
) -> None:
    jobs = [r.job_id for r in outbox.send_many([mail(f"slow-3x1.{n}@faults.example") for n in range(4)])]
    options = ["worker", "--lease", "2", "--concurrency", "4"]
    with running(options, worker_env, tmp_path / "first") as first:
        wait_for(lambda: len(ses.attempts) == 4)
        first.kill(signal.SIGKILL)
    assert {status(redis, job_id) for job_id in jobs} == {"started"}
    with running(options, worker_env, tmp_path / "second"):
        wait_for(lambda: all(ended(redis, job_id) for job_id in jobs))
    assert {status(redis, job_id) for job_id in jobs} == {"finished"}
    assert len(ses.mails) == 8
    assert fetch(redis, jobs[0]).get_meta() == {"attempts": 2, "ambiguous": 1}


def test_a_suspended_worker_claims_nothing_until_it_is_resumed(
    redis: Redis, outbox: Outbox, ses: SimulatorServer, worker_env: dict[str, str], tmp_path: Path
) -> None:
    suspend(redis)
    job_id = outbox.send(mail()).job_id
    with running(["worker"], worker_env, tmp_path / "log") as worker:
        wait_for(lambda: "suspended: nothing is claimed" in worker.output)
        assert status(redis, job_id) == "queued"
        resume(redis)
        wait_for(lambda: ended(redis, job_id))
    assert len(ses.mails) == 1


def test_the_worker_is_registered_as_rqs_tools_expect(
    redis: Redis, outbox: Outbox, worker_env: dict[str, str], tmp_path: Path
) -> None:
    with running(["worker", "--name", "the-worker"], worker_env, tmp_path / "log") as process:
        [worker] = wait_for(lambda: Worker.all(connection=redis))
        assert worker.name == "the-worker"
        assert worker.queue_names() == ["mail-high", "mail", "mail-bulk"]
        assert worker.pid
        job_id = outbox.send(mail()).job_id
        wait_for(lambda: ended(redis, job_id))
        wait_for(lambda: redis.hget("rq:worker:the-worker", "successful_job_count") == b"1")
        assert process.stop() == 0
    assert Worker.all(connection=redis) == []


def test_rqs_shutdown_command_stops_the_worker(
    redis: Redis, outbox: Outbox, worker_env: dict[str, str], tmp_path: Path
) -> None:
    with running(["worker", "--name", "the-worker"], worker_env, tmp_path / "log") as process:
        wait_for(lambda: redis.pubsub_numsub("rq:pubsub:the-worker")[0][1])
        job_id = outbox.send(mail("slow-0.5.x@faults.example")).job_id
        wait_for(lambda: status(redis, job_id) == "started")
        send_shutdown_command(redis, "the-worker")
        wait_for(lambda: not process.running)
        assert process.stop() == 0
    assert status(redis, job_id) == "finished"


def test_garbage_among_rqs_workers_is_dropped_and_leases_are_renewed(
    redis: Redis, outbox: Outbox, ses: SimulatorServer, worker_env: dict[str, str], tmp_path: Path
) -> None:
    redis.sadd("rq:workers:mail", b"\xff\xfe")
    jobs = [r.job_id for r in outbox.send_many([mail(f"slow-3x9.{n}@faults.example") for n in range(4)])]
    options = ["worker", "--lease", "1", "--concurrency", "2"]
    with running(options, worker_env, tmp_path / "a") as first, running(options, worker_env, tmp_path / "b"):
        wait_for(lambda: all(ended(redis, job_id) for job_id in jobs))
        assert first.running
        assert b"\xff\xfe" not in redis.smembers("rq:workers:mail")
        assert len(redis.smembers("rq:workers:mail")) == 2
    assert len(ses.mails) == 4


def test_nothing_but_our_job_function_is_executed(
    redis: Redis, ses: SimulatorServer, worker_env: dict[str, str], tmp_path: Path
) -> None:
    queue = Queue("mail", connection=redis, serializer=JSONSerializer)
    proof = tmp_path / "executed"
    foreign = queue.enqueue("os.system", f"touch {proof}")
    hooked = queue.enqueue(contract.JOB_FUNCTION, {"sender": "a@example.com"})
    redis.hset(hooked.key, "success_callback_name", "os.system")
    pickled = Queue("mail", connection=redis).enqueue("os.system", f"touch {proof}")
    invalid = queue.enqueue(
        contract.JOB_FUNCTION, {"sender": "a@example.com", "to": ["nobody"], "subject": "s"}
    )
    with running(["worker", "--burst"], worker_env, tmp_path / "log") as worker:
        wait_for(lambda: not worker.running)
    lines = {
        job.id: fetch(redis, job.id).latest_result().exc_string for job in (foreign, hooked, pickled, invalid)
    }
    assert "only rq_ses_worker.job.send is executed, not 'os.system'" in lines[foreign.id]
    assert "callbacks and webhooks are never executed" in lines[hooked.id]
    assert "its data is not a JSON call" in lines[pickled.id]
    assert lines[invalid.id].startswith("InvalidMessage: to")
    assert not proof.exists()
    assert ses.attempts == []


def test_what_sess_and_senders_wrote_cannot_be_markup_in_redis(
    redis: Redis, outbox: Outbox, worker_env: dict[str, str], tmp_path: Path
) -> None:
    job_id = outbox.send(mail("reject.x@faults.example", subject="<img src=x onerror=alert(1)>")).job_id
    foreign = Queue("mail", connection=redis, serializer=JSONSerializer).enqueue(
        "<script>alert(1)</script>.x"
    )
    with running(["worker", "--burst"], worker_env, tmp_path / "log") as worker:
        wait_for(lambda: not worker.running)
    job = fetch(redis, job_id)
    assert job.description == "reject.x@faults.example → ‹img src=x onerror=alert(1)›"
    for name in (job_id, foreign.id):
        job = fetch(redis, name)
        for shown in (job.latest_result().exc_string, job._exc_info, str(job.get_meta())):
            assert "<" not in shown


def test_secrets_stand_neither_in_redis_nor_in_the_workers_output(
    redis: Redis, outbox: Outbox, ses: SimulatorServer, worker_env: dict[str, str], tmp_path: Path
) -> None:
    job_ids = [
        outbox.send(mail(f"{steps}.x@faults.example")).job_id
        for steps in ("slow-0.1", "reject", "drop", "503")
    ]
    wrong = {**worker_env, "AWS_SECRET_ACCESS_KEY": SECRET + "x"}
    with running(["worker", "--log-level", "debug"], worker_env, tmp_path / "log") as worker:
        wait_for(lambda: all(ended(redis, job_id) for job_id in job_ids))
        worker.stop()
    job_ids.append(outbox.send(mail("again@example.com")).job_id)
    with running(["worker", "--log-level", "debug", "--burst"], wrong, tmp_path / "log") as worker:
        wait_for(lambda: ended(redis, job_ids[-1]))
        worker.stop()
    assert "InvalidSignatureException" in fetch(redis, job_ids[-1]).latest_result().exc_string
    stored = [redis.dump(key) or b"" for key in redis.keys("*")]
    texts = [fetch(redis, job_id).latest_result() for job_id in job_ids]
    haystack = b"".join(stored) + repr([vars(t) for t in texts]).encode() + (tmp_path / "log").read_bytes()
    assert KEY_ID.encode() not in haystack
    for secret in (SECRET, TOKEN):
        assert secret.encode() not in haystack


def test_the_worker_starts_before_redis_and_outlives_its_absence(
    ses: SimulatorServer, tmp_path: Path, worker_env: dict[str, str]
) -> None:
    from support.servers.valkey import client, url, valkey

    with valkey(tmp_path / "data") as server:
        redis_url = url(server)
    port = urlsplit(redis_url).port
    env = {**worker_env, "RQ_SES_REDIS_URL": redis_url}
    with running(["worker"], env, tmp_path / "log") as worker:
        wait_for(lambda: "Redis is away" in worker.output)
        with valkey(tmp_path / "data", port=port) as server, client(server) as redis:
            job_id = Outbox(redis_url).send(mail("slow-1x1.x@faults.example")).job_id
            wait_for(lambda: len(ses.mails) == 1)
        wait_for(lambda: worker.output.count("Redis is away") >= 2)
        with valkey(tmp_path / "data", port=port) as server, client(server) as redis:
            wait_for(lambda: status(redis, job_id) == "finished")
            assert StartedJobRegistry("mail", connection=redis).get_job_count(cleanup=False) == 0
        assert worker.running
    assert len(ses.mails) == 1
