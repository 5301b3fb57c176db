from __future__ import annotations

import json
import pickle
import zlib
from typing import Any

import pytest

from rq_ses import contract
from rq_ses.message.message import Message
from rq_ses.server.encoding import encode_job
from rq_ses_worker.lifecycle.task import JobRefused, Task, read_job
from support.mails.mail import raw_mail

PAYLOAD = {"sender": "a@example.com", "to": ["b@example.com"], "subject": "Hi", "text": "x"}


def data(
    function: Any = contract.JOB_FUNCTION, instance: Any = None, args: Any = (PAYLOAD,), kwargs: Any = None
) -> bytes:
    return json.dumps([function, instance, list(args), kwargs or {}]).encode()


def refusal(raw: bytes, **options: Any) -> JobRefused:
    with pytest.raises(JobRefused) as caught:
        read_job(raw, **options)
    return caught.value


@pytest.mark.parametrize("form", [bytes, zlib.compress])
def test_a_job_is_read_plain_and_deflated(form: Any) -> None:
    assert read_job(form(data())) == Task(Message(**PAYLOAD))


def test_what_the_producer_encodes_is_read_back() -> None:
    message = Message(**PAYLOAD)
    assert read_job(encode_job(message.to_payload(), {"expires": 5.5})) == Task(message, 5.5)


def test_the_attachments_of_a_queue_that_an_older_build_filled_are_read_from_base64() -> None:
    payload = {
        **PAYLOAD,
        "attachments": [{"filename": "note.txt", "content": "SGVsbG8=", "content_type": "text/plain"}],
    }
    (attachment,) = read_job(data(args=(payload,))).message.attachments
    assert (attachment.content, attachment.content_type) == (b"Hello", "text/plain")


def test_mime_is_read_back_byte_for_byte() -> None:
    message = raw_mail()
    assert read_job(encode_job(message.to_payload(), {"on_unknown": "hold"})) == Task(message, None, "hold")
    broken = refusal(data(args=({"data": "SGVsbG8=", "to": ["b@example.com"]},)))
    assert (broken.code, broken.reason) == (
        "InvalidMessage",
        "data: has no blank line after its header: give a mail as it goes over the wire, such as "
        "email_message.as_bytes()",
    )


def test_an_unknown_field_of_a_payload_is_told_its_name() -> None:
    payload = {name: value for name, value in PAYLOAD.items() if name != "sender"} | {"from": "Ann"}
    reason = refusal(data(args=(payload,))).reason
    assert "from: is not a field: did you mean sender?" in reason
    # The failed registry is printed as HTML by others.
    assert (
        "write local@domain or Name ‹local@domain›" in refusal(data(args=({**PAYLOAD, "to": "Ann"},))).reason
    )


def test_a_wish_for_doubt_is_read() -> None:
    assert read_job(data(kwargs={"on_unknown": "hold"})).on_unknown == "hold"
    assert "on_unknown" in refusal(data(kwargs={"on_unknown": "maybe"})).reason


def test_the_payload_may_be_given_by_name() -> None:
    assert read_job(data(args=(), kwargs={"payload": PAYLOAD})) == Task(Message(**PAYLOAD))


@pytest.mark.parametrize(
    "function", ["os.system", "rq_ses_worker.job.send2", "builtins.eval", 7, None, ["x"]]
)
def test_any_other_callable_is_refused_by_name(function: Any) -> None:
    refused = refusal(data(function=function, args=("touch /tmp/x",)))
    assert refused.code == "JobRefused"
    assert str(function) in refused.reason


def test_a_method_call_is_refused() -> None:
    assert refusal(data(instance={"x": 1})).code == "JobRefused"


def test_callbacks_and_webhooks_are_refused() -> None:
    assert "callbacks" in refusal(data(), hooked=True).reason


@pytest.mark.parametrize(
    "raw",
    [
        b"", b"\xff\x00", pickle.dumps(("os.system", None, ("x",), {})), b"[]", b"{}", b'"x"', b"7",
        b"[" * 200_000, zlib.compress(b"not json"), zlib.compress(data())[:-5],
    ],
)  # fmt: skip
def test_garbage_is_refused_and_never_unpickled(raw: bytes) -> None:
    assert refusal(raw).code == "JobRefused"


def test_data_that_would_fill_the_memory_is_refused() -> None:
    assert refusal(zlib.compress(b" " * (65 * 1024 * 1024), 1)).code == "JobRefused"


def test_a_payload_that_is_no_message_is_refused_by_its_field() -> None:
    refused = refusal(data(args=({**PAYLOAD, "to": ["nobody"], "surprise": 1},)))
    assert refused.code == "InvalidMessage"
    assert "to" in refused.reason
    assert "surprise" in refused.reason


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [((), {}), (("x",), {}), ((PAYLOAD, PAYLOAD), {}), ((PAYLOAD,), {"more": 1}),
     ((PAYLOAD,), {"expires": "soon"}), ((PAYLOAD,), {"expires": True}),
     ((PAYLOAD,), {"payload": PAYLOAD}), ((None,), {})],
)  # fmt: skip
def test_other_arguments_are_refused(args: Any, kwargs: Any) -> None:
    assert refusal(data(args=args, kwargs=kwargs)).code == "InvalidMessage"


def test_a_refusal_is_one_line_without_markup() -> None:
    refused = refusal(data(function="<script>alert(1)</script>\n" + "x" * 5000))
    assert "<" not in refused.reason
    assert "\n" not in refused.reason
    assert len(refused.reason) <= 500
