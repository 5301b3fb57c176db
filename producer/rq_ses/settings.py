"""Settings: read from the environment when a command or an app builds them, never at import.

`load_producer_settings` names every bad setting at once, by its environment variable, passwords masked.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, TypeVar

from pydantic import AfterValidator, AliasChoices, BeforeValidator, Field, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, EnvSettingsSource, SettingsConfigDict
from redis import ConnectionPool, RedisError

from rq_ses import contract
from rq_ses.config import Config, read_config
from rq_ses.contract import YEARS
from rq_ses.errors import SettingsError
from rq_ses.invalid import shown
from rq_ses.plaintext import one_line
from rq_ses.server import connect, is_sentinel_url

PREFIX: Final = "RQ_SES_"
CONFIG_VARIABLE: Final = f"{PREFIX}CONFIG"

_SERVER: Final = re.compile(
    r"(?:rediss?://(?:[^\x00-\x20\x7f/?#]+(?:/\d*)?|/\d+)|unix://[^\x00-\x20\x7f?#]+)(?:\?[!-~]*)?"
)
_USERINFO: Final = re.compile(r"^([A-Za-z+]+://)?.*@", re.DOTALL)
_PASSWORD: Final = re.compile(r"(password=)[^&]*", re.IGNORECASE)
_NO_PORT: Final = re.compile(r":(?!//)(?!\d{1,5}(?:[/?]|$))[^/?]*")
_NOT_SHOWN: Final = (SecretStr, SecretStr | None)


def masked(url: str) -> str:
    """Return a server's URL with all that may be a password hidden."""
    return _NO_PORT.sub(":***", _PASSWORD.sub(r"\1***", _USERINFO.sub(r"\1***@", url)))


def _redis_url(url: str) -> str:
    if not _usable(url):
        raise ValueError(
            f"{shown(masked(url), 200)} is not the URL of a Redis server: "
            "use redis://host:port/db, rediss://host:port/db, unix:///path "
            "or redis+sentinel://host1:port,host2:port/service/db"
        )
    return url


def _usable(url: str) -> bool:
    sentinels = is_sentinel_url(url)
    if not sentinels and not _SERVER.fullmatch(url):
        return False
    try:
        # Made, never connected: so redis-py itself tells what it doesn't understand.
        if sentinels:
            pool = connect(url, socket_timeout=1, connect_timeout=1).connection_pool
        else:
            pool = ConnectionPool.from_url(url)
        pool.make_connection()
    except (ValueError, TypeError, RedisError):
        return False
    # RQ needs bytes.
    return not pool.connection_kwargs.get("decode_responses")


