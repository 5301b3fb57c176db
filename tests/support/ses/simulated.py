"""A simulated account without a socket: sending to it, and asking for its records."""

from __future__ import annotations

import json
import re
from typing import Any

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from rq_ses.message.render import send_email_body
from rq_ses_worker.simulator.service import Reply, Service
from rq_ses_worker.simulator.web import router
from rq_ses_worker.simulator.web.request import WebRequest
from rq_ses_worker.simulator.web.response import WebResponse
from support.mails.mail import mail

PATH = "/v2/email/outbound-emails"


def reply(
    service: Service,
    body: bytes = b"",
    *,
    secret: str = "simulator-secret",
    query: str = "",
    method: str = "POST",
    path: str = PATH,
) -> Reply:
    request = AWSRequest(method, f"http://localhost{path}{query}", data=body)
    SigV4Auth(Credentials("AKIDSIMULATOR", secret), "ses", "us-east-1").add_auth(request)
    headers = [("Host", "localhost"), *request.headers.items()]
    raw = [(name.encode(), value.encode()) for name, value in headers]
    return service.handle(method, (path + query).encode(), raw, body, service.arrival())


def submit(service: Service, body: bytes, **how: str) -> int:
    return reply(service, body, **how).status


def call(service: Service, method: str, path: str, members: Any = None, **how: str) -> tuple[Any, ...]:
    """Return the status with the members of the answer, or with an error's name and words."""
    body = b"" if members is None else json.dumps(members).encode()
    answer = reply(service, body, method=method, path=path, **how)
    told = json.loads(answer.body)
    if answer.status == 200:
        return 200, told
    return answer.status, answer.headers["x-amzn-ErrorType"], told.get("message")


def send(service: Service, to: str = "anna@example.com", **fields: Any) -> int:
    return submit(service, send_email_body(mail(to, **fields)))


def ask(service: Service, target: str, method: str = "GET", body: bytes = b"", **headers: str) -> WebResponse:
    sent = {"host": ["localhost"]} | {name.replace("_", "-"): [value] for name, value in headers.items()}
    return router.respond(service, WebRequest(method, target.encode(), sent, "127.0.0.1", body))


def told(service: Service, target: str, method: str = "GET", body: bytes = b"") -> Any:
    shown = ask(service, target, method, body)
    assert shown.status == 200, shown.body
    return json.loads(shown.body)


def page(service: Service, target: str, status: int = 200) -> str:
    shown = ask(service, target)
    assert shown.status == status
    assert shown.headers["Content-Type"] == "text/html; charset=utf-8"
    return shown.body.decode()


def subjects(text: str) -> list[str]:
    return re.findall(r'<a href="/_simulator/view/requests/\d+"><bdi>(.*?)</bdi>', text)
