"""Dead letters written to a file, and put back into a Redis that has lost them."""

from __future__ import annotations

import io
import json
from typing import Any

from redis import Redis
from rq import Queue
from rq.registry import FailedJobRegistry

from rq_ses import Outbox, Submission, contract
from rq_ses.deadletter import DeadLetters, Filter, Resent
from rq_ses_worker.lifecycle.task import read_job
from rq_ses_worker.lifecycle.transitions import Lifecycle
from support.mails.deadletters import (
    fail,
    in_doubt,
    mails,
    queued,
    rejected,
    standing_failed,
)
from support.mails.mail import fetch, mail, status


def exported(letters: DeadLetters, wanted: Filter | None = None) -> io.BytesIO:
    target = io.StringIO()
    letters.export(target, wanted or Filter())
    return io.BytesIO(target.getvalue().encode())


def test_an_export_survives_a_lost_redis(redis: Redis, letters: DeadLetters) -> None:
    ids = fail(
        redis,
        [
            Submission(mail("a@b.example", html="<p>ö\u2028</p>"), key="k", expires=900, on_unknown="hold"),
            mail(),
        ],
        [rejected(), in_doubt()],
    )
    outbox, queue = Outbox(redis), Queue("mail", connection=redis, serializer=contract.SERIALIZER)
    before = {job_id: (fetch(redis, job_id), letters.get(job_id)) for job_id in ids}
    results = {job_id: fetch(redis, job_id).latest_result().exc_string for job_id in ids}
    file = exported(letters)
    redis.flushall()

    restored = letters.restore(file)
    assert (restored.failed, restored.queued, restored.exists, restored.bad) == (2, 0, 0, 0)
    for job_id, (job, letter) in before.items():
        after = fetch(redis, job_id)
        for name in ("origin", "args", "kwargs", "func_name", "description", "timeout", "result_ttl",
                     "failure_ttl", "created_at", "enqueued_at", "ended_at", "_exc_info"):  # fmt: skip
            assert getattr(after, name) == getattr(job, name), name
        assert after.get_meta() == job.get_meta()
        assert after.latest_result().exc_string == results[job_id]
        assert redis.ttl(f"rq:job:{job_id}") > 31_000_000
        assert redis.ttl(f"rq:results:{job_id}") > 31_000_000
        again = letters.get(job_id)
        assert (again.code, again.message, again.unknown, again.attempts, again.failed_at) == (
            letter.code, letter.message, letter.unknown, letter.attempts, letter.failed_at,
        )  # fmt: skip
    assert set(FailedJobRegistry(queue=queue).get_job_ids()) == set(ids)
    assert outbox.send(mail("a@b.example", html="<p>ö\u2028</p>"), key="k").duplicate
    assert letters.resend() == Resent(resent=1, unknown=1)


def test_an_import_is_made_once_whatever_became_of_the_mail(redis: Redis, letters: DeadLetters) -> None:
    ids = fail(redis, mails(30))
    file = exported(letters)
    redis.flushall()
    letters.restore(file)
    letters.resend(limit=10)
    file.seek(0)
    again = letters.restore(file, resend=True)
    assert (again.exists, again.failed, again.queued) == (30, 0, 0)
    assert len(queued(redis)) == 10
    assert len(standing_failed(redis)) == 20
    assert {*queued(redis), *standing_failed(redis)} == set(ids)


def test_an_import_resends_what_ses_surely_doesn_t_have(redis: Redis, letters: DeadLetters) -> None:
    certain, doubtful = fail(redis, [mail("a@b.example"), mail("c@d.example")], [rejected(), in_doubt()])
    file = exported(letters)
    redis.flushall()
    result = letters.restore(file, resend=True)
    assert (result.queued, result.failed, result.unknown) == (1, 1, 1)
    assert queued(redis) == [certain]
    assert fetch(redis, certain).get_meta() == {}
    assert standing_failed(redis) == {doubtful}
    [claim], _ = Lifecycle(redis, ["mail"], "w", "bbbbbbbb", 30.0).claim(5)
    assert claim.fresh
    assert read_job(claim.data).message == mail("a@b.example")
    redis.flushall()
    file.seek(0)
    assert letters.restore(file, resend=True, include_unknown=True).queued == 2
    assert fetch(redis, doubtful).get_meta() == {"ambiguous": 1, "consented": 2}


