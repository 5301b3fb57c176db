"""`rq-ses doctor`: find out what keeps mails from going out."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Annotated, Any, Final

import click
from pydantic import AfterValidator
from rich.progress import SpinnerColumn, TextColumn

from rq_ses.cli.terminal import output
from rq_ses.cli.terminal.console import console
from rq_ses.cli.terminal.exits import INCOMPLETE, OK, UNFIT, ends_with
from rq_ses.cli.terminal.options import setting_options
from rq_ses.cli.terminal.progress import progress
from rq_ses.message.address import bare, normalise
from rq_ses.settings.gate import GateSettings, region_setting
from rq_ses.settings.loading import load_settings
from rq_ses_worker.doctor.checkup import Wishes, examine
from rq_ses_worker.doctor.finding import Finding, Severity, worst
from rq_ses_worker.doctor.policy import policy
from rq_ses_worker.doctor.report import as_json, show
from rq_ses_worker.doctor.sender.resolver import DnsUnavailable, Resolver
from rq_ses_worker.ses.endpoint import Endpoint
from rq_ses_worker.settings.worker import WorkerSettings, load_worker_settings

EXITS: Final[dict[Severity, int]] = {"ok": OK, "info": OK, "warning": INCOMPLETE, "error": UNFIT}
"""The exit code that the gravest finding gives."""


class Sender(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.5
    """An address or a domain, as SES is asked for it."""

    name = "address"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            if "@" in value:
                return bare(normalise(value))
            return bare(normalise(f"postmaster@{value}")).rpartition("@")[2]
        except ValueError as exc:
            self.fail(str(exc), param, ctx)


def _account_id(_: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    if value is not None and not (len(value) == 12 and value.isascii() and value.isdigit()):
        raise click.BadParameter(f"{value!r:.40} is no AWS account: give its 12 digits", param=parameter)
    return value


def _nameserver(_: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    if value is not None:
        try:
            Resolver(value)
        except (ValueError, DnsUnavailable) as exc:
            raise click.BadParameter(str(exc), param=parameter) from exc
    return value


def _known_region(region: str) -> str:
    Endpoint(region)
    return region


class PolicySettings(GateSettings):
    """What a policy needs: no credentials."""

    aws_region: Annotated[str, AfterValidator(_known_region)] = region_setting(...)


@ends_with(
    {
        OK: "all is fine",
        INCOMPLETE: "there are warnings",
        UNFIT: "something keeps mails from being sent or kept",
    }
)
@click.command()
@click.option(
    "--from", "sender", type=Sender(), metavar="ADDRESS", help="Sender to look at: an address or a domain."
)
@click.option(
    "--to", "recipient", type=Sender(), metavar="ADDRESS", help="Recipient; matters in the sandbox."
)
@click.option("--json", "json_wanted", is_flag=True, help="Print one object of JSON.")
@click.option("--no-dns", is_flag=True, help="Leave DKIM, SPF and DMARC records out.")
@click.option(
    "--nameserver",
    callback=_nameserver,
    metavar="IP[:PORT]",
    help="Name server to ask for the records, such as the domain's own.",
)
@click.option(
    "--policy", "policy_wanted", is_flag=True, help="Print the least IAM policy, and check nothing."
)
@click.option(
    "--raw/--no-raw", default=None, help="With --policy: allow raw content (MIME), too, or don't [--raw]."
)
@click.option(
    "--account-id", callback=_account_id, metavar="ID", help="With --policy: the AWS account's 12 digits."
)
@click.option(
    "--configuration-set",
    metavar="NAME",
    help="The one that mails name: whether it publishes events; with --policy: allow such mails.",
)
@click.option(
    "--suppression",
    is_flag=True,
    help="With --policy: allow reading SES's suppression list, for `rq-ses suppression sync`.",
)
@setting_options(WorkerSettings, "redis_url", "queue", "config", "aws_region", "base_url", "allow_http")
@setting_options(WorkerSettings, "proxy", "ca_bundle", "account")
def doctor(
    *,
    sender: str | None,
    recipient: str | None,
    json_wanted: bool,
    no_dns: bool,
    nameserver: str | None,
    policy_wanted: bool,
    raw: bool | None,
    account_id: str | None,
    configuration_set: str | None,
    suppression: bool,
    **options: Any,
) -> None:
    """Look at all that must be right for mails to go out, and say what to do about what isn't.

    Run it where the worker runs, with the worker's settings: Redis, the workers and the breaker; credentials,
    signature, clock, TLS and the SES account; the sender's identity and its DKIM, SPF and DMARC records.
    Nothing is sent and nothing is changed; it ends within half a minute. No secret is printed.

    \b
    Examples:
      rq-ses doctor --from shop@example.com
      rq-ses doctor --from example.com --json | jq -r '.findings[].text'
      rq-ses doctor --policy --from shop@example.com --account-id 123456789012
    """
    if policy_wanted:
        granted = {"configuration_set": configuration_set, "suppression": suppression}
        _tell_policy(options, sender=sender, raw=raw is not False, account_id=account_id, **granted)
        sys.exit(OK)
    if raw is not None or account_id or suppression:
        raise click.UsageError("--raw, --account-id and --suppression go with --policy")
    settings = load_worker_settings(**options)
    wishes = Wishes(sender, recipient, not no_dns, nameserver, configuration_set)
    findings = _examined(settings, wishes)
    if json_wanted:
        output.echo(as_json(findings))
    else:
        show(findings, console())
    sys.exit(EXITS[worst(findings)])


def _tell_policy(options: Mapping[str, Any], **terms: Any) -> None:
    """Print the least policy for the region that the options, or the settings beneath them, name."""
    found = {name: options[name] for name in ("aws_region", "config")}
    region = load_settings(PolicySettings, found, path=options["config"], whole_file=False).aws_region
    output.echo(json.dumps(policy(region, **terms), indent=2))


def _examined(settings: WorkerSettings, wishes: Wishes) -> list[Finding]:
    with progress(SpinnerColumn(), TextColumn("looking at {task.fields[groups]}")) as bar:
        task = bar.add_task("looking at", total=None, groups="")
        return examine(settings, wishes, tell=lambda groups: bar.update(task, groups=groups))
