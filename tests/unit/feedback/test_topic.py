"""Which addresses can be SNS's own: those of the topic's partition and region, spelled as SNS does."""

from __future__ import annotations

import pytest

from rq_ses.aws.regions import PARTITIONS
from rq_ses.feedback.topic import ElsewhereError, Topic, read_topics

ARN = "arn:aws:sns:us-east-1:123456789012:ses-events"
NAME = "SimpleNotificationService-0123456789abcdef0123456789abcdef.pem"
TOPIC = Topic.read(ARN)


@pytest.mark.parametrize(
    ("partition", "region", "suffix"),
    [
        ("aws", "eu-central-1", "amazonaws.com"),
        ("aws", "eu-central-1", "api.aws"),
        ("aws-cn", "cn-north-1", "amazonaws.com.cn"),
        ("aws-eusc", "eusc-de-east-1", "amazonaws.eu"),
        ("aws-us-gov", "us-gov-west-1", "amazonaws.com"),
        ("aws-iso", "us-iso-east-1", "c2s.ic.gov"),
        ("aws", "xy-newest-7", "amazonaws.com"),
    ],
)
def test_a_certificate_is_at_the_sns_of_the_topics_partition(
    partition: str, region: str, suffix: str
) -> None:
    assert partition in {one.name for one in PARTITIONS}
    topic = Topic.read(f"arn:{partition}:sns:{region}:123456789012:t")
    assert topic.certificate(f"https://sns.{region}.{suffix}/{NAME}") == NAME


@pytest.mark.parametrize(
    "url",
    [
        f"http://sns.us-east-1.amazonaws.com/{NAME}",
        f"https://sns.us-east-2.amazonaws.com/{NAME}",
        f"https://sns.us-east-1.amazonaws.com.cn/{NAME}",
        f"https://sns.us-east-1.amazonaws.com.evil.example/{NAME}",
        f"https://sns.us-east-1.amazonaws.com:444/{NAME}",
        f"https://sns.us-east-1.amazonaws.com@evil.example/{NAME}",
        f"https://evil.example/sns.us-east-1.amazonaws.com/{NAME}",
        f"https://bucket.s3.us-east-1.amazonaws.com/{NAME}",
        f"https://sns.us-east-1.amazonaws.com/x/{NAME}",
        f"https://sns.us-east-1.amazonaws.com/../{NAME}",
        f"https://sns.us-east-1.amazonaws.com/{NAME}?x",
        f"https://sns.us-east-1.amazonaws.com/{NAME}\n",
        "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-xyz.pem",
        "https://sns.us-east-1.amazonaws.com/",
        "file:///etc/passwd",
        "",
    ],
)
def test_a_certificate_elsewhere_is_nobodys(url: str) -> None:
    with pytest.raises(ElsewhereError):
        TOPIC.certificate(url)


QUERY = "Action=ConfirmSubscription&TopicArn=arn%3Aaws%3Asns%3Aus-east-1%3A123456789012%3Ases-events&Token=t"


def test_a_confirmation_is_asked_of_the_topics_own_sns() -> None:
    TOPIC.check_confirmation(f"https://sns.us-east-1.amazonaws.com/?{QUERY}")


@pytest.mark.parametrize(
    "url",
    [
        f"http://sns.us-east-1.amazonaws.com/?{QUERY}",
        f"https://sns.eu-west-1.amazonaws.com/?{QUERY}",
        f"https://user@sns.us-east-1.amazonaws.com/?{QUERY}",
        f"https://sns.us-east-1.amazonaws.com:8443/?{QUERY}",
        f"https://169.254.169.254/?{QUERY}",
        f"https://sns.us-east-1.amazonaws.com/x?{QUERY}",
        "https://sns.us-east-1.amazonaws.com/?" + QUERY.replace("ConfirmSubscription", "DeleteTopic"),
        "https://sns.us-east-1.amazonaws.com/?" + QUERY.replace("ses-events", "other"),
        f"https://sns.us-east-1.amazonaws.com/?{QUERY}&Action=DeleteTopic",
        f"https://sns.us-east-1.amazonaws.com/?{QUERY}';touch x;'",
        f"https://sns.us-east-1.amazonaws.com/?{QUERY}\n",
        "https://sns.us-east-1.amazonaws.com/",
        "https://[/",
    ],
)
def test_nothing_else_is_asked_for_a_confirmation(url: str) -> None:
    with pytest.raises(ElsewhereError):
        TOPIC.check_confirmation(url)


def test_a_list_of_topics_is_read_and_what_is_none_is_named() -> None:
    assert list(read_topics(f" {ARN} ,, {ARN}2")) == [ARN, f"{ARN}2"]


@pytest.mark.parametrize(
    "wrong",
    [
        "ses-events",
        "arn:aws:sqs:us-east-1:123456789012:q",
        "arn:aws:sns:cn-north-1:123456789012:t",
        "arn:aws-zz:sns:us-east-1:123456789012:t",
        "arn:aws:sns:us-east-1:1:t",
    ],
)
def test_what_is_no_topic_is_named(wrong: str) -> None:
    with pytest.raises(ValueError, match=r"is not the ARN of a topic: give one such as arn:aws:sns:"):
        read_topics(wrong)
