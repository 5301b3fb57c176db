"""`rq-ses simulator`: the SES stand-in as a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import os
import signal
import time
from typing import Any, Final, get_args

import click
from click.core import ParameterSource

from rq_ses.text.plaintext import one_line
from rq_ses_worker.simulator.options import (
    DEFAULT_ACCESS_KEY_ID,
    DEFAULT_CREDENTIAL,
    DEFAULT_KEEP,
    DEFAULT_REGION,
    DEFAULT_SECRET_ACCESS_KEY,
    DEFAULT_SKEW,
    Credential,
    ErrorShape,
    Options,
)
from rq_ses_worker.simulator.records.inbox import Request
from rq_ses_worker.simulator.service import Service
from rq_ses_worker.simulator.web.access import host_name, is_loopback

EXIT_OK: Final = 0
EXIT_USAGE: Final = 2
EXIT_CANNOT_LISTEN: Final = 3
EXIT_EXTRA_MISSING: Final = 4

_PREFIX: Final = "RQ_SES_SIMULATOR_"
_AWS: Final = "AWS_"
_OPTION: Final = "an option"
_LINE_LIMIT: Final = 400

_EPILOG: Final = """\
\b
Examples:
  rq-ses simulator
  rq-ses simulator --port 0 --rate 14 --quota 50000 --log
  rq-ses simulator --sandbox --verified example.com --verified a@example.net
  AWS_ACCESS_KEY_ID=AKID AWS_SECRET_ACCESS_KEY=secret \\
  rq-ses simulator --region eu-west-1

\b
Point a worker at it:
  RQ_SES_BASE_URL=http://127.0.0.1:4579 AWS_REGION=us-east-1 \\
  AWS_ACCESS_KEY_ID=AKIDSIMULATOR AWS_SECRET_ACCESS_KEY=simulator-secret \\
  rq-ses worker

\b
Recipients on faults.example script what happens to them:
  429x2.anna@faults.example     two 429s, then accepted
  503.ben@faults.example        one 503, then accepted
  429+503x2.carl@faults.example one 429, two 503s, then accepted
  html502.dora@faults.example   once a load balancer's page (html400 to 599)
  reject.eve@faults.example     refused, always (also paused, suspended)
  quota.fred@faults.example     refused, once: the day's quota (also throttle)
  slow-2.5.gina@faults.example  accepted at once, answered after 2.5 s
  drop.hugo@faults.example      accepted, then the connection is closed
  reset.ida@faults.example      not accepted, the connection is reset

\b
What it saw: open http://127.0.0.1:4579/ in a browser; or as JSON, for this
machine alone:
  curl http://127.0.0.1:4579/_simulator/requests    (or /mails, /stats)
  curl -X DELETE http://127.0.0.1:4579/_simulator   (forget everything)

