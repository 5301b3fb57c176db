"""A mail as jobs, and the keys that make its repetition the same job."""

from __future__ import annotations

import pytest

from rq_ses import RawMessage, contract
from rq_ses.outbox.submission import Submission
from rq_ses_worker.smtp.content import read_content
from rq_ses_worker.smtp.jobs import Mail, jobs_of
from rq_ses_worker.smtp.replies import Refused

HEAD = b"From: ann@example.com\r\nMessage-ID: <1@example.com>\r\n"
NOW = 1_790_000_000.0


def jobs(
    content: bytes = HEAD + b"\r\nHi\r\n",
    sender: str = "ann@example.com",
    to: tuple[str, ...] = ("ben@example.org",),
    *,
    protocol: str = "ESMTP",
    now: float = NOW,
) -> list[Submission]:
    return list(jobs_of(Mail.of(read_content(content), sender, to, protocol), "mail", now))


def message(submission: Submission) -> RawMessage:
    assert isinstance(submission.message, RawMessage)
    return submission.message


def key(
    content: bytes = HEAD + b"\r\nHi\r\n", now: float = NOW, sender: str = "ann@example.com"
) -> str | None:
    [job] = jobs(content, sender, now=now)
    return job.key


def test_a_mail_is_sent_as_it_came_behind_a_received_header() -> None:
    [job] = jobs(protocol="ESMTPSA")
    received, _, rest = message(job).data.partition(b"+0000\r\n")
    assert rest == HEAD + b"\r\nHi\r\n"
    job_id = contract.keyed_job_id("mail", job.key or "")
    assert (
        received.decode() == f"Received: by rq-ses with ESMTPSA id {job_id};\r\n\tMon, 21 Sep 2026 14:13:20 "
    )
    assert message(job).to == ("ben@example.org",)
    assert (message(job).sender, job.priority) == (None, "normal")


def test_without_a_from_header_the_envelope_is_the_sender() -> None:
    [job] = jobs(b"Subject: x\r\n\r\nHi\r\n")
    assert (message(job).sender, message(job).feedback_to) == ("ann@example.com", None)


def test_bounces_go_to_the_envelopes_sender() -> None:
    [job] = jobs(sender="bounces@example.com")
    assert (message(job).sender, message(job).feedback_to) == (None, "bounces@example.com")
    [job] = jobs(sender="Ann@example.com")
    assert message(job).feedback_to is None


def test_the_same_mail_has_the_same_key_whenever_it_comes() -> None:
    assert key() == key(now=NOW + 1_000_000)
    assert key() != key(HEAD + b"\r\nHo\r\n")
    assert key() != key(sender="ben@example.com")
    [one], [two] = jobs(), jobs(to=("carl@example.org",))
    assert one.key != two.key


def test_what_only_its_hour_tells_apart_is_another_mail_in_another_hour() -> None:
    report = b"From: ann@example.com\r\nSubject: report\r\n\r\nall is well\r\n"
    start = NOW - NOW % 3600
    assert key(report, now=start) == key(report, now=start + 3599)
    assert key(report, now=start) != key(report, now=start + 3600)


def test_the_priority_belongs_to_the_mail() -> None:
    [job] = jobs(b"X-Rq-Ses-Priority: high\r\n" + HEAD + b"\r\nHi\r\n")
    assert job.priority == "high"
    assert job.key != key()


def test_many_recipients_become_jobs_of_fifty_in_whatever_order_they_came() -> None:
    everybody = tuple(f"{n}@example.org" for n in range(120))
    made = jobs(to=everybody)
    assert [len(message(job).to) for job in made] == [50, 50, 20]
    assert sorted(one for job in made for one in message(job).to) == sorted(everybody)
    assert len({job.key for job in made}) == 3
    again = jobs(to=(*reversed(everybody), everybody[0]))
    assert [(job.key, message(job).to) for job in again] == [(job.key, message(job).to) for job in made]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (HEAD + b"\r\n" + b"x" * 999 + b"\r\n", "998"),
        (HEAD + b"\r\n\0\r\n", "NUL"),
        (HEAD + b"no header\r\n\r\n", "header"),
    ],
)
def test_what_ses_can_not_take_is_refused_in_words(content: bytes, why: str) -> None:
    with pytest.raises(Refused) as caught:
        jobs(content)
    reply = caught.value.refusal.reply
    assert reply.startswith("554 5.6.0 The mail can't be sent: ")
    assert why in reply
    assert reply.isascii()
    assert "\n" not in reply
    assert len(reply) < 510
