"""Sending by the AWS SDK: one client for all threads of a process."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from functools import cache
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError


@cache
def _client() -> Any:
    return boto3.client(
        "sesv2",
        region_name="us-east-1",
        endpoint_url=os.environ["BENCH_SES_URL"],
        aws_access_key_id="AKIDOFTHETESTS",
        aws_secret_access_key="secret/of+the/tests/0123456789abcdefghij",
        config=Config(
            max_pool_connections=int(os.environ["BENCH_THREADS"]), retries={"total_max_attempts": 1}
        ),
    )


_making = threading.Lock()


def send(request: Mapping[str, Any]) -> int:
    """Send one mail and return the status of the answer."""
    with _making:  # or the first threads would make a client each
        client = _client()
    try:
        answer = client.send_email(**request)
    except ClientError as exc:
        return int(exc.response["ResponseMetadata"]["HTTPStatusCode"])
    return int(answer["ResponseMetadata"]["HTTPStatusCode"])
