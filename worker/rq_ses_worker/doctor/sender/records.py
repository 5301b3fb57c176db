"""DKIM, SPF and DMARC of the sender's domain: whether receivers can tell its mails from forged ones.

RFC 6376, RFC 7208 and RFC 7489; SES's side of them:
https://docs.aws.amazon.com/ses/latest/dg/email-authentication-methods.html
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Protocol

from rq_ses_worker.doctor.finding import Finding, ok
from rq_ses_worker.doctor.sender.resolver import DnsUnavailable
from rq_ses_worker.ses.account import Identity

_ZONE: Final = "dkim.amazonses.com"
_INCLUDE: Final = "include:amazonses.com"
_POLICIES: Final = frozenset({"none", "quarantine", "reject"})


class Lookup(Protocol):
    """What is asked of the DNS; each raises DnsUnavailable."""

    def texts(self, name: str) -> tuple[str, ...]: ...

    def alias(self, name: str) -> str | None: ...

    def mail_servers(self, name: str) -> tuple[str, ...]: ...


def check_records(dns: Lookup, domain: str, identity: Identity | None) -> Iterator[Finding]:
    """Yield what is found about the records of a sender's domain; `identity` is what SES knows of it."""
    for check in (_dkim, _spf, _mail_from, _dmarc):
        try:
            yield from check(dns, domain, identity)
        except DnsUnavailable as exc:
            yield Finding(
                "dns.answers",
                "warning",
                f"{exc}: the records of {domain} were not looked at to the end",
                "run the doctor where the DNS can be asked, name a server with --nameserver, or leave it out "
                "with --no-dns",
            )
            return


def _dkim(dns: Lookup, domain: str, identity: Identity | None) -> Iterator[Finding]:
    if identity is None:
        yield Finding(
            "dns.dkim",
            "info",
            f"which DKIM records {domain} needs is not known, since SES doesn't tell about the identity",
            "see identity.sender above; the SES console shows the records",
        )
        return
    signer = identity.name.rpartition("@")[2]
    if not identity.dkim_tokens:
        return
    wrong = []
    for token in identity.dkim_tokens:
        name = f"{token}._domainkey.{signer}"
        problem = (
            _key_problem(dns, name)
            if identity.dkim_origin == "EXTERNAL"
            else _alias_problem(dns, name, f"{token}.{identity.dkim_zone or _ZONE}".lower())
        )
        if problem:
            wrong.append(problem)
    if not wrong:
        yield ok("dns.dkim", f"the DKIM records of {signer} are published ({len(identity.dkim_tokens)})")
    for problem in wrong:
        yield Finding(
            "dns.dkim",
            "error" if len(wrong) == len(identity.dkim_tokens) else "warning",
            problem,
            "publish the DKIM records as the SES console shows them; they can take hours to be seen",
        )


def _alias_problem(dns: Lookup, name: str, target: str) -> str:
    found = dns.alias(name)
    if found is None:
        # Some providers answer with what the CNAME leads to.
        return "" if dns.texts(name) else f"{name} is missing: it must be a CNAME to {target}"
    return "" if found == target else f"{name} leads to {found}: it must be a CNAME to {target}"


def _key_problem(dns: Lookup, name: str) -> str:
    keys = [text for text in dns.texts(name) if tags(text).get("p")]
    return "" if keys else f"{name} is missing: it must be a TXT record with your public key (p=…)"


def _spf(dns: Lookup, domain: str, identity: Identity | None) -> Iterator[Finding]:
    """SPF is asked of the MAIL FROM domain; without one of the sender's own that is amazonses.com."""
    sending = (identity.mail_from_domain if identity else "") or domain
    own = bool(identity and identity.mail_from_domain)
    found = [text for text in dns.texts(sending) if text.lower().split(" ")[0] == "v=spf1"]
    remedy = f'publish one TXT record at {sending}: "v=spf1 {_INCLUDE} ~all", with your other senders in it'
    if len(found) > 1:
        yield Finding(
            "dns.spf", "error", f"{sending} has {len(found)} SPF records: receivers heed none", remedy
        )
    elif not found:
        text = f"{sending} has no SPF record"
        if own:
            yield Finding("dns.spf", "warning", f"{text}, though it is the MAIL FROM domain", remedy)
        else:
            yield Finding(
                "dns.spf", "info", f"{text}; SES's own MAIL FROM domain passes SPF for itself", remedy
            )
    elif not any(term.lstrip("+") == _INCLUDE for term in found[0].lower().split()):
        yield Finding(
            "dns.spf",
            "warning" if own else "info",
            f"the SPF record of {sending} does not name SES ({found[0]})",
            remedy,
        )
    elif any(term in ("+all", "all") for term in found[0].lower().split()):
        yield Finding(
            "dns.spf", "warning", f"the SPF record of {sending} lets anybody send ({found[0]})", remedy
        )
    else:
        yield ok("dns.spf", f"the SPF record of {sending} names SES")


