"""A mail that only its own host understands, made into one that others do."""

from __future__ import annotations

from email import message_from_bytes
from email.header import decode_header, make_header
from email.policy import default

import pytest

from rq_ses.cli.sendmail.host import Host, NoSender, NoUser, is_full
from rq_ses.cli.sendmail.letter import Letter

HOST = Host(sender="Server <server@shop.example>", local="ops@shop.example")
WHOLE = (
    b"From: Shop <shop@shop.example>\r\nTo: anna@customer.example\r\nSubject:  odd   blanks\r\n"
    b"\tand folds \r\nX-Empty:\r\nMessage-ID: <1@shop.example>\r\n\r\nHello\r\n.\r\n\r\n"
)


def settled(data: bytes, host: Host = HOST, *, delivers: bool = True) -> Letter:
    letter = Letter(data)
    letter.settle(host, delivers=delivers)
    return letter


def header(data: bytes, name: str, host: Host = HOST) -> str | None:
    field = settled(data, host).named(name)
    return field.text if field else None


def test_a_mail_that_lacks_nothing_is_left_byte_for_byte() -> None:
    assert settled(WHOLE).mime(hidden=False) == WHOLE
    assert settled(WHOLE.replace(b"\r\n", b"\n")).mime(hidden=False) == WHOLE


def test_what_is_no_text_is_left_whatever_its_bytes() -> None:
    signed = (
        b"From: a@shop.example\r\nTo: b@shop.example\r\nSubject: s\r\nContent-Type: multipart/signed; "
        b'boundary="b"\r\n\r\n--b\r\n\xff\xfe  \r\n--b--\r\n'
    )
    assert settled(signed).mime(hidden=False) == signed


def test_a_cron_mail_gets_addresses_that_others_understand() -> None:
    data = b"From: root (Cron Daemon)\nTo: root\nSubject: Cron <root@web1> backup\n\nfull\n"
    mail = message_from_bytes(settled(data).mime(hidden=False), policy=default)
    assert mail["From"] == "Cron Daemon <server@shop.example>"
    assert mail["To"] == "root <ops@shop.example>"
    assert mail["Subject"] == "Cron <root@web1> backup"


@pytest.mark.parametrize(
    ("before", "sender"),
    [
        (b"", "Server <server@shop.example>"),
        (b"From:\n", "Server <server@shop.example>"),
        (b"From: www-data\n", "Server <server@shop.example>"),
        (b"From: www-data@web1\n", "Server <server@shop.example>"),
        (b"From: =?UTF-8?B?QsO2cnNl?= <www-data>\n", "=?UTF-8?B?QsO2cnNl?= <server@shop.example>"),
        (b"From: a@shop.example\n", "a@shop.example"),
    ],
)
def test_who_has_no_full_address_is_the_settings_sender(before: bytes, sender: str) -> None:
    assert header(before + b"To: a@shop.example\n\nHi\n", "from") == sender


def test_a_name_of_the_command_line_is_the_senders_where_the_mail_has_none() -> None:
    host = Host(sender="server@shop.example", name="Cron Daemon")
    assert header(b"To: a@shop.example\n\nHi\n", "from", host) == "Cron Daemon <server@shop.example>"
    assert header(b"From: a@shop.example\n\nHi\n", "from", host) == "a@shop.example"


def test_nothing_is_made_up() -> None:
    with pytest.raises(NoSender, match="RQ_SES_SENDMAIL_SENDER"):
        settled(b"To: a@shop.example\n\nHi\n", Host())
    with pytest.raises(NoUser, match="'root' is a user of this host alone: RQ_SES_SENDMAIL_LOCAL"):
        settled(b"From: a@shop.example\nTo: root\n\nHi\n", Host())


def test_a_header_that_only_shows_a_local_user_is_left_out() -> None:
    data = b"From: a@shop.example\nTo: root\nCc: root, b@shop.example\n\nHi\n"
    letter = settled(data, Host(), delivers=False)
    assert letter.mime(hidden=False) == b"From: a@shop.example\r\nCc: b@shop.example\r\n\r\nHi\r\n"


@pytest.mark.parametrize(
    "name", ["Eve\nBcc: eve@evil.example", "Eve\r\n\r\nEvil", "Eve\rBcc: e@evil.example", "\udcff"]
)
def test_a_name_breaks_out_of_no_header(name: str) -> None:
    with pytest.raises(ValueError, match="line break, a control character or a lone surrogate"):
        settled(b"To: a@shop.example\n\nHi\n", Host(sender="server@shop.example", name=name))


def test_a_carriage_return_begins_no_header() -> None:
    data = b"From: a@shop.example\r\nSubject: Hi\rBcc: eve@evil.example\r\n\r\nHi\r\n"
    mail = message_from_bytes(settled(data).mime(hidden=True), policy=default)
    assert (mail["Bcc"], mail["Subject"]) == (None, "Hi Bcc: eve@evil.example")


def test_a_domain_beyond_ascii_is_written_in_punycode() -> None:
    data = "From: a@shop.example\nTo: Jörg <joerg@köln.example>\n\nHi\n".encode()
    assert header(data, "to") == "=?UTF-8?B?SsO2cmc=?= <joerg@xn--kln-sna.example>"


