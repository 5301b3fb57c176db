"""The settings of what takes SNS's messages: whose they are, how they are checked, how long they are kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, BeforeValidator

from rq_ses import contract
from rq_ses.contract import YEARS
from rq_ses.feedback.topic import Topic, read_topics
from rq_ses.server.location import Location
from rq_ses.settings.loading import CONFIG, load_settings
from rq_ses.settings.outcomes import OutcomeSettings
from rq_ses.settings.producer import ProducerSettings
from rq_ses.settings.setting import Count, setting

if TYPE_CHECKING:
    from rq_ses.feedback.receiver import Receiver
    from rq_ses.feedback.store import Store

# What needs the extra "feedback" is imported where it is used: these declarations are read without it.


def _in_text(given: Any) -> Any:
    """Return the list that a TOML file or an argument may hold as the environment would have it."""
    if isinstance(given, list | tuple) and all(isinstance(one, str) for one in given):
        return ",".join(given)
    return given


def _topics(text: str) -> str:
    topics = read_topics(text)
    if not topics:
        raise ValueError("names no topic: give the ARN of one")
    return ",".join(topics)


def _certificates(text: str) -> str:
    if files := _files(text):
        from rq_ses.feedback.certificates import Certificates

        Certificates(files)
    return text


def _files(text: str) -> list[str]:
    return [one for part in text.split(",") if (one := part.strip())]


class FeedbackSettings(OutcomeSettings, ProducerSettings):
    """What taking SNS's messages goes by, beside where Redis is. Raises pydantic.ValidationError."""

    feedback_topics: Annotated[str, BeforeValidator(_in_text), AfterValidator(_topics)] = setting(
        ...,
        "ARNs of the SNS topics by which [SES tells what became of mails](how-to/feedback.md), "
        "with a comma between two.",
        option="--topic ARN",
    )
    feedback_certificates: Annotated[str, BeforeValidator(_in_text), AfterValidator(_certificates)] = setting(
        "",
        "PEM files of SNS's certificates, named as in their addresses, with a comma between two; "
        "others are fetched.",
        option="--certificate FILE",
    )
    feedback_confirm: bool = setting(
        True,
        "Confirm subscriptions of these topics; else the log has what confirms them.",
    )
    feedback_ttl: Count = setting(
        contract.FEEDBACK_TTL,
        "Seconds for which a mail's events are kept, from the latest on.",
        at_least=3600,
        at_most=YEARS,
    )
    config: str | None = CONFIG

    @property
    def topics(self) -> dict[str, Topic]:
        """The topics by their ARNs."""
        return read_topics(self.feedback_topics)

    def store(self, connection: Any = None) -> Store:
        """Return where events go: by the URL, or where a client leads; nothing is connected yet."""
        from rq_ses.feedback.store import Store

        location = Location("", connection) if connection is not None else Location(self.redis_url, None)
        return Store.at(location, self.partitions, self.feedback_ttl, self.outcomes_kept)

    def receiver(self, store: Store, *, raw: bool = False) -> Receiver:
        """Return what takes messages and puts their events into a store."""
        from rq_ses.feedback.certificates import Certificates
        from rq_ses.feedback.receiver import Receiver

        certificates = Certificates(_files(self.feedback_certificates))
        return Receiver(self.topics, certificates, store, confirm=self.feedback_confirm, raw=raw)


def load_feedback_settings(**overrides: Any) -> FeedbackSettings:
    """Return the settings: `overrides`, else the environment, else the file. Raises SettingsError."""
    return load_settings(FeedbackSettings, overrides, path=overrides.get("config"), whole_file=False)
