"""`rq-ses simulator`: the SES stand-in as a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import os
import signal
import time
from collections.abc import Callable
from typing import Any, Final, TypeVar

import click
from click.core import ParameterSource

from rq_ses.text.plaintext import one_line
from rq_ses_worker.simulator.options import DEFAULT_CREDENTIAL, Credential, Options
from rq_ses_worker.simulator.records.inbox import Request
from rq_ses_worker.simulator.service import Service
from rq_ses_worker.simulator.settings import AWS, PREFIX, SETTINGS, Setting
from rq_ses_worker.simulator.web.access import host_name, is_loopback

_Command = TypeVar("_Command", bound=Callable[..., Any])

EXIT_OK: Final = 0
EXIT_CANNOT_LISTEN: Final = 3
EXIT_EXTRA_MISSING: Final = 4

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
  bounce.jan@faults.example     accepted, then told to have bounced (also
                                softbounce, complaint, delay, virus)

\b
SES's events about these mails and those to AWS's own test addresses, such as
bounce@simulator.amazonses.com, signed as SNS signs them:
  rq-ses simulator --events http://127.0.0.1:8000/events --events-signature 2

\b
What it saw: open http://127.0.0.1:4579/ in a browser; or as JSON, for this
machine alone:
  curl http://127.0.0.1:4579/_simulator/requests    (or /mails, /stats)
  curl -X DELETE http://127.0.0.1:4579/_simulator   (forget everything)

\b
Exit codes: 0 stopped by a signal, 2 wrong options, 3 the address can't be
had, the certificate not be written, or an RQ_SES_ variable is no setting,
4 aiohttp or cryptography isn't installed.
"""


def _with_options(command: _Command) -> _Command:
    """Give a command an option for each setting."""
    for setting in reversed(SETTINGS):
        command = click.option(
            setting.option,
            type=_type(setting),
            is_flag=setting.kind is bool,
            multiple=setting.repeatable,
            default=None if setting.repeatable else setting.default,
            show_default=setting.default is not None and setting.kind is not bool and not setting.repeatable,
            metavar=setting.metavar,
            envvar=list(setting.variables),
            show_envvar=True,
            help=setting.help,
        )(command)
    return command


def _type(setting: Setting) -> Any:
    if setting.choices:
        return click.Choice(setting.choices)
    if setting.least is not None:
        kind = click.IntRange if setting.kind is int else click.FloatRange
        return kind(setting.least, setting.most)
    return setting.kind


@click.command(epilog=_EPILOG)
@_with_options
@click.pass_context
def simulator(
    ctx: click.Context,
    /,
    host: str,
    port: int,
    allow_host: tuple[str, ...],
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
        allowed = [host_name(name) for name in allow_host]
    except ValueError as exc:
        raise click.UsageError(str(exc)) from exc
    _check_extra(ctx)
    service = Service(options, on_request=_log if log else None)
    _write_certificate(ctx, service)
    try:
        asyncio.run(_serve(service, host, port, allowed))
    except OSError as exc:
        reason = exc.strerror or exc
        click.echo(f"Can't listen on {host} port {port}: {reason}. Try --port 0 for any free one.", err=True)
        ctx.exit(EXIT_CANNOT_LISTEN)
    ctx.exit(EXIT_OK)


def _check_extra(ctx: click.Context) -> None:
    for module in ("aiohttp", "cryptography"):
        if importlib.util.find_spec(module) is None:
            click.echo(f"The simulator needs {module}: pip install 'rq-ses[simulator]'", err=True)
            ctx.exit(EXIT_EXTRA_MISSING)


def _write_certificate(ctx: click.Context, service: Service) -> None:
    try:
        service.publisher.topic.write_certificate()
    except OSError as exc:
        reason = exc.strerror or exc
        click.echo(
            f"Can't write {service.options.events_certificate}: {reason}. Name another file.", err=True
        )
        ctx.exit(EXIT_CANNOT_LISTEN)


def _credential(ctx: click.Context, key: str | None, secret: str | None, token: str | None) -> Credential:
    """Return the pair to know; what a shell may have left over is not joined to it.

    The secret is better given by the environment than by an option, so the key may come from another place.
    But a token goes with a secret from its own place alone.
    """
    of_key, of_secret, of_token = (
        _place(ctx, name) for name in ("access_key_id", "secret_access_key", "session_token")
    )
    if key is None and secret is None:
        if token and of_token != AWS:
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
    return PREFIX if os.environ.get(f"{PREFIX}{name.upper()}") else AWS


async def _serve(service: Service, host: str, port: int, allowed: list[str]) -> None:
    from rq_ses_worker.simulator.listener import Listener  # aiohttp is an extra

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
