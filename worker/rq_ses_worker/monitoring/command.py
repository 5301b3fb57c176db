"""`rq-ses health`: what a container's health check calls, in images that have no curl.

It is called every few seconds for as long as a container runs, mostly beside a worker that is busy: so what
it needs in another case alone is imported in that case.
"""

from __future__ import annotations

import os
import socket
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import click

from rq_ses.cli.terminal import output
from rq_ses.cli.terminal.deferred import DeferredOption
from rq_ses.cli.terminal.exits import INCOMPLETE, OK, UNAVAILABLE, ends_with
from rq_ses.settings.onlyurl import only_url
from rq_ses.text.plaintext import one_line
from rq_ses_worker.monitoring.plainredis import NotPlain, PlainRedis
from rq_ses_worker.monitoring.registered import age, registered

if TYPE_CHECKING:
    from redis import Redis

SILENT: Final = 30.0
"""Seconds without a heartbeat after which a worker isn't healthy; a living one beats every ten."""

_TIMEOUT: Final = 3.0


@ends_with({OK: "healthy", INCOMPLETE: "not (stderr says why)", UNAVAILABLE: ""})
@click.command()
@click.option("--http", "url", metavar="URL", help="Ask this address instead: healthy is what answers 200.")
@click.option("--host", metavar="NAME", help="Host whose workers are looked for [this one].")
@click.option("--redis-url", "redis_url", metavar="URL", cls=DeferredOption)
@click.option("--config", "config", metavar="FILE", cls=DeferredOption)
def health(*, url: str | None, host: str | None, redis_url: str | None, config: str | None) -> None:
    """Tell whether a worker of this host is alive: registered, and its last heartbeat at most 30 s old.

    If the queue has partitions (RQ_SES_PARTITIONS), whether one is alive in each.

    \b
    Examples:
      rq-ses health
      rq-ses health --http http://127.0.0.1:4579/
    """
    if url is not None:
        _end(_trouble_at(url))
    here = host or socket.gethostname()
    only = only_url(redis_url, os.environ) if config is None else None
    try:
        trouble = _trouble_at_once(only, here)
    except NotPlain:
        trouble = _trouble(config, redis_url, here)
    _end(trouble)


def _trouble_at_once(url: str | None, host: str) -> str:
    """Return why no worker of `host` is alive, as `worker_trouble` does. Raises NotPlain."""
    if url is None:
        raise NotPlain
    with PlainRedis(url) as redis:
        return worker_trouble(redis, host, now=datetime.now(UTC))


def _trouble(config: str | None, redis_url: str | None, host: str) -> str:
    """Return the same, whatever the settings say, and end the program in words where that can't be told."""
    from rq_ses.cli.terminal.redis_errors import reaching_redis
    from rq_ses.keys import keys_of
    from rq_ses.server.location import Location
    from rq_ses.server.partitions import Partitions
    from rq_ses.settings.producer import load_producer_settings

    settings = load_producer_settings(config=config, redis_url=redis_url)
    server = Location(settings.redis_url, None)
    connected = Partitions.at(server, settings.partitions, socket_timeout=_TIMEOUT, connect_timeout=_TIMEOUT)
    with reaching_redis(), connected as partitions:
        for redis in partitions:
            with partitions.naming(redis):
                trouble = worker_trouble(redis, host, now=datetime.now(UTC))
            if trouble:
                where = f"partition {keys_of(redis).prefix}: " if partitions.prefixes else ""
                return f"{where}{trouble}"
    return ""


def worker_trouble(connection: Redis | PlainRedis, host: str, *, now: datetime) -> str:
    """Return why no worker of `host` is alive, "" if one is. Only read. Raises RedisError."""
    found = registered(connection, ("hostname", "last_heartbeat", "death"))
    beats = [
        age(worker["last_heartbeat"], now)
        for _, worker in found
        if worker["hostname"] == host and not worker["death"]
    ]
    if not beats:
        name = one_line(host, 100)
        return f"no worker of host {name} is registered: start `rq-ses worker`, or name another by --host"
    youngest = min(beats)
    return "" if youngest <= SILENT else f"the last heartbeat is {youngest:.0f} s old"


def _trouble_at(url: str) -> str:
    if not url.startswith(("http://", "https://")):
        raise click.UsageError(f"--http: {url!r} is no URL: write one like http://127.0.0.1:4579/")
    import http.client
    import urllib.error
    import urllib.request

    # No proxy from the environment: what is asked is this container.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=_TIMEOUT) as answer:
            return "" if answer.status == 200 else f"{url} answers {answer.status}"
    except urllib.error.HTTPError as exc:
        return f"{url} answers {exc.code}"
    except (OSError, ValueError, http.client.HTTPException) as exc:
        return f"{url} does not answer: {one_line(str(exc), 200)}"


def _end(trouble: str) -> None:
    if trouble:
        output.echo(f"Error: {trouble}", err=True)
    sys.exit(INCOMPLETE if trouble else OK)
