"""Settings: read from the environment when a command or an app builds them, never at import.

`load_producer_settings` names every bad setting at once, by its environment variable, passwords masked.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Final, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field, PrivateAttr, SecretStr, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, EnvSettingsSource, SettingsConfigDict
from redis import ConnectionPool, RedisError

from rq_ses import contract
from rq_ses.contract import YEARS
from rq_ses.errors import SettingsError
from rq_ses.server.connection import connect, is_sentinel_url
from rq_ses.server.redisurl import FORMS, check_redis_url, masked
from rq_ses.settings import declared
from rq_ses.settings.config import Config, read_config
from rq_ses.settings.declared import PREFIX
from rq_ses.settings.together import ENVIRONMENT, OPTIONS, Together, judge
from rq_ses.text.invalid import shown
from rq_ses.text.plaintext import one_line

CONFIG_VARIABLE: Final = f"{PREFIX}CONFIG"

_NOT_SHOWN: Final = (SecretStr, SecretStr | None)


def _redis_url(url: str) -> str:
    check_redis_url(url)
    try:
        # Made, never connected: so redis-py itself tells what it doesn't understand.
        if is_sentinel_url(url):
            pool = connect(url, socket_timeout=1, connect_timeout=1).connection_pool
        else:
            pool = ConnectionPool.from_url(url)
        pool.make_connection()
    except (ValueError, TypeError, RedisError):
        # Not chained: the cause may repeat a password.
        raise ValueError(f"{shown(masked(url), 150)} is nothing redis-py can use: write {FORMS}") from None
    return url


def _number(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError(f"{value} is not a number: give a number")  # noqa: TRY004 - pydantic needs ValueError
    return value


Number = BeforeValidator(_number)
"""Keeps True and False, which Python takes for 1 and 0, from being numbers."""


class ProducerSettings(BaseSettings):
    """What an app needs to enqueue mails; each setting is read from RQ_SES_ and its name in capitals.

    Built directly, it reads the environment alone: `load_producer_settings` and `Outbox.from_env` read the
    TOML file, too, refuse what is no setting, and put problems into words. Raises pydantic.ValidationError.

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

    groups: ClassVar[tuple[Together, ...]] = ()

    _origins: dict[str, str] = PrivateAttr(default_factory=dict)
    _unused: tuple[str, ...] = PrivateAttr(default=())

    def origin(self, name: str) -> str:
        """Return where a setting comes from: "the environment", "the file PATH"; "" if that isn't known."""
        return self._origins.get(name, "")

    @property
    def unused(self) -> tuple[str, ...]:
        """What was set and isn't used, since the group it belongs to comes from another place."""
        return self._unused

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
    kind: type[_Settings],
    overrides: Mapping[str, Any],
    *,
    path: str | None,
    whole_file: bool,
    more: Mapping[str, Any] | None = None,
) -> _Settings:
    """Return settings of a `kind`: overrides, else the environment, else the values of a file, else defaults.

    Args:
        kind: the class of settings.
        overrides: values by field; None stands for none.
        path: of the file; else RQ_SES_CONFIG names it, or there is none.
        whole_file: whether everything in it must be known.
        more: what else it says, by field, where not the whole of it is read.

    Raises:
        SettingsError: with a line for each problem, those of the file included.
    """
    declared.check_environment(os.environ)
    file = path or os.environ.get(CONFIG_VARIABLE) or ""
    others = None if whole_file else declared.fields
    found = read_config(file, os.environ, kind.model_fields, others=others) if file else Config()
    found.values |= {name: value for name, value in (more or {}).items() if value is not None}
    options = {name: value for name, value in overrides.items() if value is not None}
    environment = {declared.field_of(kind, name): value for name, value in EnvSettingsSource(kind)().items()}
    alike = {
        name for name, value in found.values.items() if name in environment and environment[name] == value
    }
    in_file = f"the file {file}"
    given = {
        OPTIONS: options,
        ENVIRONMENT: environment.keys(),
        in_file: found.values.keys() | found.problems.keys(),
    }
    origins = {name: place for place in reversed(given) for name in given[place]}
    groups = judge(kind, getattr(kind, "groups", ()), given, unreadable=found.problems, alike=alike)
    origins |= groups.places
    values = {
        name: found.values[name]
        for name, place in origins.items()
        if place == in_file and name in found.values
    }
    values |= {name: options[name] for name, place in origins.items() if place == OPTIONS}
    # So that they aren't taken from the environment.
    values |= {name: None for name, place in groups.places.items() if not place}
    problems: dict[str, list[str]] = {name: [one_line(text, 400)] for name, text in found.problems.items()}
    for name, text in groups.problems.items():
        problems.setdefault(name, []).append(one_line(text, 400))
    try:
        settings = kind(**values)
    except ValidationError as exc:
        for error in exc.errors(include_url=False):
            name = declared.field_of(kind, str(error["loc"][0]) if error["loc"] else "")
            if error["type"] == "missing" and not found.problems.keys().isdisjoint((name, "config")):
                continue
            place = {OPTIONS: " (an option)", in_file: f" (in {file})"}.get(origins.get(name, ""), "")
            # One of the whole names its settings itself.
            title = f"{declared.title(kind, name)}: " if error["loc"] else ""
            line = f"{title}{_problem(kind, name, error)}{place}"
            problems.setdefault(name, []).append(one_line(line, 400))
    if problems:
        order = list(kind.model_fields)
        named = sorted(problems, key=lambda name: order.index(name) if name in order else -1)
        # Outside the except clause, so that it isn't chained: a ValidationError holds the secrets.
        raise SettingsError([line for name in named for line in problems[name]])
    if isinstance(settings, ProducerSettings):
        settings._origins = {name: place for name, place in origins.items() if place}
        settings._unused = groups.unused
    return settings


def _problem(kind: type[BaseSettings], name: str, error: ErrorDetails) -> str:
    if error["type"] == "value_error":
        return str(error["ctx"]["error"])
    field = kind.model_fields.get(name)
    if field is None:
        return "is not a setting: look for a misspelling"
    if error["type"] == "missing":
        others = "".join(f" or {variable}" for variable in declared.variables(name, field)[1:])
        return f"is not set: set it{others}, or give it in the file that {PREFIX}CONFIG names"
    hidden = field.annotation in _NOT_SHOWN or not field.repr
    value = f"a value of type {type(error['input']).__name__}" if hidden else shown(error["input"])
    return f"{value} cannot be used: {error['msg'].replace('Input should be', 'it must be')}"
