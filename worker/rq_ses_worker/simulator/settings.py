"""Everything a simulator can be told, each declared once: name, variables, default, bounds, help.

The command's options, their environment variables, the defaults of `Options` and its checks come from here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

PREFIX: Final = "RQ_SES_SIMULATOR_"
AWS: Final = "AWS_"

ErrorShape = Literal["header", "body", "alternate"]
EventForm = Literal["event", "notification", "both"]
EventSignature = Literal["1", "2"]

DEFAULT_ACCESS_KEY_ID: Final = "AKIDSIMULATOR"
DEFAULT_SECRET_ACCESS_KEY: Final = "simulator-secret"  # noqa: S105
"""Not a secret: it opens nothing but a simulator that was started without credentials of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One setting: `--name` on the command line, RQ_SES_SIMULATOR_NAME in the environment.

    `aws` are variables of AWS's that count where its own isn't set. `least` and `most` bound a number and are
    allowed themselves. A repeatable one is a list, in the environment separated by spaces.
    """

    name: str
    help: str
    kind: type[str] | type[int] | type[float] | type[bool] = str
    default: Any = None
    least: int | None = None
    most: int | None = None
    choices: tuple[str, ...] = ()
    repeatable: bool = False
    metavar: str | None = None
    aws: tuple[str, ...] = ()

    @property
    def option(self) -> str:
        """Its name on the command line."""
        return "--" + self.name.replace("_", "-")

    @property
    def variable(self) -> str:
        """Its own environment variable."""
        return PREFIX + self.name.upper()

    @property
    def variables(self) -> tuple[str, ...]:
        """All environment variables that set it; the first that isn't empty counts."""
        return (self.variable, *self.aws)

    def check(self, value: Any) -> None:
        """Raise ValueError when it can't have this value, TypeError for one text in place of a list."""
        if self.repeatable:
            if isinstance(value, str):
                raise TypeError(f"{self.name}: {value!r} is one text: give a list of them")
        elif self.choices:
            if value not in self.choices:
                raise ValueError(f"{self.name}: {value!r} is none of {', '.join(self.choices)}")
        elif self.kind is str and not value and value is not self.default:
            raise ValueError(f"{self.name}: must not be empty")
        elif self.least is not None and not (math.isfinite(value) and value >= self.least):
            wrong = f"less than {self.least}" if self.least else "not a number from 0 upwards"
            raise ValueError(f"{self.name}: {value} is {wrong}")
        elif self.most is not None and value > self.most:
            raise ValueError(f"{self.name}: {value} is more than {self.most}")


