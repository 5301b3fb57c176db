"""Topics of SNS, and which addresses can be those of the SNS that has them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final, Self
from urllib.parse import parse_qs, urlsplit

from rq_ses.aws.regions import PARTITIONS, partition_of
from rq_ses.text.invalid import shown

_ARN: Final = re.compile(
    r"arn:(?P<partition>aws[a-z-]{0,20}):sns:(?P<region>[a-z]{2,8}(?:-[a-z0-9]{1,12}){2,3}):[0-9]{12}"
    r":[A-Za-z0-9_-]{1,256}(?:\.fifo)?"
)
CERTIFICATE_NAME: Final = r"SimpleNotificationService-[0-9A-Fa-f]{1,64}\.pem"
_CERTIFICATE: Final = re.compile(rf"https://(?P<host>[a-z0-9.-]+)/(?P<name>{CERTIFICATE_NAME})")
_INERT: Final = re.compile(r"[A-Za-z0-9_.~:/?&=%+-]+")
"""What an address consists of that means nothing to a shell, in which somebody may have to confirm by it."""


class ElsewhereError(ValueError):
    """Raised when an address isn't one of the SNS that has the topic."""


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic by its ARN.

    `hosts` are the names that SNS has in its region: those under a suffix of its own partition alone.
    """

    arn: str
    hosts: frozenset[str] = field(compare=False, repr=False)

    @classmethod
    def read(cls, arn: str) -> Self:
        """Return the topic of an ARN. Raises ValueError if it is none, or of a partition that isn't known."""
        match = _ARN.fullmatch(arn)
        partition = partition_of(match["region"]) if match else None
        if match is None or partition is None or partition.name != match["partition"]:
            known = ", ".join(one.name for one in PARTITIONS)
            raise ValueError(
                f"{shown(arn, 200)} is not the ARN of a topic: give one such as "
                f"arn:aws:sns:us-east-1:123456789012:ses-events, of {known}"
            )
        suffixes = (partition.suffix, partition.dualstack_suffix)
        return cls(arn, frozenset(f"sns.{match['region']}.{suffix}" for suffix in suffixes))

    def certificate(self, url: str) -> str:
        """Return the name of the certificate's file that an address leads to.

        Raises:
            ElsewhereError: it isn't SNS's own in the topic's region.
        """
        match = _CERTIFICATE.fullmatch(url)
        if not match or match["host"] not in self.hosts:
            raise ElsewhereError("the certificate isn't at SNS's own address in the topic's region")
        return match["name"]

    def check_confirmation(self, url: str) -> None:
        """Raise ElsewhereError unless a GET of the address does nothing but confirm this topic.

        It holds no character then that means anything between quotes.
        """
        if not _INERT.fullmatch(url):
            raise ElsewhereError("the SubscribeURL holds characters that none of SNS's has")
        try:
            parts = urlsplit(url)
            asked = parse_qs(parts.query, strict_parsing=True)
        except ValueError:
            raise ElsewhereError("the SubscribeURL can't be read") from None
        if parts.scheme != "https" or parts.netloc not in self.hosts or parts.path not in ("", "/"):
            raise ElsewhereError("the SubscribeURL isn't at SNS's own address in the topic's region")
        if asked.get("Action") != ["ConfirmSubscription"] or asked.get("TopicArn") != [self.arn]:
            raise ElsewhereError("the SubscribeURL does something else than confirm this topic")


def read_topics(text: str) -> dict[str, Topic]:
    """Return the topics of a list whose separators are commas, by their ARNs. Raises ValueError."""
    return {one: Topic.read(one) for part in text.split(",") if (one := part.strip())}
