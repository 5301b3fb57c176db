"""A file that goes with a message."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, Strict, model_validator

from rq_ses.message import headertext
from rq_ses.message.filetype import UNKNOWN, filetype
from rq_ses.message.frozen import Frozen
from rq_ses.message.limits import MIME_LINE
from rq_ses.message.mime.lines import long_line
from rq_ses.message.payload import Octets


class Attachment(Frozen):
    """One file: in Python its content is bytes and never a str, in JSON a string in standard base64.

    With a `content_id` it is inline, and HTML shows it as `<img src="cid:THE_ID">`. A type that isn't given
    is the one that the file's name tells, the same on every machine. Raises pydantic.ValidationError.

    Attributes:
        filename (str): the name that the recipient sees; 1 to 255 characters.
        content (bytes): what is in the file; `text.encode()` of a text, `path.read_bytes()` of a file.
        content_type (str): a MIME type, with parameters or without; 78 characters at most.
        content_id (str | None): what HTML calls it; 1 to 78 printable ASCII characters, each once a mail.
        description (str | None): one line of 1 to 1,000 characters.
        disposition (str | None): "attachment" or "inline"; else inline with a `content_id` alone.
        transfer_encoding (str | None): how SES writes it, "base64", "quoted-printable" or "7bit"; else as it
            sees fit.
    """

    filename: Annotated[str, Strict(), AfterValidator(headertext.filename)]
    content: Octets = Field(repr=False)
    content_type: Annotated[str, Strict(), AfterValidator(headertext.content_type)] = ""
    content_id: Annotated[str, Strict(), AfterValidator(headertext.content_id)] | None = None
    disposition: Literal["attachment", "inline"] | None = None
    transfer_encoding: Literal["base64", "quoted-printable", "7bit"] | None = None
    description: Annotated[str, Strict(), AfterValidator(headertext.content_description)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _guess_type(cls, fields: Any) -> Any:
        # The default, "", is never a value: so the type stands in every payload, and is guessed only once.
        if isinstance(fields, Mapping) and fields.get("content_type") is None:
            name = fields.get("filename")
            return {**fields, "content_type": filetype(name) if isinstance(name, str) else UNKNOWN}
        return fields

    @model_validator(mode="after")
    def _check_encoding(self) -> Self:
        content = self.content
        if self.transfer_encoding == "7bit" and (
            not content.isascii() or b"\0" in content or long_line(content)
        ):
            raise ValueError(
                f"transfer_encoding 7bit takes ASCII without NUL in lines of at most {MIME_LINE.most} bytes: "
                "leave it to SES, or use base64"
            )
        return self
