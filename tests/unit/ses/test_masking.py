"""Secrets are found in whatever form, and however cut, an answer repeats them."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rq_ses_worker.ses.masking import Secrets

TOKEN = "IQoJb3JpZ2luX2VjEOf//////////wEaCXVzLWVhc3QtMSJHMEUCIQDx+9/Zk3Qv+tYp1Wm8nR2sLhJ0uVbXcGfEaKiOo5lT6w=="
KEY = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"


def _every_character(form: str) -> Callable[[str], str]:
    return lambda text: "".join(form.format(ord(char)) for char in text)


FORMS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "percent": lambda text: quote(text, safe=""),
    "percent, slashes kept": quote,
    "percent in lower case": lambda text: (
        quote(text, safe="").replace("%2F", "%2f").replace("%2B", "%2b").replace("%3D", "%3d")
    ),
    "percent, every character": _every_character("%{:02x}"),
    "percent, twice": lambda text: quote(quote(text, safe=""), safe=""),
    "form": quote_plus,
    "form, read by one that knows no form": lambda text: text.replace("+", " "),
    "json": json.dumps,
    "json, slashes escaped": lambda text: json.dumps(text).replace("/", "\\/"),
    "json, in json": lambda text: json.dumps(json.dumps(text).replace("/", "\\/")),
    "json, every character": _every_character("\\u{:04x}"),
    "json, plus escaped": lambda text: text.replace("+", "\\u002b").replace("/", "\\u002F"),
    "html": html.escape,
    "html, decimal": _every_character("&#{};"),
    "html, hexadecimal": _every_character("&#x{:X};"),
    "html, names": lambda text: text.replace("+", "&plus;").replace("/", "&sol;").replace("=", "&equals;"),
    "html, of percent": lambda text: quote(text, safe="").replace("%", "&#37;"),
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "base64, behind three": lambda text: base64.b64encode(f"a: {text}, b".encode()).decode(),
    "base64, behind one": lambda text: base64.b64encode(f":{text};".encode()).decode(),
    "base64, behind two": lambda text: base64.b64encode(f": {text}.".encode()).decode(),
    "base64, other alphabet": lambda text: base64.urlsafe_b64encode(text.encode()).decode(),
    "base64, wrapped": lambda text: base64.encodebytes(text.encode()).decode(),
    "quoted-printable": lambda text: text.replace("=", "=3D").replace("+", "=2B"),
    "hex": lambda text: text.encode().hex(),
    "other case": str.swapcase,
    "wrapped": lambda text: "\r\n ".join(text[at : at + 20] for at in range(0, len(text), 20)),
    "utf-16, read as bytes": lambda text: text.encode("utf-16-le").decode("latin-1"),
    "broken by what can't be seen": "\u200b".join,
    "hyphenated softly": lambda text: "\xad".join(text[at : at + 8] for at in range(0, len(text), 8)),
    "python": repr,
}


def _parts(shown: str, secret: str, size: int) -> list[str]:
    """Return what of so many characters of the secret is shown."""
    return [secret[at : at + size] for at in range(len(secret) - size + 1) if secret[at : at + size] in shown]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("secret", [TOKEN, KEY])
def test_a_secret_is_masked_in_every_form(form: str, secret: str) -> None:
    written = FORMS[form](secret)
    shown = Secrets([KEY, TOKEN]).masked(f"The value <{written}> is not known.")
    assert "***" in shown
    assert _parts(shown, written, 8) == []
    assert shown.startswith("The value <")
    assert shown.endswith(" is not known.")


@pytest.mark.parametrize("form", FORMS)
def test_what_a_cut_leaves_of_a_secret_is_masked(form: str) -> None:
    written = FORMS[form](TOKEN)
    secrets = Secrets([KEY, TOKEN])
    for cut in range(len(written) // 2, len(written)):
        assert _parts(secrets.masked(f"no {written[:cut]}"), written[: cut - 6], 12) == []
        assert _parts(secrets.masked(f"{written[len(written) - cut :]} no"), written[-cut + 6 :], 12) == []


_UNCOMPARED = str.maketrans("", "", "+-")
SECRETS = st.text(st.sampled_from("ABCabcXYZxyz0189/+=-_"), min_size=20, max_size=120).filter(
    lambda text: len(set(text)) > 5
)


@settings(deadline=None)  # busy machines
@given(
    secret=SECRETS,
    form=st.sampled_from(sorted(FORMS)),
    before=st.text(st.sampled_from("the token is: \"'&%=<>\\"), max_size=30),
    after=st.text(st.sampled_from("of this request.\"'<>"), max_size=30),
    part=st.tuples(st.integers(0, 40), st.integers(0, 40)),
)
def test_no_secret_whatever_shows_sixteen_characters_of_itself(
    secret: str, form: str, before: str, after: str, part: tuple[int, int]
) -> None:
    first, last = part
    piece = secret[first : len(secret) - last]
    shown = Secrets([secret]).masked(before + FORMS[form](piece) + after)
    # A + and a - aren't compared, so they don't count.
    compared = secret.translate(_UNCOMPARED)
    for reading in (shown, html.unescape(shown), shown.replace("\\/", "/")):
        assert _parts(reading.translate(_UNCOMPARED), compared, 20) == []


@settings(deadline=None)
@given(text=st.text(max_size=300))
def test_a_text_without_secrets_stays_as_it_is(text: str) -> None:
    assert Secrets([KEY, TOKEN]).masked(text) == text


def test_words_around_several_secrets_stay() -> None:
    shown = Secrets([KEY, TOKEN]).masked(f"key {KEY} and token {TOKEN[:40]} and {quote(KEY, safe='')}, both")
    assert shown == "key *** and token *** and ***, both"


def test_a_short_secret_of_a_stand_in_is_none_and_a_longer_one_is_masked_whole_alone() -> None:
    assert Secrets(["test"]).masked("test@example.com") == "test@example.com"
    assert (
        Secrets(["password1"]).masked("password1 passw0rd passwor password%31") == "*** passw0rd passwor ***"
    )


@pytest.mark.timeout(30)  # a quadratic step would take minutes
@pytest.mark.parametrize(
    "text", ["%" * 60_000, "&#" * 30_000, "\\" * 60_000, TOKEN[:15] * 4000, "=\n" * 30_000]
)
def test_masking_a_hostile_text_is_cheap(text: str) -> None:
    assert isinstance(Secrets([KEY, TOKEN]).masked(text), str)
