"""Suppressed addresses in files: CSV or a JSON object a line, as we write them and as SES's console does.

    address,reason,at,text
    ann@example.com,bounce,2026-11-29T10:00:00Z,NoEmail

In a CSV without that first line the columns have this order, and all but the address may be missing. Names
and reasons of SES's are read, too: EmailAddress, Reason, LastUpdateTime; BOUNCE, COMPLAINT.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, BinaryIO, Final, Literal, get_args

from rq_ses.suppression.address import normal_form
from rq_ses.suppression.entry import REASONS, Reason, Suppressed, fitting
from rq_ses.text.invalid import shown
from rq_ses.text.localtime import FORM, read_moment
from rq_ses.text.plaintext import one_line
from rq_ses.text.textfile import read_lines

Form = Literal["csv", "jsonl"]
FORMS: Final[tuple[Form, ...]] = get_args(Form)

LINE_LIMIT: Final = 64 * 1024
COLUMNS: Final = ("address", "reason", "at", "text")

_NAMES: Final = {
    **{name: name for name in COLUMNS},
    **dict.fromkeys(("email", "emailaddress", "email_address", "e-mail"), "address"),
    **dict.fromkeys(("lastupdatetime", "time", "date"), "at"),
}
"""What columns and members may be called, in small letters."""

_OBJECT: Final = 'write {"address": "ann@example.com"}'
_LATEST: Final = 1e11
_FORMULA: Final = ("=", "+", "-", "@", "\t")
"""What a cell begins with that spreadsheets take for a formula."""


def read_rows(source: BinaryIO, form: Form, reason: Reason) -> Iterator[tuple[int, Suppressed | str]]:
    """Yield the number of each line that isn't blank, and its entry, or what is wrong with it.

    Entries without a reason have `reason`, and those without a moment have now. Raises NotText.
    """
    began = datetime.now(UTC)
    columns: tuple[str, ...] | None = None
    for number, content, _ in read_lines(source, limit=LINE_LIMIT):
        if content is None:
            yield number, f"has more than {LINE_LIMIT} bytes: write an address a line"
            continue
        try:
            text = content.decode("utf-8")
            if form == "jsonl":
                yield number, _entry(_members(text), reason, began)
                continue
            cells = next(csv.reader([text], strict=True))
            if columns is None:
                columns = _header(cells)
                if columns:
                    continue
                columns = COLUMNS
            yield number, _entry(dict(zip(columns, cells, strict=False)), reason, began)
        except UnicodeDecodeError:
            yield number, "is not UTF-8: save the file as UTF-8"
        except (ValueError, csv.Error) as exc:
            yield number, one_line(str(exc), 400, markup=True)


def written(entries: Iterable[Suppressed], form: Form) -> Iterator[str]:
    """Yield the lines of a file that `read_rows` reads."""
    if form == "csv":
        yield ",".join(COLUMNS)
    for one in entries:
        at = f"{one.at:%Y-%m-%dT%H:%M:%SZ}"
        if form == "jsonl":
            yield json.dumps(entry_object(one))
        else:
            line = io.StringIO()
            csv.writer(line, lineterminator="").writerow(
                (_inert(one.address), one.reason, at, _inert(one.text))
            )
            yield line.getvalue()


def entry_object(one: Suppressed) -> dict[str, str]:
    """Return an entry as JSON has it."""
    found = {"address": one.address, "reason": one.reason, "at": f"{one.at:%Y-%m-%dT%H:%M:%SZ}"}
    return {**found, "text": one.text} if one.text else found


def _inert(cell: str) -> str:
    """Return a cell that no spreadsheet takes for a formula, and that is read as what it was."""
    if not cell.startswith(_FORMULA):
        return cell
    local, at, domain = cell.rpartition("@")
    return f'"{local}"@{domain}' if at and " " not in cell else f" {cell}"


def _header(cells: list[str]) -> tuple[str, ...] | None:
    """Return what the columns are, if a first line says so."""
    names = tuple(_NAMES.get(cell.strip().lower(), "") for cell in cells)
    return names if "address" in names else None


def _members(text: str) -> Mapping[str, Any]:
    try:
        found = json.loads(text)
    except RecursionError:
        raise ValueError(f"is nested too deep: {_OBJECT}") from None
    except ValueError as exc:
        raise ValueError(f"is no JSON ({exc}): {_OBJECT}") from None
    if not isinstance(found, dict):
        raise ValueError(f"is no object: {_OBJECT}")  # noqa: TRY004
    return {_NAMES[name.lower()]: value for name, value in found.items() if name.lower() in _NAMES}


def _entry(fields: Mapping[str, Any], reason: Reason, began: datetime) -> Suppressed:
    """Return an entry. Raises ValueError."""
    address = fields.get("address")
    if not isinstance(address, str) or not address.strip():
        raise ValueError("address: is missing: give one, such as ann@example.com")
    text = fields.get("text") or ""
    if not isinstance(text, str):
        raise ValueError(f"text: {shown(text)} is no text: give some, or none")  # noqa: TRY004
    given = fields.get("reason") or reason
    word = given.strip().lower() if isinstance(given, str) else ""
    if word not in REASONS:
        raise ValueError(f"reason: {shown(given)} is none: give one of {', '.join(REASONS)}")
    return Suppressed(normal_form(address), word, _moment(fields.get("at"), began), fitting(text))


def _moment(given: object, otherwise: datetime) -> datetime:
    """Return a moment: ISO 8601, or epoch seconds as SES's API has them. Raises ValueError."""
    if given is None or given == "":
        return otherwise
    if isinstance(given, str):
        try:
            number = float(given)
        except ValueError:
            return read_moment(given.strip())
        given = number
    if isinstance(given, bool) or not isinstance(given, int | float) or not 0 <= given < _LATEST:
        raise ValueError(f"at: {shown(given)} is no moment: write {FORM}, or epoch seconds")
    return datetime.fromtimestamp(given, UTC)