HOST: Final = Setting(
    name="host",
    default="127.0.0.1",
    help="Address to listen on, e.g. --host ::1. Beyond loopback, anybody who reaches it can use it.",
)
PORT: Final = Setting(
    name="port",
    kind=int,
    default=4579,
    least=0,
    most=65535,
    help="Port; 0 takes any free one and prints it, e.g. --port 0.",
)
ALLOW_HOST: Final = Setting(
    name="allow_host",
    repeatable=True,
    metavar="NAME",
    help="Serve the page and the records to other machines, too, under this name or a loopback name, "
    "repeatable (in the environment: separated by spaces), e.g. --host 0.0.0.0 --allow-host simulator. "
    "Whoever reaches the port can then read the mails.",
)
ACCESS_KEY_ID: Final = Setting(
    name="access_key_id",
    metavar="ID",
    aws=("AWS_ACCESS_KEY_ID",),
    help=f"Access key it knows, e.g. --access-key-id AKIDTEST.  [default: {DEFAULT_ACCESS_KEY_ID}]",
)
SECRET_ACCESS_KEY: Final = Setting(
    name="secret_access_key",
    metavar="SECRET",
    aws=("AWS_SECRET_ACCESS_KEY",),
    help="The key's secret, better from the environment, e.g. AWS_SECRET_ACCESS_KEY=test rq-ses simulator."
    f"  [default: {DEFAULT_SECRET_ACCESS_KEY}]",
)
SESSION_TOKEN: Final = Setting(
    name="session_token",
    metavar="TOKEN",
    aws=("AWS_SESSION_TOKEN",),
    help="Token that must come with the key, e.g. AWS_SESSION_TOKEN=token rq-ses simulator.  [default: none]",
)
REGION: Final = Setting(
    name="region",
    default="us-east-1",
    aws=("AWS_REGION", "AWS_DEFAULT_REGION"),
    help="Region that requests must be signed for, e.g. --region eu-west-1.",
)
SKEW: Final = Setting(
    name="skew",
    kind=float,
    default=300.0,
    least=0,
    metavar="SECONDS",
    help="How far the time of a signature may be off, e.g. --skew 900.",
)
CLOCK_OFFSET: Final = Setting(
    name="clock_offset",
    kind=float,
    default=0.0,
    metavar="SECONDS",
    help="Let its clock be ahead (or behind, below 0), e.g. --clock-offset 3600.",
)
ERROR_SHAPE: Final = Setting(
    name="error_shape",
    default="alternate",
    choices=get_args(ErrorShape),
    help="Where an error's name stands: in x-amzn-ErrorType, in the body, or by turns, "
    "e.g. --error-shape header.",
)
SANDBOX: Final = Setting(
    name="sandbox",
    kind=bool,
    default=False,
    help="Refuse senders and recipients that aren't verified, e.g. --sandbox --verified example.com.",
)
VERIFIED: Final = Setting(
    name="verified",
    default=(),
    repeatable=True,
    metavar="IDENTITY",
    help="Verified address or domain with its subdomains, repeatable (in the environment: separated by "
    "spaces), e.g. --verified example.com. Without --sandbox only senders are checked.",
)
RATE: Final = Setting(
    name="rate",
    kind=float,
    default=0.0,
    least=0,
    metavar="N",
    help="Recipients a second it accepts, 0 for all, e.g. --rate 14.",
)
QUOTA: Final = Setting(
    name="quota",
    kind=int,
    default=0,
    least=0,
    metavar="N",
    help="Recipients it accepts in 24 hours, 0 for all, e.g. --quota 200.",
)
KEEP: Final = Setting(
    name="keep",
    kind=int,
    default=10_000,
    least=1,
    metavar="N",
    help="Requests and mails it remembers, e.g. --keep 100000.",
)
EVENTS: Final = Setting(
    name="events",
    default=(),
    repeatable=True,
    metavar="URL",
    help="Post SES's events about each mail here, as SNS does, repeatable (in the environment: separated by "
    "spaces), e.g. --events http://127.0.0.1:8000/ses/events.",
)
EVENTS_FORM: Final = Setting(
    name="events_form",
    default="event",
    choices=get_args(EventForm),
    help="As a configuration set publishes events, or as an identity is notified (of bounces, complaints and "
    "deliveries alone, without tags), e.g. --events-form both.",
)
EVENTS_SIGNATURE: Final = Setting(
    name="events_signature",
    default="1",
    choices=get_args(EventSignature),
    help="Version of SNS's signature: 1 is SHA1, 2 SHA256, e.g. --events-signature 2.",
)
EVENTS_REPEAT: Final = Setting(
    name="events_repeat",
    kind=int,
    default=0,
    least=0,
    most=100,
    metavar="N",
    help="How often each event comes again, with the same id, e.g. --events-repeat 1.",
)
EVENTS_SHUFFLE: Final = Setting(
    name="events_shuffle",
    kind=bool,
    default=False,
    help="Post events in disorder, within half a second, e.g. --events-shuffle --events-repeat 1.",
)
EVENTS_RAW: Final = Setting(
    name="events_raw",
    kind=bool,
    default=False,
    help="Post events alone, without SNS's envelope and so unsigned, as raw message delivery does, "
    "e.g. --events-raw.",
)
EVENTS_SUBSCRIBED: Final = Setting(
    name="events_subscribed",
    kind=bool,
    default=False,
    help="The targets are subscribed already: no SubscriptionConfirmation comes before the first event, "
    "e.g. --events-subscribed.",
)
EVENTS_CERTIFICATE: Final = Setting(
    name="events_certificate",
    metavar="FILE",
    help="Write the certificate of the events' signatures to this file, which is named as in its URL, "
    "e.g. --events-certificate /tmp/SimpleNotificationService-0a.pem.  [default: none]",
)
LOG: Final = Setting(
    name="log",
    kind=bool,
    default=False,
    help="One line on stderr for each request, e.g. --log 2>requests.log.",
)

_EVENTS: Final = (
    EVENTS, EVENTS_FORM, EVENTS_SIGNATURE, EVENTS_REPEAT, EVENTS_SHUFFLE, EVENTS_RAW, EVENTS_SUBSCRIBED,
    EVENTS_CERTIFICATE,
)  # fmt: skip
ACCOUNT: Final = (REGION, SKEW, CLOCK_OFFSET, ERROR_SHAPE, SANDBOX, VERIFIED, RATE, QUOTA, KEEP, *_EVENTS)
"""Those of the simulated account: what `Options` holds beside the credentials."""

SETTINGS: Final = (HOST, PORT, ALLOW_HOST, ACCESS_KEY_ID, SECRET_ACCESS_KEY, SESSION_TOKEN, *ACCOUNT, LOG)
"""All of them, in the order in which they are shown."""
