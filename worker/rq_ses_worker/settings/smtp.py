"""The settings of the SMTP ingress: where it listens, whom it serves, and how much it takes."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Self

from pydantic import AfterValidator, BeforeValidator, model_validator

from rq_ses.settings.loading import CONFIG, load_settings
from rq_ses.settings.producer import ProducerSettings
from rq_ses.settings.setting import Count, setting
from rq_ses.text.invalid import shown
from rq_ses_worker.monitoring.listening import Listening, read_listening
from rq_ses_worker.settings.durability import PREFLIGHT, Preflight
from rq_ses_worker.settings.observability import ObservabilitySettings

Network = IPv4Network | IPv6Network

MOST_BYTES: Final = 31_450_000
"""What base64 makes of so many, and of a Received header, are the 40 MB that SES takes."""

_LOOPBACK: Final = "127.0.0.0/8,::1/128"
_NONE: Final = "none"


def _in_text(given: Any) -> Any:
    """Return the list that a TOML file may hold as the environment would have it."""
    if isinstance(given, list | tuple) and all(isinstance(one, str) for one in given):
        return ",".join(given)
    return given


def _listen(text: str) -> str:
    read_listening(text)
    return text


def _file(path: str) -> str:
    try:
        with Path(path).open("rb"):
            return path
    except OSError as exc:
        raise ValueError(f"{shown(path)} can't be read: {exc.strerror}") from exc


def read_networks(text: str) -> tuple[Network, ...]:
    """Return the networks of a list such as `10.0.0.0/8, ::1`; `none` is none. Raises ValueError."""
    return tuple(_network(one) for one in parts(text)) if text.strip() != _NONE else ()


def _network(text: str) -> Network:
    try:
        network = ip_network(text)
    except ValueError:
        raise ValueError(f"{shown(text)} is no network: give {_meant(text)}") from None
    if not network.prefixlen:
        raise ValueError(f"{network} is everybody: an open relay; name the networks of your own machines")
    return network


def _meant(text: str) -> str:
    """Return the network of an address within one, which is what was meant; else what may be given."""
    try:
        meant = ip_network(text, strict=False)
        if meant.prefixlen:
            return str(meant)
    except ValueError:
        pass
    return f"addresses or networks such as 10.1.0.0/16, or {_NONE}"


def _networks(text: str) -> str:
    read_networks(text)
    return text


def parts(text: str) -> tuple[str, ...]:
    """Return the parts of a list whose separators are commas."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def read_senders(text: str) -> frozenset[str]:
    """Return the addresses and domains of a list, in small letters. Raises ValueError."""
    found = frozenset(one.lower() for one in parts(text))
    for one in found:
        if "." not in one.rpartition("@")[2] or one.startswith("@") or any(map(str.isspace, one)):
            raise ValueError(f"{shown(one)} is neither an address nor a domain: give alerts@example.com")
    return found


def _senders(text: str) -> str:
    read_senders(text)
    return text


class SmtpSettings(ObservabilitySettings, ProducerSettings):
    """What the SMTP ingress goes by, beside what every producer does. Raises pydantic.ValidationError."""

    readers: ClassVar[str] = "`smtp`"

    smtp_listen: Annotated[str, AfterValidator(_listen)] = setting(
        "127.0.0.1:2525",
        "Where [the SMTP ingress](how-to/smtp.md) listens: `HOST:PORT`, or a port of loopback.",
        option="--listen HOST:PORT",
    )
    smtp_users: Annotated[str, AfterValidator(_file)] | None = setting(
        None,
        "File of those who may log in, with hashes of their passwords ([its form](how-to/smtp.md#users)).",
        option="--users FILE",
    )
    smtp_networks: Annotated[str, BeforeValidator(_in_text), AfterValidator(_networks)] = setting(
        _LOOPBACK,
        "Networks whose clients needn't log in, or `none`.",
        option="--networks LIST",
    )
    smtp_senders: Annotated[str, BeforeValidator(_in_text), AfterValidator(_senders)] = setting(
        "",
        "Addresses and domains that mails may be from, as in `example.com,alerts@example.org`; else any.",
        option="--senders LIST",
    )
    smtp_certificate: Annotated[str, AfterValidator(_file)] | None = setting(
        None,
        "PEM file of the certificate, and of those between it and its root: switches STARTTLS on.",
        option="--certificate FILE",
    )
    smtp_key: Annotated[str, AfterValidator(_file)] | None = setting(
        None, "PEM file of the certificate's key, if that stands in a file of its own.", option="--key FILE"
    )
    smtp_max_size: Count = setting(
        MOST_BYTES,
        "Bytes of a mail at most.",
        at_least=1000,
        at_most=MOST_BYTES,
        option="--max-size N",
    )
    smtp_max_recipients: Count = setting(
        1000,
        "Recipients of a mail at most; beyond 50 it becomes several jobs.",
        at_least=1,
        at_most=10_000,
        option="--max-recipients N",
    )
    smtp_rate: Count = setting(
        0,
        "Recipients a minute that a user, or a client who needn't log in, may write to; 0 is any number.",
        at_least=0,
        at_most=1_000_000,
        option="--rate N",
    )
    smtp_connections: Count = setting(
        200,
        "Clients at a time.",
        at_least=1,
        at_most=10_000,
        option="--connections N",
    )
    smtp_durable: bool = setting(
        False,
        "Answer 250 only when the disk, and `RQ_SES_DURABLE_REPLICAS`, have the mail, too.",
        option="--durable",
    )
    preflight: Preflight = PREFLIGHT
    config: str | None = CONFIG

    @property
    def listening(self) -> Listening:
        """Where it listens."""
        return read_listening(self.smtp_listen)

    @property
    def networks(self) -> tuple[Network, ...]:
        """Whose clients needn't log in."""
        return read_networks(self.smtp_networks)

    @property
    def senders(self) -> frozenset[str]:
        """Addresses and domains that mails may be from; none stands for all."""
        return read_senders(self.smtp_senders)

    @model_validator(mode="after")
    def _check_who_may_send(self) -> Self:
        if self.smtp_key and not self.smtp_certificate:
            raise ValueError("RQ_SES_SMTP_KEY: is set, but RQ_SES_SMTP_CERTIFICATE is not: set both")
        if not self.networks and not self.smtp_users:
            raise ValueError(
                "RQ_SES_SMTP_NETWORKS: names none, and RQ_SES_SMTP_USERS is not set, so nobody may send: "
                "set either"
            )
        if is_loopback_host(self.listening.host):
            return self
        if any(not network.is_loopback for network in self.networks):
            return self
        where = f"RQ_SES_SMTP_LISTEN: {self.listening} is reached from other machines, but "
        if not self.smtp_users:
            raise ValueError(
                f"{where}nobody there may send: set RQ_SES_SMTP_USERS, or name their networks in "
                "RQ_SES_SMTP_NETWORKS"
            )
        if not self.smtp_certificate:
            raise ValueError(
                f"{where}who logs in there needs STARTTLS: set RQ_SES_SMTP_CERTIFICATE, or name networks "
                "whose clients needn't log in in RQ_SES_SMTP_NETWORKS"
            )
        return self


def is_loopback_host(host: str) -> bool:
    """Tell whether only this machine reaches what listens there."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def load_smtp_settings(**overrides: Any) -> SmtpSettings:
    """Return the settings: `overrides`, else the environment, else the file. Raises SettingsError."""
    return load_settings(SmtpSettings, overrides, path=overrides.get("config"), whole_file=False)
