"""What is read of a mail's bytes, and the little that is changed of them."""

from __future__ import annotations

from typing import Any

import pytest

from rq_ses_worker.smtp import replies
from rq_ses_worker.smtp.content import MOST_HEADER, MOST_RECEIVED, read_content
from rq_ses_worker.smtp.replies import Refusal, Refused

HEAD = b"From: Ann <ann@example.com>\r\nTo: ben@example.org\r\nSubject: Hi\r\n"
BODY = b"\r\nHello\r\n\xff\x80 8bit\r\n"


def refusal(content: bytes) -> Refusal:
    with pytest.raises(Refused) as caught:
        read_content(content)
    return caught.value.refusal


def test_a_mail_stays_as_it_is() -> None:
    content = read_content(HEAD + BODY)
    assert content.data == HEAD + BODY
    assert (content.is_from, content.authors) == ("ann@example.com", ("ann@example.com",))
    assert (content.commands, content.priority, content.told_apart) == ((), "normal", False)


@pytest.mark.parametrize(
    "dropped",
    [
        b"Bcc: secret@example.org\r\n",
        b"bCC :\r\n secret@example.org,\r\n\tother@example.org\r\n",
        b"Resent-Bcc: secret@example.org\r\n",
        b"Return-Path: <secret@example.org>\r\n",
        b"Bcc: one@example.org\r\nBCC: secret@example.org\r\n",
    ],
)
def test_what_shows_blind_recipients_or_is_ses_to_write_is_taken_out(dropped: bytes) -> None:
    assert read_content(dropped + HEAD + BODY).data == HEAD + BODY
    assert read_content(HEAD + dropped + BODY).data == HEAD + BODY
    assert read_content(HEAD + dropped).data == HEAD + b"\r\n"
    # In the body it is text.
    assert read_content(HEAD + BODY + dropped).data == HEAD + BODY + dropped


@pytest.mark.parametrize(
    "content",
    [
        HEAD + b"\r\nbare\nline feed\r\n",
        HEAD + b"\r\nbare\rcarriage return\r\n",
        HEAD + b"\r\nat its end\r",
        HEAD + b"\r\nat its end\n",
        HEAD + b"X: a\nBcc: hidden@example.org\r\n" + BODY,
        HEAD + b"\r\n\r\r\n",
        HEAD + b"\r\n\n\r\n",
    ],
)
def test_a_line_end_that_is_only_half_one_is_refused(content: bytes) -> None:
    assert refusal(content) is replies.BARE


def test_a_header_is_only_what_stands_above_the_first_blank_line() -> None:
    content = read_content(b"Subject: x\r\n\r\nX-SES-CONFIGURATION-SET: y\r\nFrom: z@example.com\r\n")
    assert (content.commands, content.is_from) == ((), None)


@pytest.mark.parametrize(
    "start", [b"hello\r\n", b" folded: first\r\n", b"\r\nhello\r\n", b"two words: x\r\n"]
)
def test_what_does_not_begin_with_a_header_is_a_body(start: bytes) -> None:
    content = read_content(start + b"From: z@example.com\r\n")
    assert content.is_from is None
    assert content.data == b"\r\n" + (start + b"From: z@example.com\r\n").removeprefix(b"\r\n")


@pytest.mark.parametrize("empty", [b"", b"\r\n"])
def test_an_empty_mail_has_an_empty_header(empty: bytes) -> None:
    assert read_content(empty).data == b"\r\n"


@pytest.mark.parametrize(
    ("header", "commands"),
    [
        (b"X-SES-CONFIGURATION-SET: a\r\n", ("X-SES-CONFIGURATION-SET",)),
        (b"x-ses-message-tags : a=b\r\n", ("x-ses-message-tags",)),
        (b"X-SES-SOURCE-ARN:\r\n arn\r\n", ("X-SES-SOURCE-ARN",)),
        (b"no header at all\r\nX-SES-Z: a\r\n", ("X-SES-Z",)),
        (b"X-Rq-Ses-Priority: high\r\nX-Ses-Y: a\r\n", ("X-Rq-Ses-Priority", "X-Ses-Y")),
        (b"X-Sesame: open\r\n", ()),
    ],
)
def test_headers_that_are_commands_are_found(header: bytes, commands: tuple[str, ...]) -> None:
    assert read_content(HEAD + header + BODY).commands == commands


