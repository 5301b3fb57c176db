from __future__ import annotations

import re
from email import message_from_bytes
from email.header import decode_header, make_header
from email.headerregistry import HeaderRegistry
from email.utils import parseaddr

import pytest
from email_validator import validate_email
from hypothesis import example, given
from hypothesis import strategies as st

from rq_ses.message.address import _PLAIN, bare, encoded, is_plain, normalise
from rq_ses.message.limits import DISPLAY_NAME

HEADERS = HeaderRegistry()
LOCAL = st.text("abcXYZ059_+-.", min_size=1, max_size=66)
DOMAIN = st.text("abcxn019-.", min_size=1, max_size=70)
SIMPLE = re.compile(
    r"[a-z0-9_+-]{1,9}(\.[a-z0-9_+-]{1,9}){0,3}@([a-z0-9]([a-z0-9-]{0,9}[a-z0-9])?\.){1,4}[a-z]{2,9}"
)
UNDISPLAYABLE = ("Cc", "Cs", "Zl", "Zp")
NAMES = st.text(
    st.characters(exclude_categories=UNDISPLAYABLE, exclude_characters="<>@"), max_size=DISPLAY_NAME.most
)


def decoded(header: str) -> tuple[str, str]:
    """Return display name and address as the standard library reads them from a header."""
    parsed = HEADERS("To", header)
    assert not parsed.defects
    (one,) = parsed.addresses
    return one.display_name, one.addr_spec


def normalised_by_library(text: str) -> str | None:
    return validate_email(text, check_deliverability=False, test_environment=True, strict=True).ascii_email


@given(st.from_regex(SIMPLE, fullmatch=True).filter(_PLAIN.fullmatch))
@example("a@b.cc")
@example("a" * 64 + "@b.cc")
@example("postmaster@example.test")
@example("a.b+c_d-e@x1.y-z.example")
@example("a@" + "b" * 63 + ".cc")
def test_what_the_fast_path_takes_the_library_takes_as_it_is(text: str) -> None:
    assert normalised_by_library(text) == text


@given(
    LOCAL | st.text(max_size=5), DOMAIN | st.sampled_from(["example.org", "b.example", "a--b.org", "x.local"])
)
@example("a" * 64, "example.org")
@example("a" * 65, "example.org")
@example("a@b", "example.org")
def test_an_address_is_plain_by_the_same_rule_whether_its_domain_was_met_or_not(
    local: str, domain: str
) -> None:
    for text in (f"{local}@{domain}", f"ann@{domain}", f"{local}@{domain}", f"{local}@example.org"):
        assert is_plain(text) == bool(_PLAIN.fullmatch(text))


