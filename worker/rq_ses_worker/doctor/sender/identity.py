"""The sender, and in the sandbox the recipient: whether SES knows them as verified."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from rq_ses.hints import hint_for
from rq_ses_worker.doctor.account import denied, hint_of
from rq_ses_worker.doctor.finding import Finding, ok, variable
from rq_ses_worker.ses.account import AccountRefused, Identity
from rq_ses_worker.ses.outcome import Outcome, described, summary

Ask = Callable[[str], Identity | None]
"""SesClient.get_email_identity."""

Known = Identity | Outcome | None
"""What became of the question for an identity: found, refused, or none there."""

_SIMULATED: Final = "simulator.amazonses.com"
_PARENTS: Final = 3


def candidates(address: str) -> tuple[str, ...]:
    """Return the identities that may stand for an address, the most particular first.

    An address counts without its +label, a domain for its subdomains, too.
    https://docs.aws.amazon.com/ses/latest/dg/creating-identities.html
    """
    local, _, domain = address.rpartition("@")
    found = [address] if local else []
    # In quotes a + is a letter like any other.
    if local and not local.startswith('"'):
        found.append(f"{local.partition('+')[0]}@{domain}")
    labels = domain.split(".")
    found += [".".join(labels[place:]) for place in range(max(1, min(len(labels) - 1, _PARENTS)))]
    return tuple(dict.fromkeys(found))


def look_up(address: str, ask: Ask) -> Known:
    """Return the identity that stands for an address: a verified one if there is any."""
    unverified: Identity | None = None
    refusal: Outcome | None = None
    for name in candidates(address):
        try:
            identity = ask(name)
        except AccountRefused as exc:
            refusal = refusal or exc.outcome
            # A policy for the domain alone refuses the address.
            if denied(exc.outcome):
                continue
            break
        if identity and identity.verified_for_sending:
            return identity
        unverified = unverified or identity
    return unverified or refusal


def judged_sender(sender: str, known: Known, region: str) -> Iterator[Finding]:
    """Yield what is found about the sender's identity."""
    if isinstance(known, Identity):
        yield _verified("identity.sender", sender, known, region)
        yield from _dkim(known)
        yield from _mail_from(known)
    elif known is None:
        yield Finding(
            "identity.sender",
            "error",
            f"SES in {region} knows neither {sender} nor its domain: it refuses mails from there",
            f"verify the domain (or the address) in {region}, or set {variable('aws_region')} to where it is "
            "verified",
        )
    else:
        yield _unknown("identity.sender", sender, known)


def judged_recipient(recipient: str, known: Known, region: str) -> Iterator[Finding]:
    """Yield whether a recipient may be written to from the sandbox."""
    if recipient.lower().endswith(f"@{_SIMULATED}"):
        yield ok("identity.recipient", f"{recipient} is one of SES's own test addresses")
    elif isinstance(known, Identity):
        yield _verified("identity.recipient", recipient, known, region)
    elif known is None:
        yield Finding(
            "identity.recipient",
            "error",
            f"{recipient} is not verified in {region}, so the sandbox refuses mails to it",
            "request production access, or verify the recipient first",
        )
    else:
        yield _unknown("identity.recipient", recipient, known)


def _verified(id_: str, address: str, identity: Identity, region: str) -> Finding:
    by = "" if identity.name == address else f" by {identity.name}"
    if identity.verified_for_sending:
        return ok(id_, f"{address} is verified in {region}{by}")
    status = identity.verification_status
    what = "click the link in AWS's mail to it" if "@" in identity.name else "publish its DKIM records"
    return Finding(
        id_,
        "error",
        f"{identity.name} is not verified in {region} (status {status})",
        f"{what}; the SES console shows the identity and can begin anew",
    )


def _dkim(identity: Identity) -> Iterator[Finding]:
    if identity.dkim_signing and identity.dkim_status == "SUCCESS":
        yield ok("identity.dkim", f"SES signs by DKIM for {identity.name.rpartition('@')[2]}")
    elif "@" in identity.name:
        yield Finding(
            "identity.dkim",
            "warning",
            f"{identity.name} is verified as an address alone: mails are not signed by DKIM for its domain",
            "verify the domain: receivers take unaligned mail for spam",
        )
    else:
        yield Finding(
            "identity.dkim",
            "warning",
            f"SES does not sign by DKIM for {identity.name} (signing "
            f"{'on' if identity.dkim_signing else 'off'}, status {identity.dkim_status or 'unknown'})",
            "publish the DKIM records of the SES console, and switch DKIM signatures on for the identity",
        )


def _mail_from(identity: Identity) -> Iterator[Finding]:
    if not identity.mail_from_domain:
        return
    if identity.mail_from_status == "SUCCESS":
        yield ok("identity.mail-from", f"MAIL FROM domain {identity.mail_from_domain} is set up")
    else:
        yield Finding(
            "identity.mail-from",
            "warning",
            f"MAIL FROM domain {identity.mail_from_domain} is not set up "
            f"(status {identity.mail_from_status or 'unknown'})",
            hint_for("MailFromDomainNotVerifiedException", "", 400) or "",
        )


def _unknown(id_: str, address: str, outcome: Outcome) -> Finding:
    if denied(outcome):
        return Finding(
            id_,
            "info",
            f"whether {address} is verified can't be asked ({summary(outcome)}); mails are sent all the same",
            "allow ses:GetEmailIdentity on the identity for the doctor, or look in the SES console",
        )
    return Finding(
        id_,
        "warning",
        f"whether {address} is verified is not known ({described(outcome)})",
        hint_of(outcome) or "look in the SES console",
    )
