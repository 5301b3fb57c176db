"""The normal form: all spellings of a mailbox are one text."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from rq_ses.suppression.address import folded, is_simulated, normal_form

LOCAL = st.text(
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'*+/=?^_`{|}~-", min_size=1
)
LABEL = st.text("abcdefghijklmnopqrstuvwxyzäöüßéñçжшбλπ漢字0123456789", min_size=1, max_size=20)
NAME = st.text("abc ABC", max_size=10)


@st.composite
def addresses(draw: st.DrawFn) -> str:
    """Addresses that a message may have; the domain as people write it."""
    labels = draw(st.lists(LABEL, min_size=1, max_size=3))
    address = f"{draw(LOCAL)[:60]}@{'.'.join(labels)}.example"
    try:
        normal_form(address)
    except ValueError:
        assume(False)
    return address


@given(addresses())
def test_the_normal_form_is_its_own(address: str) -> None:
    assert normal_form(normal_form(address)) == normal_form(address)


@given(addresses())
def test_the_normal_form_is_ascii_in_small_letters(address: str) -> None:
    form = normal_form(address)
    assert form.isascii()
    assert form == form.lower()


@given(addresses())
def test_case_is_folded_on_both_sides_of_the_at(address: str) -> None:
    local, _, domain = address.rpartition("@")
    assert normal_form(f"{local.swapcase()}@{domain}") == normal_form(address)
    assert normal_form(f"{local.upper()}@{normal_form(address).rpartition('@')[2].upper()}") == normal_form(
        address
    )


@given(addresses(), NAME)
def test_a_display_name_is_left_out(address: str, name: str) -> None:
    assert normal_form(f"{name} <{address}>") == normal_form(address)


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("Ann@Example.COM", "ann@example.com"),
        ("ann@bücher.example", "ann@xn--bcher-kva.example"),
        ("ann@BÜCHER.example", "ann@xn--bcher-kva.example"),
        ("ann@XN--BCHER-KVA.example", "ann@xn--bcher-kva.example"),
        ("ann@bücher。example", "ann@xn--bcher-kva.example"),
        ('"A..B"@docomo.example', '"a..b"@docomo.example'),
        ('"Ann"@example.com', "ann@example.com"),
        (" <Ann@example.com> ", "ann@example.com"),
        ("ann+News@example.com", "ann+news@example.com"),
    ],
)
def test_spellings_of_one_mailbox_are_one(text: str, form: str) -> None:
    assert normal_form(text) == form


@pytest.mark.parametrize(
    "text", ["", "ann", "ann@", "@example.com", "änn@example.com", "a@b.example, c@d.example"]
)
def test_what_no_mail_can_be_sent_to_is_refused_with_its_value(text: str) -> None:
    with pytest.raises(ValueError, match="address"):
        normal_form(text)


def test_an_address_of_a_message_needs_no_second_look() -> None:
    assert folded("Ann Lee <Ann@example.com>") == "ann@example.com"
    assert folded('"A>B"@example.com') == '"a>b"@example.com'


def test_the_mailbox_simulator_is_known_with_and_without_a_label() -> None:
    assert is_simulated("bounce@simulator.amazonses.com")
    assert is_simulated("bounce+label@simulator.amazonses.com")
    assert not is_simulated("bounce@simulator.amazonses.com.example.com")