@given(
    LOCAL,
    DOMAIN,
    st.sampled_from(["com", "example", "test", "arpa", "local", "localhost", "invalid", "onion", "a"]),
)
def test_what_the_fast_path_takes_of_near_misses_the_library_takes_as_it_is(
    local: str, domain: str, last: str
) -> None:
    text = f"{local}@{domain}.{last}"
    if _PLAIN.fullmatch(text):
        assert normalised_by_library(text) == text


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("ann@example.com", "ann@example.com"),
        ("Ann.Lee@EXAMPLE.com", "Ann.Lee@example.com"),
        ("INFO@example.com", "info@example.com"),
        ("  ann@example.com ", "ann@example.com"),
        ("<ann@example.com>", "ann@example.com"),
        ('"" <ann@example.com>', "ann@example.com"),
        ("Ann <ann@example.com>", "Ann <ann@example.com>"),
        ("Ann<ann@EXAMPLE.com>", "Ann <ann@example.com>"),
        ("ann@müller.example", "ann@xn--mller-kva.example"),
        ('"abc..def"@docomo.example', '"abc..def"@docomo.example'),
        ('".abc."@DOCOMO.example', '".abc."@docomo.example'),
        ('"a b"@Müller.example', '"a b"@xn--mller-kva.example'),
        ('"a@b"@x.example', '"a@b"@x.example'),
        ('"a, b; (c) <d> [e]:"@x.example', '"a, b; (c) <d> [e]:"@x.example'),
        ('"a\\"b\\\\c"@x.example', '"a\\"b\\\\c"@x.example'),
        ('"needs.none"@x.example', "needs.none@x.example"),
        ('"a\\bc "@x.example', '"abc "@x.example'),
        ('<"a b"@x.example>', '"a b"@x.example'),
        ('Ann <"abc..def"@Docomo.example>', 'Ann <"abc..def"@docomo.example>'),
        ('Jörg < "a <b> c"@x.example >', 'Jörg <"a <b> c"@x.example>'),
        ('"Lee, Ann <x>" <"a <b"@x.example>', '"Lee, Ann <x>" <"a <b"@x.example>'),
        ('Dwayne "The Rock" J. <"a b"@x.example>', 'Dwayne "The Rock" J. <"a b"@x.example>'),
        ('"a <" <"@b"@x.example>', '"a <" <"@b"@x.example>'),
        ('"' + "a " * 31 + '"@x.example', '"' + "a " * 31 + '"@x.example'),
        ("ann+tag/x=y@x.example", "ann+tag/x=y@x.example"),
        ("Jörg Müller <j@Müller.example>", "Jörg Müller <j@xn--mller-kva.example>"),
        ("ann@xn--mller-kva.example", "ann@xn--mller-kva.example"),
        ("o'neil!#$%&*/=?^`{|}~@example.com", "o'neil!#$%&*/=?^`{|}~@example.com"),
        ("dev@app.localhost", "dev@app.localhost"),
        ("dev@app.test", "dev@app.test"),
        ("a@b\u3002example", "a@b.example"),
        ("INFO@App.Local", "info@app.local"),
        ("dev@müller.invalid", "dev@xn--mller-kva.invalid"),
        ('"a <b>" <c@example.com>', '"a <b>" <c@example.com>'),
        ('"b@example.com, c" <c@example.com>', '"b@example.com, c" <c@example.com>'),
    ],
)
def test_an_address_is_kept_as_written_with_an_ascii_domain(text: str, normal: str) -> None:
    assert normalise(text) == normal
    assert normalise(normal) == normal


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "foo",
        "@",
        "a@",
        "@b.cc",
        "a@b",
        "a@localhost",
        "a@1.2.3.4",
        "a@[127.0.0.1]",
        "a@b.c@d.ee",
        "a b@example.com",
        "a..b@example.com",
        ".a@example.com",
        "a@-b.cc",
        "a@b..cc",
        "a@b.cc.",
        "a@test",
        "a@.test",
        "a@.local",
        "a@b.onion",
        "a@10.in-addr.arpa",
        '"jörg"@example.com',
        '""@example.com',
        '"a"b"@example.com',
        '"a@example.com',
        'a"b"@example.com',
        '"a".b@example.com',
        '"a\\"@example.com',
        '"a\tb"@example.com',
        '"a\r\nBcc: x@y.zz"@example.com',
        '"a b"@',
        '"a b"@b',
        '"a b" @example.com',
        '"' + "a " * 31 + 'b"@example.com',
        '"A" "B <" <"a <b"@example.com>',
        '"N <" <"@example.com>',
        'x@y.zz <z> <"a b"@example.com>',
        "abc.@example.com",
        "jörg@example.com",
        "a@exa mple.com",
        "a" * 65 + "@example.com",
        "a@" + "b" * 64 + ".cc",
        "a@" + "b." * 130 + "cc",
        "a@xn--\xff.cc",
        "a@xn--99999999.cc",
        "Ann ann@example.com",
        "Ann <>",
        "Ann <ann>",
        "Ann <a@b.cc> x",
        "<<a@b.cc>>",
        "A <x> B <a@b.cc>",
        "a@b.cc, d@e.ff",
        "a@b.cc;d@e.ff",
        "a@b.cc, D <d@e.ff>",
        "x" * (DISPLAY_NAME.most + 1) + " <a@b.cc>",
        "a@b.cc\n",
        "Ann\r\nBcc: x@y.zz <a@b.cc>",
        "\0a@b.cc",
        "a@b.cc\u2028",
        "A\ud800 <a@b.cc>",
        "a\u200b@b.cc",
        "a@" + "x" * 100_000,
        "@" * 2000,
        "<" * 5000 + ">",
    ],
)
def test_what_is_no_address_is_refused_with_a_bounded_text(text: str) -> None:
    with pytest.raises(ValueError, match=": ") as caught:
        normalise(text)
    assert len(str(caught.value)) < 600
    str(caught.value).encode("utf-8", "strict")


@pytest.mark.parametrize("text", ["a@b.cc, d@e.ff", "a@b.cc, D <d@e.ff>", "a@b.cc; d@e.ff"])
def test_several_addresses_in_one_string_are_to_be_given_as_a_list(text: str) -> None:
    with pytest.raises(ValueError, match=r"give several( addresses)? as a list"):
        normalise(text)


