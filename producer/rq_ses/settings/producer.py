"""The settings of an app that sends, which every command reads, too."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, BeforeValidator
from redis import ConnectionPool, RedisError

from rq_ses import contract
from rq_ses.contract import YEARS
from rq_ses.keys import Keys
from rq_ses.partition import read_partitions
from rq_ses.server.clusterowner import is_cluster_url
from rq_ses.server.connection import connect, is_sentinel_url
from rq_ses.server.redisurl import FORMS, check_redis_url, masked
from rq_ses.settings.base import Settings
from rq_ses.settings.loading import load_settings
from rq_ses.settings.onlyurl import DEFAULT_URL
from rq_ses.settings.setting import Count, Real, setting
from rq_ses.text.invalid import shown


def _redis_url(url: str) -> str:
    check_redis_url(url)
    try:
        # Made, never connected: so redis-py itself tells what it doesn't understand.
        if is_sentinel_url(url) or is_cluster_url(url):
            pool = connect(url, socket_timeout=1, connect_timeout=1).connection_pool
        else:
            pool = ConnectionPool.from_url(url)
        pool.make_connection()
    except (ValueError, TypeError, RedisError):
        # Not chained: the cause may repeat a password.
        raise ValueError(f"{shown(masked(url), 150)} is nothing redis-py can use: write {FORMS}") from None
    return url


def _in_text(given: Any) -> Any:
    """Return the list that a TOML file may hold as the environment would have it."""
    if not isinstance(given, list | tuple):
        return given
    try:
        return ",".join(read_partitions(given, Keys.default().prefix))
    except TypeError as exc:
        raise ValueError(str(exc)) from None


def _partitions(text: str) -> str:
    return ",".join(read_partitions(text, Keys.default().prefix))


def _tracing(wanted: bool) -> bool:
    if wanted:
        from rq_ses.tracing.spans import is_installed  # here, for few want it

        if not is_installed():
            raise ValueError("needs OpenTelemetry's API: pip install 'rq-ses[otel]'")
    return wanted


class ProducerSettings(Settings):
    """What an app needs to enqueue mails; each setting is read from RQ_SES_ and its name in capitals.

    Built directly, it reads the environment alone: `load_producer_settings` and `Outbox.from_env` read the
    TOML file, too, refuse what is no setting, and put problems into words. Raises pydantic.ValidationError.

    Attributes:
        redis_url (str): Redis server: redis://, rediss://, unix://, redis+sentinel://, or redis+cluster://.
        queue (str): RQ queue of the mails.
        partitions (str): Prefixes of the queue's partitions, as in {mail0},{mail1}; else none.
        result_ttl (int): Seconds for which the receipt of a sent mail is kept.
        failure_ttl (int): Seconds for which a failed mail is kept.
        enqueue_timeout (float): Seconds for which enqueueing is tried again while Redis is away. Of the calls
            after one in vain, one every 5 s does; the others fail fast.
        durable_replicas (int): Replicas that must hold a mail sent with durable=True, beside the disk.
        durable_timeout (float): Seconds for which durable=True waits for the disk, and for the replicas.
        tracing (bool): Make spans of OpenTelemetry for what is sent; needs the extra otel.
    """

    readers: ClassVar[str] = "all"

    redis_url: Annotated[str, AfterValidator(_redis_url)] = setting(
        DEFAULT_URL,
        "Redis server: redis://, rediss://, unix://, [redis+sentinel://](redis.md#failover-with-sentinels), "
        "or [redis+cluster://](how-to/cluster.md).",
        option="--redis-url URL",
        shown=False,
    )
    queue: Annotated[str, AfterValidator(contract.checked_queue)] = setting(
        contract.DEFAULT_QUEUE, "RQ queue of the mails.", option="--queue NAME"
    )
    partitions: Annotated[str, BeforeValidator(_in_text), AfterValidator(_partitions)] = setting(
        "",
        "Prefixes of the queue's [partitions](how-to/partitions.md), as in `{mail0},{mail1}`; else none.",
    )
    result_ttl: Count = setting(
        contract.RESULT_TTL,
        "Seconds for which the receipt of a sent mail is kept.",
        at_least=1,
        at_most=YEARS,
    )
    failure_ttl: Count = setting(
        contract.FAILURE_TTL, "Seconds for which a failed mail is kept.", at_least=1, at_most=YEARS
    )
    enqueue_timeout: Real = setting(
        2.0,
        "Seconds for which enqueueing is tried again while Redis is away. Of the calls after one in vain, "
        "one every 5 s does; the others fail fast.",
        above=0,
        at_most=3600,
    )
    durable_replicas: Count = setting(
        0,
        "Replicas that must hold a mail sent with `durable=True`, beside the disk "
        "([more](redis.md#durabletrue)).",
        at_least=0,
        at_most=100,
    )
    durable_timeout: Real = setting(
        5.0,
        "Seconds for which `durable=True` waits for the disk, and for the replicas.",
        above=0,
        at_most=3600,
    )
    tracing: Annotated[bool, AfterValidator(_tracing)] = setting(
        False,
        "Make spans of OpenTelemetry for what is sent ([more](how-to/tracing.md)); needs the extra `otel`.",
    )


def load_producer_settings(*, config: str | None = None, **overrides: Any) -> ProducerSettings:
    """Return the settings: `overrides` by their names (None is none), else the environment, else the file.

    The file is `config`, or what RQ_SES_CONFIG names. Raises SettingsError with a line for each problem.
    """
    return load_settings(ProducerSettings, overrides, path=config, whole_file=False)
