"""Redis's URL is read without the rest of the settings only where the rest can't be wrong."""

from __future__ import annotations

import pytest

from rq_ses.settings.declared import describe
from rq_ses.settings.onlyurl import DEFAULT_URL, only_url
from rq_ses.settings.producer import ProducerSettings, load_producer_settings

URL = "redis://there:1/2"


@pytest.mark.parametrize(
    ("option", "environment", "expected"),
    [
        (None, {}, DEFAULT_URL),
        (None, {"RQ_SES_REDIS_URL": ""}, DEFAULT_URL),
        (None, {"RQ_SES_REDIS_URL": URL}, URL),
        (None, {"rq_ses_redis_url": URL, "RQ_SES_CONCURRENCY": "x"}, URL),
        (URL, {"RQ_SES_REDIS_URL": "redis://here"}, URL),
        ("", {"RQ_SES_REDIS_URL": URL}, ""),
        (None, {"RQ_SES_QUEUE": "news"}, DEFAULT_URL),
        (None, {"RQ_SES_QUEUE": "-"}, None),
        (URL, {"RQ_SES_CONFIG": "x.toml"}, None),
        (URL, {"rq_ses_config": "x.toml"}, None),
    ],
)
def test_it_is_the_options_else_the_environments_else_the_default(
    option: str | None, environment: dict[str, str], expected: str | None
) -> None:
    assert only_url(option, environment) == expected


def test_any_other_setting_of_a_producer_is_to_be_read() -> None:
    others = {variable for setting in describe(ProducerSettings) for variable in setting.variables}
    for variable in others - {"RQ_SES_REDIS_URL", "RQ_SES_QUEUE"}:
        assert only_url(URL, {variable: "1"}) is None


@pytest.mark.usefixtures("no_settings")
def test_the_default_is_the_settings_own() -> None:
    assert load_producer_settings().redis_url == DEFAULT_URL