@pytest.mark.parametrize("local", ["abc..def", "abc.", ".abc", "a...b.c"])
def test_dots_in_odd_places_are_to_be_put_into_quotes(local: str) -> None:
    with pytest.raises(ValueError, match="write it in quotes: ") as caught:
        normalise(f"Ann <{local}@docomo.example>")
    remedy = str(caught.value).rpartition("quotes: ")[2]
    assert remedy == f'"{local}"@docomo.example'
    assert normalise(remedy) == remedy


QUOTABLE = st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=30)


@given(QUOTABLE, st.none() | NAMES)
@example('"> <', None)
@example("@", '"N <"')
@example(">, <x@y.zz", "Ann")
def test_any_quoted_local_part_stands_in_a_header_as_the_one_address_it_is(
    local: str, name: str | None
) -> None:
    quoted = '"' + local.replace("\\", "\\\\").replace('"', '\\"') + '"'
    try:
        normal = normalise(f"{quoted}@x.example" if name is None else f"{name} <{quoted}@x.example>")
    except ValueError:
        # A name may be unfit, a local part in quotes isn't.
        assert name is not None
        return
    assert normalise(normal) == normal
    assert bare(normal) in (f"{quoted}@x.example", f"{local}@x.example", f"{local.lower()}@x.example")
    header = HEADERS("To", encoded(normal))
    assert not header.defects
    (one,) = header.addresses
    assert (one.username, one.domain) == (local if local in one.username else local.lower(), "x.example")


@given(st.text(max_size=60))
@example("@\u3002.cc")
def test_any_text_is_normalised_for_good_or_refused(text: str) -> None:
    for candidate in (
        text,
        f"{text}@example.com",
        f'"{text}"@example.com',
        f"a@{text}.com",
        f"{text} <a@example.com>",
        f'{text} <"a b"@example.com>',
    ):
        try:
            normal = normalise(candidate)
        except ValueError:
            continue
        assert normalise(normal) == normal
        assert bare(normal).isascii()
        assert encoded(normal).isascii()
        assert "\n" not in encoded(normal)


@pytest.mark.parametrize(
    ("address", "header"),
    [
        ("a@example.com", "a@example.com"),
        ("Ann Lee <a@example.com>", "Ann Lee <a@example.com>"),
        ("Lee, Ann <a@example.com>", '"Lee, Ann" <a@example.com>'),
        ('"Lee, Ann" <a@example.com>', '"Lee, Ann" <a@example.com>'),
        ('Dwayne "The Rock" J. <a@example.com>', '"Dwayne \\"The Rock\\" J." <a@example.com>'),
        ("Ann (work) <a@example.com>", '"Ann (work)" <a@example.com>'),
        ("a@example.com <a@example.com>", '"a@example.com" <a@example.com>'),
        ('"a b"@example.com', '"a b"@example.com'),
        ('Lee, Ann <"a <b"@example.com>', '"Lee, Ann" <"a <b"@example.com>'),
        ('Größe <"a..b"@example.com>', '=?UTF-8?B?R3LDtsOfZQ==?= <"a..b"@example.com>'),
        ("Größe <a@example.com>", "=?UTF-8?B?R3LDtsOfZQ==?= <a@example.com>"),
        ("=?UTF-8?Q?Gr=C3=B6=C3=9Fe?= <a@example.com>", "=?UTF-8?Q?Gr=C3=B6=C3=9Fe?= <a@example.com>"),
    ],
)
def test_a_display_name_becomes_atoms_a_quoted_string_or_encoded_words(address: str, header: str) -> None:
    assert encoded(normalise(address)) == header


@given(NAMES)
@example("日本語" * 80)
@example("a\\b")
@example("ends with \\")
@example('"')
def test_any_display_name_is_read_back_as_it_was_written(name: str) -> None:
    quoted = name.replace("\\", "\\\\").replace('"', '\\"')
    if len(quoted) + 2 > DISPLAY_NAME.most or not name.strip(" ") or "=?" in name:
        return
    normal = normalise(f'"{quoted}" <a@example.com>')
    header = encoded(normal)
    shown, address = decoded(header)
    assert address == "a@example.com" == bare(normal)
    if name.isascii():
        # The standard library folds white space in a quoted string.
        assert shown.split() == name.split()
    else:
        words = header.removesuffix(" <a@example.com>").split(" ")
        assert all(len(word) <= 75 for word in words)
        assert HEADERS("Subject", " ".join(words)) == name


def test_a_name_of_many_encoded_words_survives_a_mail() -> None:
    name = "Ünïcödé " * 20
    header = encoded(normalise(f"{name}<a@example.com>"))
    mail = message_from_bytes(f"To: {header}\n\n".encode())
    shown, address = parseaddr(mail["To"])
    assert str(make_header(decode_header(shown))) == name.strip()
    assert address == "a@example.com"