def test_our_own_header_gives_the_priority_and_is_taken_out() -> None:
    content = read_content(HEAD + b"X-RQ-SES-Priority: Bulk\r\n" + BODY)
    assert (content.priority, content.data) == ("bulk", HEAD + BODY)
    assert refusal(HEAD + b"X-Rq-Ses-Priority: urgent\r\n" + BODY) is replies.PRIORITY
    assert "X-Rq-Ses-Key is not known" in refusal(HEAD + b"X-Rq-Ses-Key: k\r\n" + BODY).reply


@pytest.mark.parametrize(
    ("value", "is_from", "authors"),
    [
        (b"ann@Example.com", "ann@example.com", ("ann@example.com",)),
        (b'"Boss <boss@bank.example>" <ann@example.com>', "ann@example.com", ("ann@example.com",)),
        (b"ann@example.com, ben@example.org", "", ("ann@example.com", "ben@example.org")),
        (b"ann@example.com (ben@example.org)", "", ("ann@example.com", "ben@example.org")),
        (b"Ann\r\n <ann@example.com>", "ann@example.com", ("ann@example.com",)),
        (b"nobody", "", ()),
        (b"@ a@ @b", "", ("@", "a@", "@b")),
        (b"ann@example.com" + b" x" * 2048, "", ()),
        (b"", "", ()),
    ],
)
def test_everything_in_from_that_may_be_an_address_is_found(
    value: bytes, is_from: str, authors: tuple[str, ...]
) -> None:
    content = read_content(b"From: " + value + b"\r\n" + BODY)
    assert (content.is_from, content.authors) == (is_from, authors)


def test_the_sender_header_is_an_author_too() -> None:
    assert read_content(b"Sender: eve@example.net\r\n" + HEAD + BODY).authors == (
        "eve@example.net",
        "ann@example.com",
    )


def test_a_header_without_end_is_refused() -> None:
    line = b"X: " + b"x" * 900 + b"\r\n"
    assert refusal(HEAD + line * (MOST_HEADER // len(line) + 1) + BODY) is replies.LARGE_HEADER
    assert read_content(HEAD + BODY + line * (MOST_HEADER // len(line) + 1)).is_from == "ann@example.com"


def test_two_from_headers_are_refused() -> None:
    assert refusal(HEAD + b"from: eve@example.net\r\n" + BODY) is replies.TWO_FROMS


def test_a_mail_that_goes_round_is_refused() -> None:
    hops = b"Received: by x; date\r\n" * MOST_RECEIVED
    assert read_content(hops + HEAD + BODY).data == hops + HEAD + BODY
    assert refusal(hops + b"Received: by y; date\r\n" + HEAD + BODY) is replies.LOOP


@pytest.mark.parametrize("header", [b"Message-ID: <1@x>\r\n", b"DATE: today\r\n"])
def test_a_message_id_or_a_date_tells_a_mail_apart(header: bytes) -> None:
    assert read_content(HEAD + header + BODY).told_apart


@pytest.mark.parametrize(
    "hidden",
    [
        b'"eve"@evil.example',
        b"eve @ evil.example",
        b"eve@(home)evil.example",
        b"<@evil.example:ann@example.com>",
        b'(") eve@evil.example (")',
        b'x@["] eve@evil.example ["]',
        b'\\" eve@evil.example, "',
        b'" eve@evil.example',
    ],
)
def test_no_spelling_hides_an_address_from_the_list_of_senders(hidden: bytes) -> None:
    for value in (hidden + b", ann@example.com", b"ann@example.com, " + hidden):
        assert set(read_content(b"From: " + value + b"\r\n" + BODY).authors) != {"ann@example.com"}


def test_thousands_of_headers_to_take_out_are_no_thousand_copies_of_the_mail() -> None:
    copied = []
    size = 1_000_000

    class Counted(bytes):
        def __getitem__(self, place: Any) -> Any:
            found = super().__getitem__(place)
            copied.append(len(found) if isinstance(place, slice) else 0)
            return found

    mail = Counted(HEAD + b"Bcc: eve@example.net\r\n" * 2000 + b"\r\n" + b"x" * size)
    assert read_content(mail).data == HEAD + b"\r\n" + b"x" * size
    assert sum(copied) < 3 * size
