"""The IAM policy that the doctor prints."""

from __future__ import annotations

import pytest

from rq_ses_worker.doctor.policy import policy


def test_the_policy_allows_sending_from_the_sender_and_asking_for_the_rate_alone() -> None:
    assert policy("eu-west-1", sender="shop@example.com", account_id="123456789012", raw=False) == {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "Send",
                "Effect": "Allow",
                "Action": ["ses:SendEmail"],
                "Resource": [
                    "arn:aws:ses:eu-west-1:123456789012:identity/example.com",
                    "arn:aws:ses:eu-west-1:123456789012:identity/shop@example.com",
                ],
            },
            {"Sid": "SendRate", "Effect": "Allow", "Action": ["ses:GetAccount"], "Resource": "*"},
        ],
    }


@pytest.mark.parametrize(
    ("region", "partition"),
    [("us-east-1", "aws"), ("us-gov-west-1", "aws-us-gov"), ("cn-north-1", "aws-cn")],
)
def test_an_arn_stands_in_its_regions_partition_and_raw_content_is_an_action_of_its_own(
    region: str, partition: str
) -> None:
    [send, _, events] = policy(region, configuration_set="news")["Statement"]
    assert send["Action"] == ["ses:SendEmail", "ses:SendRawEmail"]
    assert send["Resource"] == [
        f"arn:{partition}:ses:{region}:ACCOUNT-ID:identity/example.com",
        f"arn:{partition}:ses:{region}:ACCOUNT-ID:configuration-set/news",
    ]
    assert events["Action"] == ["ses:GetConfigurationSetEventDestinations"]
    assert events["Resource"] == [f"arn:{partition}:ses:{region}:ACCOUNT-ID:configuration-set/news"]


def test_reading_the_suppression_list_is_allowed_where_it_is_wanted() -> None:
    assert policy("us-east-1", suppression=True)["Statement"][-1] == {
        "Sid": "SuppressionList",
        "Effect": "Allow",
        "Action": ["ses:ListSuppressedDestinations"],
        "Resource": "*",
    }