def test_recipients_of_a_blind_copy_are_read_and_hidden() -> None:
    data = b"From: a@shop.example\nTo: b@shop.example\nBcc: c@shop.example,\n root\nSubject: s\n\nHi\n"
    letter = settled(data)
    assert b"Bcc" not in letter.mime(hidden=False)
    assert b"Bcc: c@shop.example,\r\n root <ops@shop.example>" in letter.mime(hidden=True)


def test_answers_go_to_full_addresses_or_to_the_sender() -> None:
    both = b"From: a@shop.example\nReply-To: root, help@shop.example\nSender: root\n\nHi\n"
    assert header(both, "reply-to") == "help@shop.example"
    assert header(both, "sender") is None


@pytest.mark.parametrize(
    ("written", "name", "value"),
    [
        ("Subject: Grüße aus Köln".encode(), "subject", "Grüße aus Köln"),
        ("Subject: Grüße".encode("latin-1"), "subject", "Grüße"),
        (b"X-Note: " + "ü".encode() * 200, "x-note", "ü" * 200),
        ("To: Jörg Groß <joerg@shop.example>, b@shop.example".encode(), "to", None),
    ],
)
def test_headers_beyond_ascii_become_encoded_words(written: bytes, name: str, value: str | None) -> None:
    data = written + b"\nFrom: a@shop.example\n\nHi\n"
    letter = settled(data)
    assert letter.mime(hidden=True).isascii()
    assert all(len(line) <= 998 for line in letter.mime(hidden=True).splitlines())
    text = header(data, name)
    assert text is not None
    shown = str(make_header(decode_header(text)))
    assert shown == (value or "Jörg Groß <joerg@shop.example>, b@shop.example")


@pytest.mark.parametrize(
    ("kind", "body", "named"),
    [
        (b"", "Grüße".encode(), "text/plain; charset=utf-8"),
        (b"", b"Gr\xfc\xdfe", "text/plain; charset=iso-8859-1"),
        (b"", b"Hi", None),
        (b"Content-type: text/html\n", "Grüße".encode(), "text/html; charset=utf-8"),
        (b"Content-type: text/html;\n", "Grüße".encode(), "text/html; charset=utf-8"),
        (b"Content-Type: text/plain; charset=koi8-r\n", b"\xff", "text/plain; charset=koi8-r"),
        (b"Content-Type: application/octet-stream\n", b"\xff", "application/octet-stream"),
    ],
)
def test_a_text_says_its_charset(kind: bytes, body: bytes, named: str | None) -> None:
    data = b"From: a@shop.example\n" + kind + b"\n" + body
    assert header(data, "content-type") == named
    if named and "charset=utf-8" in named:
        mail = message_from_bytes(settled(data).mime(hidden=False), policy=default)
        assert mail.get_content() == "Grüße"
        assert mail["MIME-Version"] == "1.0"


@pytest.mark.parametrize(
    ("data", "names", "body"),
    [
        (b"Subject: a\n\nHi\n", ["subject"], b"Hi\n"),
        (b"Subject: a\nHi there\n", ["subject"], b"Hi there\n"),
        (b"Just text\n", [], b"Just text\n"),
        (b"\nSubject: b\n", [], b"Subject: b\n"),
        (b"", [], b""),
        (b"Subject: a", ["subject"], b""),
        (b"From root Mon Jan  1 00:00:00 2026\nSubject: a\n\nHi", ["subject"], b"Hi"),
        (b">From root Mon Jan  1\nSubject: a\n\nHi", ["subject"], b"Hi"),
        (b"Subject: a\n\nFrom here on\n", ["subject"], b"From here on\n"),
    ],
)
def test_headers_end_where_something_else_begins(data: bytes, names: list[str], body: bytes) -> None:
    letter = Letter(data)
    assert ([field.word for field in letter.fields], letter.body) == (names, body)


@pytest.mark.parametrize(
    ("body", "kept"),
    [
        (b"Hi\n.\n", b"Hi\n"),
        (b"Hi\r\n.\r\n", b"Hi\r\n"),
        (b"Hi\n.", b"Hi\n"),
        (b".\n", b""),
        (b"Hi\n.\nthere\n", b"Hi\n.\nthere\n"),
        (b"Hi\n..\n", b"Hi\n..\n"),
        (b"The end.\n", b"The end.\n"),
    ],
)
def test_a_dot_that_ends_the_mail_is_no_part_of_it_and_no_text_is_ever_cut(body: bytes, kept: bytes) -> None:
    data = b"Subject: a\n\n" + body
    assert Letter(data, dots=False).body == kept
    assert Letter(data, dots=True).body == body


def test_a_name_of_the_settings_may_hold_a_comma() -> None:
    host = Host(sender="Shop, Inc. <web@shop.example>", local="Ops, all <ops@shop.example>")
    assert host.author("", "root") == ("Shop, Inc.", "web@shop.example")
    assert host.recipient("", "root") == ("root", "ops@shop.example")


def test_a_full_address_has_a_domain_that_others_find() -> None:
    assert is_full("a@shop.example")
    assert not any(map(is_full, ["root", "root@localhost", "", "a.b", "a.b@web1"]))
