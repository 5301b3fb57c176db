"""The settings of `rq-ses feedback`: where SNS's messages come from, and with what right a queue is read."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, Self

from pydantic import AfterValidator, model_validator

from rq_ses.feedback.settings import FeedbackSettings
from rq_ses.settings.loading import CONFIG, load_settings
from rq_ses.settings.setting import Count, setting
from rq_ses.text.invalid import shown
from rq_ses_worker.monitoring.listening import Listening, read_listening
from rq_ses_worker.settings.observability import ObservabilitySettings
from rq_ses_worker.settings.ses import SesSettings

if TYPE_CHECKING:
    from rq_ses_worker.ses.wire.route import Route


_REGION: Final = re.compile(r"(?:^|\.)sqs(?:-fips)?\.(?P<region>[a-z]{2,}(?:-[a-z0-9]+)+-[0-9]{1,2})\.")
_OLD: Final = re.compile(r"^(?P<region>[a-z]{2,}(?:-[a-z0-9]+)+-[0-9]{1,2})\.queue\.")
_PATH: Final = re.compile(r"/[0-9]{12}/[A-Za-z0-9_-]{1,80}(?:\.fifo)?")


@dataclass(frozen=True, slots=True)
class SqsQueue:
    """A queue of SQS: its URL, that of its server, and the region that the URL names ("" if none)."""

    url: str
    server: str
    region: str

    @classmethod
    def read(cls, url: str) -> Self:
        """Return the queue of a URL as the console shows it, or as an endpoint of one's own has it.

        Raises:
            ValueError: it is none; the text says what to give.
        """
        from rq_ses_worker.ses.wire.url import secure_url

        parsed = secure_url("the queue's URL", url)
        if not _PATH.fullmatch(parsed.path or ""):
            raise ValueError(
                f"{shown(url, 200)} is not the URL of a queue: give one such as "
                "https://sqs.us-east-1.amazonaws.com/123456789012/ses-events"
            )
        host = parsed.host or ""
        found = _REGION.search(host) or _OLD.search(host)
        return cls(url, parsed._replace(path="/").url, found["region"] if found else "")


def _bind(text: str) -> str:
    read_listening(text)
    return text


def _queue_url(url: str) -> str:
    SqsQueue.read(url)
    return url


class FeedbackCommandSettings(ObservabilitySettings, FeedbackSettings):
    """What `rq-ses feedback` goes by. Raises pydantic.ValidationError."""

    readers: ClassVar[str] = "`feedback`"

    feedback_bind: Annotated[str, AfterValidator(_bind)] | None = setting(
        None,
        "Where SNS's messages are taken over HTTP: `HOST:PORT`, or a port of loopback.",
        option="--bind HOST:PORT",
    )
    feedback_queue_url: Annotated[str, AfterValidator(_queue_url)] | None = setting(
        None,
        "URL of the queue of SQS out of which they are taken, instead or as well.",
        option="--queue-url URL",
    )
    feedback_raw: bool = setting(
        False,
        "Take events without SNS's envelope out of the queue, too: its policy alone says who may write.",
        option="--raw",
    )
    feedback_threads: Count = setting(
        4,
        "Messages that are taken at a time.",
        at_least=1,
        at_most=64,
        option="--threads N",
    )

    @property
    def listening(self) -> Listening | None:
        """Where it listens, if it does."""
        return read_listening(self.feedback_bind) if self.feedback_bind else None

    @property
    def sqs_queue(self) -> SqsQueue | None:
        """The queue that is read, if one is."""
        return SqsQueue.read(self.feedback_queue_url) if self.feedback_queue_url else None

    @model_validator(mode="after")
    def _check_a_source(self) -> Self:
        if not self.feedback_bind and not self.feedback_queue_url:
            raise ValueError(
                "RQ_SES_FEEDBACK_BIND: is not set, and RQ_SES_FEEDBACK_QUEUE_URL neither: "
                "set where SNS's messages come from"
            )
        if self.feedback_raw and not self.feedback_queue_url:
            raise ValueError(
                "RQ_SES_FEEDBACK_RAW: is set, but RQ_SES_FEEDBACK_QUEUE_URL is not: "
                "over HTTP nothing says who sent a message without its envelope"
            )
        return self


class QueueSettings(SesSettings):
    """With what right, and by which way, a queue of SQS is read. Raises pydantic.ValidationError."""

    config: str | None = CONFIG

    @property
    def route(self) -> Route:
        """The way to SQS."""
        return self._route()


def load_feedback_command_settings(**overrides: Any) -> FeedbackCommandSettings:
    """Return the settings: `overrides`, else the environment, else the file. Raises SettingsError."""
    return load_settings(FeedbackCommandSettings, overrides, path=overrides.get("config"), whole_file=False)


def load_queue_settings(config: str | None, region: str) -> QueueSettings:
    """Return those of a queue whose URL names a region, "" if it names none. Raises SettingsError."""
    given = {"aws_region": region or None}
    return load_settings(QueueSettings, given, path=config, whole_file=False)
