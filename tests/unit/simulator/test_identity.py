"""What the simulated account says of its identities."""

from __future__ import annotations

import pytest

from rq_ses_worker.simulator.api.lookups.identity import get_identity, identity_of, tokens
from rq_ses_worker.simulator.options import Options


@pytest.mark.parametrize(
    ("path", "name"),
    [
        (b"/v2/email/identities/example.com", "example.com"),
        (b"/prefix/v2/email/identities/anna%2Bx%2Fy%40example.com", "anna+x/y@example.com"),
        (b"/v2/email/identities/b%C3%BCcher.example", "bücher.example"),
        (b"/v2/email/identities/%ff", "\ufffd"),
        (b"/v2/email/identities/", None),
        (b"/v2/email/identities", None),
        (b"/v2/email/identities/example.com/dkim", None),
        (b"/v2/email/account", None),
    ],
)
def test_the_name_is_what_the_path_ends_in(path: bytes, name: str | None) -> None:
    assert identity_of(path) == name


@pytest.mark.parametrize(
    ("options", "name", "status"),
    [
        (Options(verified=("example.com",)), "Example.COM", 200),
        (Options(verified=("@example.com",)), "example.com", 200),
        (Options(verified=("anna@example.net",)), "anna@example.net", 200),
        (Options(verified=("example.com",)), "sub.example.com", 404),
        (Options(verified=("example.com",)), "anna@example.com", 404),
        (Options(), "anything.example", 200),
        (Options(), "anna@anything.example", 404),
        (Options(sandbox=True), "anything.example", 404),
    ],
)
def test_an_identity_is_there_if_it_is_configured_or_nothing_is(
    options: Options, name: str, status: int
) -> None:
    answer = get_identity(name, options)
    assert answer.status == status
    assert answer.code == (None if status == 200 else "NotFoundException")


def test_a_domain_has_the_same_three_tokens_every_time_and_an_address_none() -> None:
    domain = get_identity("example.com", Options()).members
    assert domain is not None
    assert domain["DkimAttributes"]["Tokens"] == tokens("example.com")
    assert len(set(tokens("example.com")) | set(tokens("example.net"))) == 6
    address = get_identity("a@example.com", Options(verified=("a@example.com",))).members
    assert address is not None
    assert "Tokens" not in address["DkimAttributes"]