def test_doubt_and_consent_go_with_an_export(redis: Redis, letters: DeadLetters) -> None:
    [job_id] = fail(redis, [mail()], [in_doubt()])
    meta = {**fetch(redis, job_id).get_meta(), "ambiguous": 4, "consented": 4}
    redis.hset(f"rq:job:{job_id}", "meta", json.dumps(meta))
    file = exported(letters)
    redis.flushall()
    letters.restore(file)
    assert fetch(redis, job_id).get_meta() == meta
    letters.resend(include_unknown=True)
    assert fetch(redis, job_id).get_meta() == {"ambiguous": 4, "consented": 5}


LINE = {"job_id": "j1", "queue": "mail", "message": json.loads(mail().to_payload()), "unknown": False}
BAD: dict[str, tuple[Any, str]] = {
    "not JSON": (b"{", "not JSON, or nested too deep"),
    "not UTF-8": (b'{"job_id": "\xff"}', "not JSON"),
    "nested too deep": (b"[" * 200_000, "not JSON, or nested too deep"),
    "a list": ([], "message: the list value is not a mapping"),
    "no id": ({**LINE, "job_id": None}, "job_id: "),
    "an id with a colon": ({**LINE, "job_id": "a:b"}, "job_id: 'a:b'"),
    "an id with a line break": ({**LINE, "job_id": "j1\n"}, "job_id: "),
    "no queue": ({**LINE, "queue": "a b"}, "queue: 'a b'"),
    "no message": ({**LINE, "message": "x"}, "message: "),
    "another option": ({**LINE, "options": {"x": 1}}, "options.x: is not a field"),
    "an option's value": ({**LINE, "options": {"on_unknown": "maybe"}}, "options.on_unknown: "),
    "a key": ({**LINE, "key": "order-1"}, "key: 'order-1'"),
    "a TTL": ({**LINE, "failure_ttl": 1e99}, "failure_ttl: "),
    "meta that is too large": ({**LINE, "meta": {"x": ["y" * 1000] * 70}}, "meta: "),
    "a doubt in words": ({**LINE, "unknown": "no"}, "unknown: "),
}


def test_bad_lines_are_named_and_the_rest_is_imported(redis: Redis, letters: DeadLetters) -> None:
    lines = [json.dumps(LINE).encode()]
    for value, _ in BAD.values():
        lines += [value if isinstance(value, bytes) else json.dumps(value).encode(), b"  "]
    problems: dict[int, str] = {}
    result = letters.restore(io.BytesIO(b"\xef\xbb\xbf" + b"\n".join(lines)), on_problem=problems.__setitem__)
    assert (result.failed, result.bad) == (1, len(BAD))
    for number, (_, problem) in enumerate(BAD.values()):
        assert problem in problems[2 + 2 * number]
        assert len(problems[2 + 2 * number]) <= 1000
    assert standing_failed(redis) == {"j1"}


def test_terms_of_rqs_own_are_kept_where_they_can_be(redis: Redis, letters: DeadLetters) -> None:
    [job_id] = fail(redis, [mail()])
    redis.hset(f"rq:job:{job_id}", mapping={"timeout": -1, "result_ttl": 999_999_999, "failure_ttl": 0})
    file = exported(letters)
    redis.flushall()
    assert letters.restore(file).failed == 1
    job = fetch(redis, job_id)
    assert (job.timeout, job.result_ttl, job.failure_ttl) == (-1, contract.RESULT_TTL, contract.FAILURE_TTL)


def test_a_strangers_file_is_made_inert(redis: Redis, letters: DeadLetters) -> None:
    script = "<script>alert(1)</script>\x1b[2J"
    line = {
        **LINE,
        "message": {**LINE["message"], "subject": "<b>Hi"},
        "error": f"X: {script}\n{script}",
        "meta": {script: [{"x": script}]},
        "created_at": script,
        "description": script,
    }
    letters.restore(io.BytesIO(json.dumps(line).encode()))
    fields = redis.hgetall("rq:job:j1")
    del fields[b"data"]
    stored = json.dumps([value.decode() for value in fields.values()])
    assert "<" not in stored
    assert "\\u001b" not in stored
    assert "<" not in fetch(redis, "j1").latest_result().exc_string


def test_a_line_that_is_no_valid_mail_is_put_back_but_never_queued(
    redis: Redis, letters: DeadLetters
) -> None:
    line = json.dumps({**LINE, "message": {"sender": "nobody"}}).encode()
    problems: dict[int, str] = {}
    assert letters.restore(io.BytesIO(line), resend=True, on_problem=problems.__setitem__).bad == 1
    assert "sender: 'nobody' is not an e-mail address" in problems[1]
    assert letters.restore(io.BytesIO(line)).failed == 1
    assert status(redis, "j1") == "failed"