\b
Exit codes: 0 stopped by a signal, 2 wrong options, 3 the address can't be
had, or an RQ_SES_ variable is no setting, 4 aiohttp isn't installed.
"""


@click.command(epilog=_EPILOG)
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    envvar=f"{_PREFIX}HOST",
    show_envvar=True,
    help="Address to listen on, e.g. --host ::1. Beyond loopback, anybody who reaches it can use it.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=4579,
    show_default=True,
    envvar=f"{_PREFIX}PORT",
    show_envvar=True,
    help="Port; 0 takes any free one and prints it, e.g. --port 0.",
)
@click.option(
    "--allow-host",
    "allow_hosts",
    multiple=True,
    metavar="NAME",
    envvar=f"{_PREFIX}ALLOW_HOST",
    show_envvar=True,
    help="Serve the page and the records to other machines, too, under this name or a loopback name, "
    "repeatable (in the environment: separated by spaces), e.g. --host 0.0.0.0 --allow-host simulator. "
    "Whoever reaches the port can then read the mails.",
)
@click.option(
    "--access-key-id",
    metavar="ID",
    envvar=[f"{_PREFIX}ACCESS_KEY_ID", "AWS_ACCESS_KEY_ID"],
    show_envvar=True,
    help=f"Access key it knows, e.g. --access-key-id AKIDTEST.  [default: {DEFAULT_ACCESS_KEY_ID}]",
)
@click.option(
    "--secret-access-key",
    metavar="SECRET",
    envvar=[f"{_PREFIX}SECRET_ACCESS_KEY", "AWS_SECRET_ACCESS_KEY"],
    show_envvar=True,
    help="The key's secret, better from the environment, e.g. AWS_SECRET_ACCESS_KEY=test rq-ses simulator."
    f"  [default: {DEFAULT_SECRET_ACCESS_KEY}]",
)
@click.option(
    "--session-token",
    metavar="TOKEN",
    envvar=[f"{_PREFIX}SESSION_TOKEN", "AWS_SESSION_TOKEN"],
    show_envvar=True,
    help="Token that must come with the key, e.g. AWS_SESSION_TOKEN=token rq-ses simulator.  [default: none]",
)
@click.option(
    "--region",
    default=DEFAULT_REGION,
    show_default=True,
    envvar=[f"{_PREFIX}REGION", "AWS_REGION", "AWS_DEFAULT_REGION"],
    show_envvar=True,
    help="Region that requests must be signed for, e.g. --region eu-west-1.",
)
@click.option(
    "--skew",
    type=click.FloatRange(0),
    metavar="SECONDS",
    default=DEFAULT_SKEW,
    show_default=True,
    envvar=f"{_PREFIX}SKEW",
    show_envvar=True,
    help="How far the time of a signature may be off, e.g. --skew 900.",
)
@click.option(
    "--clock-offset",
    type=float,
    metavar="SECONDS",
    default=0.0,
    show_default=True,
    envvar=f"{_PREFIX}CLOCK_OFFSET",
    show_envvar=True,
    help="Let its clock be ahead (or behind, below 0), e.g. --clock-offset 3600.",
)
@click.option(
    "--error-shape",
    type=click.Choice(get_args(ErrorShape)),
    default="alternate",
    show_default=True,
    envvar=f"{_PREFIX}ERROR_SHAPE",
    show_envvar=True,
    help="Where an error's name stands: in x-amzn-ErrorType, in the body, or by turns, "
    "e.g. --error-shape header.",
)
@click.option(
    "--sandbox",
    is_flag=True,
    envvar=f"{_PREFIX}SANDBOX",
    show_envvar=True,
    help="Refuse senders and recipients that aren't verified, e.g. --sandbox --verified example.com.",
)
@click.option(
    "--verified",
    multiple=True,
    metavar="IDENTITY",
    envvar=f"{_PREFIX}VERIFIED",
    show_envvar=True,
    help="Verified address or domain with its subdomains, repeatable (in the environment: separated by "
    "spaces), e.g. --verified example.com. Without --sandbox only senders are checked.",
)
@click.option(
    "--rate",
    type=click.FloatRange(0),
    metavar="N",
    default=0.0,
    show_default=True,
    envvar=f"{_PREFIX}RATE",
    show_envvar=True,
    help="Recipients a second it accepts, 0 for all, e.g. --rate 14.",
)
@click.option(
    "--quota",
    type=click.IntRange(0),
    metavar="N",
    default=0,
    show_default=True,
    envvar=f"{_PREFIX}QUOTA",
    show_envvar=True,
    help="Recipients it accepts in 24 hours, 0 for all, e.g. --quota 200.",
)
@click.option(
    "--keep",
    type=click.IntRange(1),
    metavar="N",
    default=DEFAULT_KEEP,
    show_default=True,
    envvar=f"{_PREFIX}KEEP",
    show_envvar=True,
    help="Requests and mails it remembers, e.g. --keep 100000.",
)
@click.option(
    "--log",
    is_flag=True,
    envvar=f"{_PREFIX}LOG",
    show_envvar=True,
    help="One line on stderr for each request, e.g. --log 2>requests.log.",
)
@click.pass_context
def simulator(
    ctx: click.Context,
    /,
    host: str,
    port: int,
    allow_hosts: tuple[str, ...],
    access_key_id: str | None,
    secret_access_key: str | None,
    session_token: str | None,
    log: bool,
    **account: Any,
) -> None:
    """Stand in for Amazon SES v2 on this machine.

    It recomputes every signature, checks requests as SES does, keeps to a rate and a quota, answers in SES's
    words and fails as recipients tell it to. Nothing is ever sent. The first line on stdout names its URL:
    "simulator listening on http://127.0.0.1:4579". A browser shows the mails there, and why a request was
    refused. SIGTERM or Ctrl-C stops it.
    """
    credential = _credential(ctx, access_key_id, secret_access_key, session_token)
    try:
        options = Options(credentials=(credential,), **account)
        allowed = [host_name(name) for name in allow_hosts]
    except ValueError as exc:
        raise click.UsageError(str(exc)) from exc
    if importlib.util.find_spec("aiohttp") is None:
        click.echo("The simulator needs aiohttp: pip install 'rq-ses[simulator]'", err=True)
        ctx.exit(EXIT_EXTRA_MISSING)
    service = Service(options, on_request=_log if log else None)
    try:
        asyncio.run(_serve(service, host, port, allowed))
    except OSError as exc:
        reason = exc.strerror or exc
        click.echo(f"Can't listen on {host} port {port}: {reason}. Try --port 0 for any free one.", err=True)
        ctx.exit(EXIT_CANNOT_LISTEN)
    ctx.exit(EXIT_OK)


def _credential(ctx: click.Context, key: str | None, secret: str | None, token: str | None) -> Credential:
    """Return the pair to know; what a shell may have left over is not joined to it.

    The secret is better given by the environment than by an option, so the key may come from another place.
    But a token goes with a secret from its own place alone.
    """
    of_key, of_secret, of_token = (
        _place(ctx, name) for name in ("access_key_id", "secret_access_key", "session_token")
    )
    if key is None and secret is None:
        if token and of_token != _AWS:
            raise click.UsageError("--session-token needs --access-key-id and --secret-access-key: give all")
        # A token left in the environment without its key pair belongs to something else.
        return DEFAULT_CREDENTIAL
    if not key or not secret:
        raise click.UsageError("--access-key-id and --secret-access-key go together: give both or neither")
    if of_key != of_secret and _OPTION not in (of_key, of_secret):
        raise click.UsageError(
            f"the key comes from {of_key}ACCESS_KEY_ID, the secret from {of_secret}SECRET_ACCESS_KEY: "
            "give both in the same way"
        )
    return Credential(key, secret, token if token and of_token in (_OPTION, of_secret) else None)


def _place(ctx: click.Context, name: str) -> str:
    """Return what gives an option: the command line, or the beginning of a variable."""
    if ctx.get_parameter_source(name) != ParameterSource.ENVIRONMENT:
        return _OPTION
    return _PREFIX if os.environ.get(f"{_PREFIX}{name.upper()}") else _AWS


async def _serve(service: Service, host: str, port: int, allowed: list[str]) -> None:
    from rq_ses_worker.simulator.server import Listener  # aiohttp is an extra

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    listener = Listener(service, host, port, allowed)
    await listener.start()
    try:
        click.echo(f"simulator listening on {listener.url}")
        if host != "localhost" and not is_loopback(host):
            use = "use this simulator and read its mails" if allowed else "use this simulator"
            click.echo(f"{host} is reachable from other machines, which can {use} too", err=True)
        await stop.wait()
    finally:
        await listener.stop()


def _log(request: Request) -> None:
    clock = time.strftime("%H:%M:%S", time.localtime(request.at)) + f".{int(request.at * 1000) % 1000:03d}"
    answer = "no answer" if request.status is None else str(request.status)
    words = [clock, request.method, request.path, answer, request.code or request.message_id or ""]
    if request.recipients:
        words += [f"attempt {request.attempt}", "to", ", ".join(request.recipients)]
    # Who read stderr may be gone; mails are accepted all the same.
    with contextlib.suppress(OSError):
        click.echo(one_line(" ".join(words), _LINE_LIMIT), err=True)
