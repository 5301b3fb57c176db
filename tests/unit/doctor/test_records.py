"""How the doctor reads DKIM, SPF and DMARC records; the DNS is a table here."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rq_ses_worker.doctor.sender.records import check_records, tags
from rq_ses_worker.doctor.sender.resolver import DnsUnavailable, Resolver
from rq_ses_worker.ses.account import Identity

DOMAIN = Identity(
    "example.com", "DOMAIN", True, "SUCCESS", True, "SUCCESS", ("t1", "t2"), "AWS_SES", "", "", ""
)  # fmt: skip
OWN = replace(DOMAIN, mail_from_domain="b.example.com", mail_from_status="SUCCESS")
FINE = {
    "CNAME t1._domainkey.example.com": ("t1.dkim.amazonses.com",),
    "CNAME t2._domainkey.example.com": ("t2.dkim.amazonses.com",),
    "TXT example.com": ("google-site-verification=x", "v=spf1 include:amazonses.com ~all"),
    "TXT b.example.com": ("v=spf1 include:amazonses.com ~all",),
    "MX b.example.com": ("feedback-smtp.us-east-1.amazonses.com",),
    "TXT _dmarc.example.com": ("v=DMARC1; p=reject; rua=mailto:d@example.com",),
}


class Table:
    """A Lookup that answers from a table."""

    def __init__(self, table: dict[str, tuple[str, ...]]) -> None:
        self._table = table

    def texts(self, name: str) -> tuple[str, ...]:
        return self._table.get(f"TXT {name}", ())

    def alias(self, name: str) -> str | None:
        return next(iter(self._table.get(f"CNAME {name}", ())), None)

    def mail_servers(self, name: str) -> tuple[str, ...]:
        return self._table.get(f"MX {name}", ())


def judged(
    changes: dict[str, tuple[str, ...]] | None = None,
    identity: Identity | None = OWN,
    domain: str = "example.com",
) -> dict[str, str]:
    table = Table({**FINE, **(changes or {})})
    return {found.id: found.severity for found in check_records(table, domain, identity)}


ALL_FINE = dict.fromkeys(("dns.dkim", "dns.spf", "dns.mail-from", "dns.dmarc", "dns.alignment"), "ok")


def test_a_domain_that_is_set_up_whole_is_fine() -> None:
    assert judged() == ALL_FINE


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        # DKIM
        ({"CNAME t1._domainkey.example.com": ()}, {"dns.dkim": "warning"}),
        ({"CNAME t1._domainkey.example.com": ("t1.elsewhere.net",)}, {"dns.dkim": "warning"}),
        (
            {"CNAME t1._domainkey.example.com": (), "CNAME t2._domainkey.example.com": ()},
            {"dns.dkim": "error"},
        ),
        ({"CNAME t1._domainkey.example.com": (), "TXT t1._domainkey.example.com": ("p=MIG…",)}, {}),
        # SPF
        ({"TXT b.example.com": ()}, {"dns.spf": "warning"}),
        ({"TXT b.example.com": ("v=spf1 -all",)}, {"dns.spf": "warning"}),
        ({"TXT b.example.com": ("v=spf1 include:amazonses.com.evil.net -all",)}, {"dns.spf": "warning"}),
        ({"TXT b.example.com": ("v=spf1 include:amazonses.com +all",)}, {"dns.spf": "warning"}),
        ({"TXT b.example.com": ("V=SPF1 Include:AmazonSES.com -ALL",)}, {}),
        ({"TXT b.example.com": ("v=spf1 -all", "v=spf1 include:amazonses.com -all")}, {"dns.spf": "error"}),
        # MAIL FROM
        ({"MX b.example.com": ()}, {"dns.mail-from": "warning"}),
        ({"MX b.example.com": ("mx.example.com",)}, {"dns.mail-from": "warning"}),
        # DMARC
        ({"TXT _dmarc.example.com": ("v=DMARC1; p=none",)}, {"dns.dmarc": "info"}),
        ({"TXT _dmarc.example.com": ("v=DMARC1; p=nonsense",)}, {"dns.dmarc": "error"}),
        ({"TXT _dmarc.example.com": ("v=DMARC1; p=none", "v=DMARC1; p=reject")}, {"dns.dmarc": "error"}),
        ({"TXT _dmarc.example.com": ()}, {"dns.dmarc": "warning"}),
    ],
)
def test_what_is_wrong_in_the_records_is_found(
    changes: dict[str, tuple[str, ...]], expected: dict[str, str]
) -> None:
    found = {name: severity for name, severity in judged(changes).items() if severity != "ok"}
    assert found == expected


def test_every_missing_record_is_named_with_what_it_must_be() -> None:
    table = Table({**FINE, "CNAME t1._domainkey.example.com": (), "CNAME t2._domainkey.example.com": ()})
    texts = [found.text for found in check_records(table, "example.com", OWN) if found.id == "dns.dkim"]
    assert texts == [
        f"{token}._domainkey.example.com is missing: it must be a CNAME to {token}.dkim.amazonses.com"
        for token in ("t1", "t2")
    ]


def test_the_zone_that_ses_names_is_the_one_that_counts() -> None:
    identity = replace(OWN, dkim_tokens=("t1",), dkim_zone="dkim.eu-central-2.amazonses.com")
    assert judged(identity=identity)["dns.dkim"] == "error"
    changes = {"CNAME t1._domainkey.example.com": ("t1.dkim.eu-central-2.amazonses.com",)}
    assert judged(changes, identity)["dns.dkim"] == "ok"


def test_a_key_of_ones_own_is_a_txt_record() -> None:
    identity = replace(OWN, dkim_tokens=("mine",), dkim_origin="EXTERNAL")
    assert judged(identity=identity)["dns.dkim"] == "error"
    assert judged({"TXT mine._domainkey.example.com": ("v=DKIM1; p=MIG…",)}, identity)["dns.dkim"] == "ok"
    revoked = {"TXT mine._domainkey.example.com": ("v=DKIM1; p=",)}
    assert judged(revoked, identity)["dns.dkim"] == "error"


def test_without_a_mail_from_domain_spf_is_asked_of_the_domain_and_dmarc_rests_on_dkim() -> None:
    assert judged(identity=DOMAIN) == {**ALL_FINE, "dns.mail-from": "info"}
    without = {"TXT example.com": ("google-site-verification=x",)}
    assert judged(without, DOMAIN)["dns.spf"] == "info"


@pytest.mark.parametrize(
    ("record", "changes", "severity"),
    [
        ("v=DMARC1; p=reject", {}, "ok"),
        ("v=DMARC1; p=reject; adkim=s; aspf=s", {}, "ok"),  # the signer is the domain itself
        ("v=DMARC1; p=reject", {"dkim_signing": False}, "ok"),  # SPF, relaxed
        ("v=DMARC1; p=reject; aspf=s", {"dkim_signing": False}, "error"),
        ("v=DMARC1; p=none; aspf=s", {"dkim_signing": False}, "warning"),
        ("v=DMARC1; p=quarantine", {"dkim_status": "PENDING", "mail_from_domain": ""}, "error"),
    ],
)
def test_alignment_follows_the_record(record: str, changes: dict[str, object], severity: str) -> None:
    identity = replace(OWN, **changes)  # type: ignore[arg-type]
    assert judged({"TXT _dmarc.example.com": (record,)}, identity)["dns.alignment"] == severity


def test_a_subdomain_is_judged_by_the_record_above_it_and_by_the_strictness_there() -> None:
    assert judged(domain="shop.example.com") == ALL_FINE
    strict = {"TXT _dmarc.example.com": ("v=DMARC1; p=reject; adkim=s; aspf=s",)}
    assert judged(strict, domain="shop.example.com")["dns.alignment"] == "error"


def test_without_the_identity_dkim_is_not_known_and_the_rest_is_looked_at() -> None:
    assert judged(identity=None) == {"dns.dkim": "info", "dns.spf": "ok", "dns.dmarc": "ok"}


def test_name_servers_that_are_away_end_the_look_with_a_warning() -> None:
    class Away(Table):
        def texts(self, name: str) -> tuple[str, ...]:
            raise DnsUnavailable(f"no answer to TXT of {name} (LifetimeTimeout)")

    found = list(check_records(Away(FINE), "example.com", OWN))
    assert [(one.id, one.severity) for one in found] == [("dns.dkim", "ok"), ("dns.answers", "warning")]


def test_records_of_a_stranger_are_inert() -> None:
    hostile = {"TXT b.example.com": ("v=spf1 <script>\x1b[2J alert(1)</script>",)}
    [spf] = [f for f in check_records(Table({**FINE, **hostile}), "example.com", OWN) if f.id == "dns.spf"]
    assert not {"<", "\x1b"} & set(spf.text)


def test_tags_are_read_whatever_their_spacing() -> None:
    assert tags("v=DMARC1;P = none ;;rua=mailto:a@b.c?x=1; broken") == {
        "v": "DMARC1",
        "p": "none",
        "rua": "mailto:a@b.c?x=1",
        "broken": "",
    }


@pytest.mark.parametrize(
    "text", ["", "ns.example.com", "1.2.3.4:0", "1.2.3.4:99999", "1.2.3.4:x", "[::1", ":53"]
)
def test_a_name_server_is_an_address_with_a_port_or_none(text: str) -> None:
    with pytest.raises(ValueError, match="is no name server"):
        Resolver(text)


@pytest.mark.parametrize(
    ("text", "address", "port"),
    [("9.9.9.9", "9.9.9.9", 53), ("9.9.9.9:5353", "9.9.9.9", 5353), ("2620:fe::fe", "2620:fe::fe", 53),
     ("[2620:fe::fe]:5353", "2620:fe::fe", 5353)],
)  # fmt: skip
def test_a_name_server_that_is_given_is_the_one_that_is_asked(text: str, address: str, port: int) -> None:
    resolver = Resolver(text)._resolver
    assert (resolver.nameservers, resolver.port) == ([address], port)
