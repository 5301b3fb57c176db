"""What the places answer that credentials come from, and what we and botocore find in them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs

import botocore.session
import pytest

from rq_ses_worker.identity.source import CredentialSource
from rq_ses_worker.ses.credentials import Credentials, CredentialsUnavailable
from rq_ses_worker.settings.worker import load_worker_settings
from support.servers.standin import Answer, Asked, StandIn

SECRET = "secret/of+the/tests/0123456789abcdefghij"
TOKEN = "IQoJb3JpZ2luX2VjEOf//////////wExampleOfTheTests=="
KEYS = f"aws_access_key_id = {{}}\naws_secret_access_key = {SECRET}\n"
ROLE = "arn:aws:iam::123456789012:role/mailer"
EXPIRATION = (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")


def source() -> CredentialSource:
    return load_worker_settings().credentials()


def ours() -> Credentials:
    return source().current()


def theirs() -> Credentials:
    """What botocore's chain finds."""
    found = botocore.session.Session().get_credentials().get_frozen_credentials()
    return Credentials(found.access_key, found.secret_key, found.token or None)


def unavailable() -> CredentialsUnavailable:
    with pytest.raises(CredentialsUnavailable) as caught:
        ours()
    assert SECRET not in str(caught.value)
    assert TOKEN not in str(caught.value)
    return caught.value


def role_answer(key_id: str = "ASIAROLE") -> dict[str, str]:
    return {
        "Code": "Success",
        "Type": "AWS-HMAC",
        "AccessKeyId": key_id,
        "SecretAccessKey": SECRET,
        "Token": TOKEN,
        "Expiration": EXPIRATION,
    }


def sts_answer(action: str, key_id: str = "ASIASTS", expiration: str = EXPIRATION) -> str:
    return f"""<{action}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><{action}Result>
      <AssumedRoleUser><Arn>{ROLE}/x</Arn><AssumedRoleId>AROA:x</AssumedRoleId></AssumedRoleUser>
      <Credentials><AccessKeyId>{key_id}</AccessKeyId><SecretAccessKey>{SECRET}</SecretAccessKey>
      <SessionToken>{TOKEN}</SessionToken><Expiration>{expiration}</Expiration></Credentials>
      </{action}Result><ResponseMetadata><RequestId>r</RequestId></ResponseMetadata></{action}Response>"""


def sts(asked: Asked) -> Answer:
    """Answer as STS; the key says which credentials signed, if any."""
    action = parse_qs(asked.body.decode())["Action"][0]
    signer = asked.headers.get("authorization", "=WEB/").split("=", 1)[1].split("/")[0]
    return 200, sts_answer(action, f"ASIABY{signer}")


def instance(place: StandIn, role: str = "mailer") -> None:
    path = "/latest/meta-data/iam/security-credentials/"

    def authorized(answer: Any) -> Any:
        return lambda asked: answer if asked.headers.get("x-aws-ec2-metadata-token") == "t-1" else (401, "")

    place.routes["PUT /latest/api/token"] = (200, "t-1")
    place.routes[f"GET {path}"] = authorized((200, f"{role}\n" if role == "mailer" else role))
    place.routes[f"GET {path}{role}"] = authorized((200, role_answer("ASIAEC2")))
