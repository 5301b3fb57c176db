"""Queues that an app fills and no worker serves are named by whoever looks."""

from __future__ import annotations

import json
from pathlib import Path

from redis import Redis
from rq import Queue

from rq_ses import Outbox, Submission
from rq_ses.status.unserved import Unserved, unserved
from rq_ses_worker.doctor.workers import check_strays, check_workers
from support.mails.mail import mail
from support.programs.processes import run, running
from support.waiting import wait_for


def fill(redis_url: str, queue: str, mails: int, **terms: float) -> None:
    Outbox(redis_url, queue).send_many(Submission(mail(), **terms) for _ in range(mails))  # type: ignore[arg-type]


def test_only_queues_of_mails_without_a_worker_are_found(redis: Redis, redis_url: str) -> None:
    assert unserved(redis) == ()
    fill(redis_url, "news", 12)
    fill(redis_url, "later", 1, delay=3600)
    Outbox(redis_url, "shop").send(mail(), priority="bulk")
    Queue("thumbnails", connection=redis).enqueue("os.getcwd")
    redis.sadd("rq:queues", "rq:queue:empty", "rq:queue:spoilt")
    redis.set("rq:queue:spoilt", "text")
    assert unserved(redis) == (Unserved("later", 1), Unserved("news", 12), Unserved("shop-bulk", 1))
    assert [str(one) for one in unserved(redis, besides=["later"])] == [
        "queue news holds 12 mails and no worker serves it",
        "queue shop-bulk holds 1 mail and no worker serves it",
    ]
    assert [one.remedy for one in unserved(redis, besides=["later"])] == [
        "rq-ses worker --queue news",
        "rq-ses worker --queue shop",
    ]
    redis.sadd("rq:workers:news", "rq:worker:one")
    assert len(unserved(redis)) == 3, "one that was killed serves nothing"
    redis.hset("rq:worker:one", "birth", "now")
    assert [one.queue for one in unserved(redis)] == ["later", "shop-bulk"]


def test_status_and_doctor_name_them(redis: Redis, redis_url: str, worker_env: dict[str, str]) -> None:
    fill(redis_url, "news", 2)
    said = "queue news holds 2 mails and no worker serves it"
    shown = run(["status", "--sample", "0"], worker_env)
    assert f"{said}: rq-ses worker --queue news" in shown.stdout
    found = json.loads(run(["status", "--sample", "0", "--json"], worker_env).stdout)
    assert found["unserved"] == [{"queue": "news", "mails": 2, "partition": None}]
    [finding] = [one for one in check_workers(redis, ["mail"]) if one.id == "workers.unserved"]
    assert (finding.severity, finding.text) == ("warning", said)
    assert "rq-ses worker --queue news" in finding.remedy
    assert said not in run(["status", "--sample", "0", "--queue", "news"], worker_env).stdout


def test_a_worker_names_them_once_at_its_start(
    redis: Redis, redis_url: str, worker_env: dict[str, str], tmp_path: Path
) -> None:
    fill(redis_url, "news", 2)
    with running(["worker"], worker_env, tmp_path / "log") as worker:
        wait_for(lambda: "sending mails of" in worker.output)
        line = "queue news holds 2 mails and no worker serves it: rq-ses worker --queue news"
        assert worker.output.count(line) == 1
        assert "queue mail holds" not in worker.output


def test_mails_under_the_deployments_own_prefix_are_told_of_where_there_are_partitions(
    redis: Redis, redis_url: str, worker_env: dict[str, str], tmp_path: Path
) -> None:
    fill(redis_url, "mail", 1)
    env = {**worker_env, "RQ_SES_PARTITIONS": "{mail0},{mail1}"}
    said = "queue mail under rq holds 1 mail and belongs to no partition"
    line = f"{said}: rq-ses partitions move --from rq --queue mail"
    assert line in " ".join(run(["status", "--sample", "0"], env).stdout.split())
    found = json.loads(run(["status", "--sample", "0", "--json"], env).stdout)
    assert found["unserved"] == [{"queue": "mail", "mails": 1, "partition": "rq"}]
    [finding] = check_strays(redis)
    assert (finding.id, finding.severity, finding.text) == ("workers.unserved", "warning", said)
    assert finding.remedy.endswith("rq-ses partitions move --from rq --queue mail")
    with running(["worker"], env, tmp_path / "log") as worker:
        wait_for(lambda: line in worker.output and worker.output.count("sending mails of") == 2)
        assert worker.output.count(said) == 1
        assert worker.stop() == 0  # killed, its processes would stand among the workers for a moment more
    assert run(["partitions", "move", "--from", "rq", "--queue", "mail"], env).returncode == 0
    assert said not in run(["status", "--sample", "0"], env).stdout
