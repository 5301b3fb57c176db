"""A queue of SQS on loopback: its JSON protocol, signatures checked by the simulator's code, nothing lost.

A message that was taken is hidden until `show` is called, as it would be after the visibility time-out.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
import uuid
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from rq_ses_worker.simulator.api.authorization import read_authorization
from rq_ses_worker.simulator.api.sigv4 import SignedRequest, canonical_request, signature
from support.programs.processes import KEY_ID, SECRET, TOKEN
from support.servers.standin import Answer, Asked, StandIn

REGION = "us-east-1"
PATH = "/123456789012/ses-events"


@dataclass
class Message:
    body: str
    message_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    handle: str = ""
    times: int = 0


class SqsStandIn:
    """Use it as a context manager; `fail` answers the next calls of an action, each with one of these."""

    def __init__(self) -> None:
        self.waiting: list[Message] = []
        self.taken: list[Message] = []
        self.deleted: list[str] = []
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.refused: list[str] = []
        self.fail: dict[str, list[Answer]] = {}
        self._changed = threading.Condition()
        self._closing = False
        self._server = StandIn({"POST /": self._answer})

    @property
    def url(self) -> str:
        return self._server.url + PATH

    def put(self, *bodies: bytes | str) -> None:
        with self._changed:
            self.waiting += [Message(body.decode() if isinstance(body, bytes) else body) for body in bodies]
            self._changed.notify_all()

    def show(self) -> None:
        """Let what was taken and not deleted be seen again."""
        with self._changed:
            self.waiting, self.taken = self.waiting + self.taken, []
            self._changed.notify_all()

    @property
    def left(self) -> list[Message]:
        return [*self.waiting, *self.taken]

    def _answer(self, asked: Asked) -> Answer:
        wrong = _wrong(asked)
        if wrong:
            self.refused.append(wrong)
            return 403, {"__type": "com.amazon.coral.service#InvalidSignatureException", "message": wrong}
        action = asked.headers["x-amz-target"].removeprefix("AmazonSQS.")
        members = json.loads(asked.body)
        with self._changed:
            self.calls.append((action, members))
            if self.fail.get(action):
                return self.fail[action].pop(0)
            if members.get("QueueUrl") != self.url:
                return 400, {"__type": "com.amazonaws.sqs#QueueDoesNotExist", "message": "no such queue"}
            return 200, self._receive(members) if action == "ReceiveMessage" else self._delete(members)

    def _receive(self, members: dict[str, Any]) -> dict[str, Any]:
        ends = time.monotonic() + members["WaitTimeSeconds"]
        while not self.waiting and not self._closing and (rest := ends - time.monotonic()) > 0:
            self._changed.wait(rest)
        most = members["MaxNumberOfMessages"]
        given, self.waiting = self.waiting[:most], self.waiting[most:]
        for message in given:
            message.handle, message.times = str(uuid.uuid4()), message.times + 1
        self.taken += given
        told = [
            {
                "MessageId": one.message_id,
                "ReceiptHandle": one.handle,
                "MD5OfBody": hashlib.md5(one.body.encode()).hexdigest(),
                "Body": one.body,
                "Attributes": {"ApproximateReceiveCount": str(one.times)},
            }
            for one in given
        ]
        return {"Messages": told} if told else {}

    def _delete(self, members: dict[str, Any]) -> dict[str, Any]:
        done, failed = [], []
        for entry in members["Entries"]:
            found = [one for one in self.taken if one.handle == entry["ReceiptHandle"]]
            self.taken = [one for one in self.taken if one not in found]
            self.deleted += [one.message_id for one in found]
            (done if found else failed).append({"Id": entry["Id"]})
        return {"Successful": done, "Failed": failed}

    def __enter__(self) -> Self:
        self._server.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._server.__exit__(kind, exc, trace)


def _wrong(asked: Asked) -> str:
    """Return what is wrong with a signature, "" if nothing is."""
    headers = [(name.encode(), value.encode()) for name, value in asked.headers.items()]
    request = SignedRequest("POST", b"/", headers, hashlib.sha256(asked.body).hexdigest())
    auth = read_authorization(request)
    if auth.access_key_id != KEY_ID or asked.headers.get("x-amz-security-token") != TOKEN:
        return "another key"
    if auth.scope[1:3] != (REGION, "sqs"):
        return f"scoped to {auth.scope}"
    if not {"content-type", "host", "x-amz-date", "x-amz-target"} <= set(auth.signed_headers):
        return "not all is signed"
    canonical = canonical_request(request, auth.signed_headers)
    expected = canonical and signature(canonical, SECRET, auth.timestamp, auth.scope)
    return "" if expected == auth.signature else "it doesn't match"
