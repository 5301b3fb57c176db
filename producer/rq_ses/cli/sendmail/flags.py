"""The command line of sendmail as programs write it: what counts of it, and what can't be obeyed.

    sendmail -FCronDaemon -i -B8BITMIME -oem root
    sendmail -t -i -f shop@example.com

Letters may stand together (`-ti`), and a value in the same word (`-oem`, `-fshop@example.com`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from rq_ses.text.invalid import shown

_WITH_VALUE: Final = frozenset("ABbCDeFfhLMNOopRrVX")
_VALUE_ATTACHED: Final = frozenset("dQq")
"""A value can only stand in the same word."""

_ALONE: Final = frozenset("cGIimnsTtUvx")

_REFUSED: Final = {
    "C": "it has no configuration file of sendmail's: RQ_SES_CONFIG names rq-ses's own",
    "I": "there is no file of aliases: RQ_SES_SENDMAIL_LOCAL says who gets the mails of local users",
    "Q": "mails can't be put into quarantine",
    "q": "workers send what is queued: `rq-ses worker`",
}
"""What somebody relies on, and nobody here does."""

_MODES: Final = {
    "s": "it takes no SMTP on standard input: `rq-ses smtp` takes it at a port",
    "d": "it is no server: `rq-ses smtp` is one, and `rq-ses worker` sends",
    "D": "it is no server: `rq-ses smtp` is one, and `rq-ses worker` sends",
    "p": "`rq-ses status` shows the queue",
    "i": "there is no file of aliases: RQ_SES_SENDMAIL_LOCAL says who gets the mails of local users",
}


class BadFlags(ValueError):
    """Raised for a command line that can't be obeyed."""


@dataclass(slots=True)
class Flags:
    """What a command line asks for; what is harmless and of no meaning here is left out."""

    recipients: list[str] = field(default_factory=list)
    from_header: bool = False
    """-t: the recipients of the header get it, too."""
    dots: bool = False
    """-i: a line that is a dot alone doesn't end the mail."""
    sender: str = ""
    """-f, -r: where bounces go."""
    name: str = ""
    """-F: the sender's full name, where the mail doesn't say it."""
    verbose: bool = False


def read_flags(arguments: Sequence[str]) -> Flags:
    """Return what the arguments ask for. Raises BadFlags."""
    flags = Flags()
    for letter, value in _letters(arguments):
        if not letter:
            flags.recipients.append(value)
        elif letter == "b" and value != "m":
            raise BadFlags(f"-b{value} can't be obeyed: {_MODES.get(value, 'it only takes mails (-bm)')}")
        elif letter in _REFUSED:
            raise BadFlags(f"-{letter} can't be obeyed: {_REFUSED[letter]}")
        else:
            _note(flags, letter, value)
    if not (flags.recipients or flags.from_header):
        raise BadFlags("nobody is to get it: name recipients, or give -t for those of the header")
    return flags


def _note(flags: Flags, letter: str, value: str) -> None:
    match letter:
        case "t":
            flags.from_header = True
        case "i":
            flags.dots = True
        case "o" if value == "i":
            flags.dots = True
        case "v":
            flags.verbose = True
        case "f" | "r":
            flags.sender = value
        case "F":
            flags.name = value
        case _:  # how to queue, how to tell of errors, DSN, debugging: nothing that would change the mail
            pass


def _letters(arguments: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield each flag's letter with its value, and what is no flag with "" as its letter."""
    rest = iter(arguments)
    for word in rest:
        if word == "--":
            yield from (("", one) for one in rest)
        elif word.startswith("-") and word != "-":
            yield from _of_word(word, rest)
        else:
            yield "", word


def _of_word(word: str, rest: Iterator[str]) -> Iterator[tuple[str, str]]:
    for place, letter in enumerate(word[1:], 1):
        if letter in _WITH_VALUE:
            value = word[place + 1 :] or next(rest, None)
            if value is None:
                raise BadFlags(f"-{letter} lacks its value")
            yield letter, value
            return
        if letter in _VALUE_ATTACHED:
            yield letter, word[place + 1 :]
            return
        if letter not in _ALONE:
            raise BadFlags(f"{shown(word)} is no flag of sendmail's: `rq-ses sendmail --help` shows them")
        yield letter, ""
