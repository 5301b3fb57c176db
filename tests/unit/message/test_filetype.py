from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from rq_ses import Attachment, Message
from rq_ses.message import headertext
from rq_ses.message.filetype import _ENDINGS, _TYPES, UNKNOWN, filetype
from rq_ses.message.render import send_email_request

OFFICE = "application/vnd.openxmlformats-officedocument"


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("report.pdf", "application/pdf"),
        ("a.b/C.PNG", "image/png"),
        ("Orders 2026.XLSX", f"{OFFICE}.spreadsheetml.sheet"),
        ("letter.docx", f"{OFFICE}.wordprocessingml.document"),
        ("talk.pptx", f"{OFFICE}.presentationml.presentation"),
        ("letter.odt", "application/vnd.oasis.opendocument.text"),
        ("orders.ods", "application/vnd.oasis.opendocument.spreadsheet"),
        ("talk.odp", "application/vnd.oasis.opendocument.presentation"),
        ("invite.ics", "text/calendar"),
        ("photo.webp", "image/webp"),
        ("photo.avif", "image/avif"),
        ("photo.heic", "image/heic"),
        ("logo.svg", "image/svg+xml"),
        ("readme.md", "text/markdown"),
        ("book.epub", "application/epub+zip"),
        ("ticket.pkpass", "application/vnd.apple.pkpass"),
        ("mail.eml", "message/rfc822"),
        ("files.7z", "application/x-7z-compressed"),
        ("rows.csv", "text/csv"),
        ("rows.json", "application/json"),
        ("face.woff2", "font/woff2"),
        ("ann.vcf", "text/vcard"),
        ("invoice.xml", "text/xml"),
        ("note.txt", "text/plain"),
        ("backup.tar.gz", UNKNOWN),
        ("noextension", UNKNOWN),
        ("name.unheard-of", UNKNOWN),
        (".bashrc", UNKNOWN),
        (".pdf", UNKNOWN),
        ("dot.", UNKNOWN),
        ("data:text/html,x", UNKNOWN),
        ("http://[::1", UNKNOWN),
    ],
)
def test_a_files_name_tells_its_type(name: str, kind: str) -> None:
    assert Attachment(filename=name, content=b"").content_type == kind


def test_every_type_is_one_that_a_message_takes_and_no_ending_stands_twice() -> None:
    for kind in _ENDINGS:
        assert headertext.content_type(kind) == kind
    assert len(_TYPES) == sum(len(endings.split()) for endings in _ENDINGS.values())
    assert {ending for ending in _TYPES if ending != ending.lower()} == set()


def test_what_the_system_says_of_types_does_not_change_a_message(tmp_path: Path) -> None:
    table = tmp_path / "mime.types"
    table.write_text("application/x-other pdf xlsx zzz\n")
    script = f"""
import mimetypes
mimetypes.init([{str(table)!r}])
mimetypes.add_type("application/x-other", ".docx")
from rq_ses import Attachment
for end in ("pdf", "xlsx", "docx", "zzz"):
    print(Attachment(filename=f"a.{{end}}", content=b"").content_type)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [filetype(f"a.{end}") for end in ("pdf", "xlsx", "docx", "zzz")]
    assert "x-other" not in done.stdout


def test_a_given_type_is_kept_with_its_parameters() -> None:
    kind = "text/calendar; method=REQUEST; charset=UTF-8"
    invitation = Attachment(filename="invite.ics", content=b"BEGIN:VCALENDAR", content_type=kind)
    message = Message(
        sender="a@example.com", to="b@example.com", subject="Hi", text="Hello", attachments=[invitation]
    )
    again = Message.model_validate_json(message.to_payload())
    (rendered,) = send_email_request(again)["Content"]["Simple"]["Attachments"]
    assert rendered["ContentType"] == kind