def _mail_from(dns: Lookup, domain: str, identity: Identity | None) -> Iterator[Finding]:
    if identity is None:
        return
    if not identity.mail_from_domain:
        yield Finding(
            "dns.mail-from",
            "info",
            f"no MAIL FROM domain of its own for {domain}: SPF passes for amazonses.com, DMARC rests on DKIM",
            f"set one up in the SES console, such as bounce.{domain}, for a second leg",
        )
        return
    servers = dns.mail_servers(identity.mail_from_domain)
    if any(server.startswith("feedback-smtp.") for server in servers):
        yield ok("dns.mail-from", f"bounces to {identity.mail_from_domain} go to SES")
    else:
        yield Finding(
            "dns.mail-from",
            "warning",
            f"{identity.mail_from_domain} has no MX record that leads to SES",
            "publish it: 10 feedback-smtp.REGION.amazonses.com, as the SES console shows it",
        )


def _dmarc(dns: Lookup, domain: str, identity: Identity | None) -> Iterator[Finding]:
    where, found = _dmarc_records(dns, domain)
    if not found:
        yield Finding(
            "dns.dmarc",
            "warning",
            f"{domain} has no DMARC record: large receivers want one",
            f'publish a TXT record at _dmarc.{domain}, at first: "v=DMARC1; p=none; rua=mailto:you@{domain}"',
        )
        return
    policy = tags(found[0]).get("p", "").lower()
    if len(found) > 1 or policy not in _POLICIES:
        what = (
            f"{len(found)} DMARC records"
            if len(found) > 1
            else f"a DMARC record without a policy ({found[0]})"
        )
        yield Finding(
            "dns.dmarc", "error", f"{where} has {what}: receivers heed none", "keep one, with p=none at first"
        )
        return
    if policy == "none":
        yield Finding(
            "dns.dmarc",
            "info",
            f"the DMARC policy of {where} is none: forged mails are delivered, too",
            "once its reports show your own mails passing, raise it to quarantine, then reject",
        )
    else:
        yield ok("dns.dmarc", f"the DMARC policy of {where} is {policy}")
    if identity is not None:
        yield _alignment(domain, identity, tags(found[0]), policy)


def _dmarc_records(dns: Lookup, domain: str) -> tuple[str, list[str]]:
    """The domain's own record, else that of the nearest domain above it."""
    labels = domain.split(".")
    for place in range(max(1, len(labels) - 1)):
        where = ".".join(labels[place:])
        found = [text for text in dns.texts(f"_dmarc.{where}") if text.lower().startswith("v=dmarc1")]
        if found:
            return where, found
    return domain, []


def _alignment(domain: str, identity: Identity, record: dict[str, str], policy: str) -> Finding:
    signer = identity.name.rpartition("@")[2]
    signed = identity.dkim_signing and identity.dkim_status == "SUCCESS"
    by_dkim = signed and (signer == domain or record.get("adkim", "r").lower() != "s")
    own = identity.mail_from_domain
    by_spf = bool(own) and (own == domain or record.get("aspf", "r").lower() != "s")
    ways = [name for name, passes in (("DKIM", by_dkim), ("SPF", by_spf)) if passes]
    if ways:
        return ok("dns.alignment", f"mails of {domain} pass DMARC by {' and '.join(ways)}")
    return Finding(
        "dns.alignment",
        "warning" if policy == "none" else "error",
        f"mails of {domain} pass DMARC neither by DKIM nor by SPF, policy {policy}",
        "let SES sign by DKIM for the sender's own domain; with adkim=s or aspf=s the domains must be equal",
    )


def tags(record: str) -> dict[str, str]:
    """Return the tags of a record of the form `a=b; c=d`, names in lower case."""
    pairs = (part.partition("=") for part in record.split(";"))
    return {name.strip().lower(): value.strip() for name, _, value in pairs if name.strip()}