def _number(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError(f"{value} is not a number: give a number")  # noqa: TRY004 - pydantic needs ValueError
    return value


Number = BeforeValidator(_number)
"""Keeps True and False, which Python takes for 1 and 0, from being numbers."""


class ProducerSettings(BaseSettings):
    """What an app needs to enqueue mails; each setting is read from RQ_SES_ and its name in capitals.

    Raises pydantic.ValidationError; `load_producer_settings` puts its problems into words.

    Attributes:
        redis_url (str): Redis server: redis://, rediss://, unix://, or redis+sentinel://.
        queue (str): RQ queue of the mails.
        result_ttl (int): seconds for which the receipt of a sent mail is kept.
        failure_ttl (int): seconds for which a failed mail is kept.
        enqueue_timeout (float): seconds for which enqueueing is tried again while Redis is away.
        durable_replicas (int): replicas that must hold a mail sent with durable=True.
        durable_timeout (float): seconds for which durable=True waits for the disk, and for the replicas.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_file=None,
        env_ignore_empty=True,
        populate_by_name=True,
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
    )

    redis_url: Annotated[str, AfterValidator(_redis_url)] = Field(
        "redis://127.0.0.1:6379/0",
        repr=False,
        description="Redis server: redis://, rediss://, unix://, or redis+sentinel://.",
    )
    queue: Annotated[str, AfterValidator(contract.checked_queue)] = Field(
        contract.DEFAULT_QUEUE, description="RQ queue of the mails."
    )
    result_ttl: Annotated[int, Number] = Field(
        contract.RESULT_TTL,
        ge=1,
        le=YEARS,
        description="Seconds for which the receipt of a sent mail is kept.",
    )
    failure_ttl: Annotated[int, Number] = Field(
        contract.FAILURE_TTL, ge=1, le=YEARS, description="Seconds for which a failed mail is kept."
    )
    enqueue_timeout: Annotated[float, Number] = Field(
        2.0,
        gt=0,
        le=3600,
        allow_inf_nan=False,
        description="Seconds for which enqueueing is tried again while Redis is away.",
    )
    durable_replicas: Annotated[int, Number] = Field(
        0, ge=0, le=100, description="Replicas that must hold a mail sent with durable=True."
    )
    durable_timeout: Annotated[float, Number] = Field(
        5.0,
        gt=0,
        le=3600,
        allow_inf_nan=False,
        description="Seconds for which durable=True waits for the disk, and for the replicas.",
    )


_Settings = TypeVar("_Settings", bound=BaseSettings)


def load_producer_settings(*, config: str | None = None, **overrides: Any) -> ProducerSettings:
    """Return the settings: `overrides` by their names (None is none), else the environment, else the file.

    The file is `config`, or what RQ_SES_CONFIG names. Raises SettingsError with a line for each problem.
    """
    return load_settings(ProducerSettings, overrides, path=config, whole_file=False)


def load_settings(
    kind: type[_Settings], overrides: Mapping[str, Any], *, path: str | None, whole_file: bool
) -> _Settings:
    """Return settings of a `kind`: overrides, else the environment, else the values of a file, else defaults.

    Args:
        kind: the class of settings.
        overrides: values by field; None stands for none.
        path: of the file; else RQ_SES_CONFIG names it, or there is none.
        whole_file: whether everything in it must be known.

    Raises:
        SettingsError: with a line for each problem, those of the file included.
    """
    file = path or os.environ.get(CONFIG_VARIABLE) or ""
    found = read_config(file, os.environ, kind.model_fields, whole=whole_file) if file else Config()
    file_values = found.values
    file_problems = {name: one_line(text, 400) for name, text in found.problems.items()}
    options = {name: value for name, value in overrides.items() if value is not None}
    environment = {_field(kind, name) for name in EnvSettingsSource(kind)()}
    from_file = {
        name: value for name, value in file_values.items() if name not in environment | options.keys()
    }
    problems: dict[str, list[str]] = {name: [text] for name, text in file_problems.items()}
    try:
        settings = kind(**{**from_file, **options})
    except ValidationError as exc:
        for error in exc.errors(include_url=False):
            name = _field(kind, str(error["loc"][0]) if error["loc"] else "")
            if error["type"] == "missing" and not file_problems.keys().isdisjoint((name, "config")):
                continue
            origin = " (an option)" if name in options else f" (in {file})" if name in from_file else ""
            line = f"{_title(kind, name)}: {_problem(kind, name, error)}{origin}"
            problems.setdefault(name, []).append(one_line(line, 400))
    if problems:
        order = list(kind.model_fields)
        named = sorted(problems, key=lambda name: order.index(name) if name in order else -1)
        # Outside the except clause, so that it isn't chained: a ValidationError holds the secrets.
        raise SettingsError([line for name in named for line in problems[name]])
    return settings


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting as documentation lists it; of its environment `variables` the first that is set counts."""

    name: str
    variables: tuple[str, ...]
    required: bool
    default: Any
    meaning: str


def describe(kind: type[BaseSettings]) -> tuple[Setting, ...]:
    """Return all settings of a class, in order."""
    return tuple(
        Setting(
            name,
            _variables(name, field),
            field.is_required(),
            None if field.is_required() else field.default,
            field.description or "",
        )
        for name, field in kind.model_fields.items()
    )


def _variables(name: str, field: FieldInfo) -> tuple[str, ...]:
    alias = field.validation_alias
    if isinstance(alias, AliasChoices):
        return tuple(str(choice) for choice in alias.choices)
    return (str(alias) if alias else f"{PREFIX}{name.upper()}",)


def _field(kind: type[BaseSettings], key: str) -> str:
    """Return the field that a validation error or the environment names by an alias."""
    for name, field in kind.model_fields.items():
        if key == name or key in _variables(name, field):
            return name
    return key


def _title(kind: type[BaseSettings], name: str) -> str:
    field = kind.model_fields.get(name)
    return _variables(name, field)[0] if field else name


def _problem(kind: type[BaseSettings], name: str, error: ErrorDetails) -> str:
    field = kind.model_fields.get(name)
    if field is None:
        return "is not a setting: look for a misspelling"
    if error["type"] == "value_error":
        return str(error["ctx"]["error"])
    if error["type"] == "missing":
        others = "".join(f" or {variable}" for variable in _variables(name, field)[1:])
        return f"is not set: set it{others}, or give it in the file that {PREFIX}CONFIG names"
    hidden = field.annotation in _NOT_SHOWN or not field.repr
    value = f"a value of type {type(error['input']).__name__}" if hidden else shown(error["input"])
    return f"{value} cannot be used: {error['msg'].replace('Input should be', 'it must be')}"
