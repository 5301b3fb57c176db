"""Write the tables of settings into README.md, docs/settings.md and the sources: a docstring, and all names.

They are made of the declarations (rq_ses.settings.setting). `make tables` writes them. With --check nothing
is written, and the exit code is 1 if a file is not as the declarations have it; a test asks for that.
"""

from __future__ import annotations

import re
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from rq_ses.settings.declared import all_variables, describe
from rq_ses.settings.environment import PREFIX
from rq_ses.settings.gate import GateSettings
from rq_ses.settings.producer import ProducerSettings
from rq_ses.settings.sendmail import SendmailSettings
from rq_ses.settings.setting import Setting
from rq_ses_worker.settings.audit import AuditSettings
from rq_ses_worker.settings.feedback import FeedbackCommandSettings
from rq_ses_worker.settings.smtp import SmtpSettings
from rq_ses_worker.settings.worker import WorkerSettings

ROOT = Path(__file__).parents[1]

_KINDS = (
    ProducerSettings, GateSettings, AuditSettings, WorkerSettings, SendmailSettings, SmtpSettings,
    FeedbackCommandSettings,
)  # fmt: skip

_BETWEEN_MARKS = re.compile(
    r"(?<=<!-- settings: written by `make tables` -->\n)(.*?)(?=<!-- /settings -->)", re.DOTALL
)
_ATTRIBUTES = re.compile(r'(?<=    Attributes:\n)(.*?)(?=    """)', re.DOTALL)
_NAMES = re.compile(r"(?<=# fmt: off\n)(.*?)(?=\"\"\"Those of)", re.DOTALL)
_LINK = re.compile(r"(?<=\]\()(?=[a-z/-]+\.md)")


def _all() -> Iterator[Setting]:
    """Yield every setting there is: the worker's, who has nearly all, and what others alone have."""
    yield from describe(WorkerSettings)
    for kind in (SendmailSettings, SmtpSettings, FeedbackCommandSettings):
        yield from (one for one in describe(kind) if one.name not in WorkerSettings.model_fields)


def readme_table() -> Iterator[str]:
    """Yield the lines of the README's table."""
    yield from ("| variable | default | meaning |", "|---|---|---|")
    for setting in _all():
        yield f"| {_names(setting)} | {_default(setting)} | {_LINK.sub('docs/', _fragment(setting))} |"


def reference_table() -> Iterator[str]:
    """Yield the lines of the table in docs/settings.md."""
    # Four columns: with one for each of option, default and values a phone breaks every name in three.
    yield from ("| variable | option, default, values | read by | meaning |", "|---|---|---|---|")
    for setting in _all():
        yield f"| {_names(setting)} | {_given(setting)} | {readers(setting)} | {_fragment(setting)} |"


def attributes() -> Iterator[str]:
    """Yield the lines about attributes in ProducerSettings's docstring."""
    for setting in describe(ProducerSettings):
        line = f"{setting.name} ({setting.kind.__name__}): {setting.meaning}"
        yield from textwrap.wrap(line, 110, initial_indent=" " * 8, subsequent_indent=" " * 12)


def names() -> Iterator[str]:
    """Yield the lines of the sets in rq_ses.settings.known."""
    producers = [variable for setting in describe(ProducerSettings) for variable in setting.variables]
    yield from _set("KNOWN", all_variables())
    yield from ("", *_set("PRODUCERS", producers))


def _set(name: str, variables: Iterable[str]) -> Iterator[str]:
    yield f"{name}: Final = frozenset({{"
    yield from (f'    "{one}",' for one in sorted(set(variables)) if one.startswith(PREFIX))
    yield "})"


def readers(setting: Setting) -> str:
    """Return what reads a setting: that whose class of settings has it."""
    # The file counts for all of them, whether its name is a field of their class or not.
    if setting.name == "config" or setting.name in ProducerSettings.model_fields:
        return ProducerSettings.readers
    return ", ".join(kind.readers for kind in _KINDS if setting.name in kind.model_fields)


FILES: dict[str, tuple[re.Pattern[str], Callable[[], Iterator[str]]]] = {
    "README.md": (_BETWEEN_MARKS, readme_table),
    "docs/settings.md": (_BETWEEN_MARKS, reference_table),
    "producer/rq_ses/settings/producer.py": (_ATTRIBUTES, attributes),
    "producer/rq_ses/settings/known.py": (_NAMES, names),
}
"""What is written where."""


def main(arguments: list[str]) -> int:
    """Write all files, or with --check name those that would change."""
    stale = 0
    for name, (place, lines) in FILES.items():
        path = ROOT / name
        text = path.read_text()
        written = "".join(f"{line}\n" for line in lines())
        new, found = place.subn(lambda _, written=written: written, text)
        if not found:
            raise ValueError(f"{name} lacks the place where the settings are to stand: {place.pattern}")
        if new != text and "--check" in arguments:
            sys.stderr.write(f"{name} is not as the settings are declared: make tables\n")
            stale = 1
        elif new != text:
            path.write_text(new)
    return stale


def _names(setting: Setting) -> str:
    first, *others = (f"`{variable}`" for variable in setting.variables)
    return f"{first} (or {', '.join(others)})" if others else first


def _default(setting: Setting) -> str:
    return f"`{setting.default_text}`" if isinstance(setting.default, str) else setting.default_text


def _values(setting: Setting) -> str:
    """Return what it may be besides its default, or the range of that."""
    choices = (
        ("false", "true") if setting.kind is bool else tuple(f"`{choice}`" for choice in setting.choices)
    )
    others = ", ".join(choice for choice in choices if choice != _default(setting))
    return f"or {others}" if others else setting.range


def _given(setting: Setting) -> str:
    """Return how it is given: its option on a line of its own, then its default and what else it may be."""
    option = f"`{setting.option}`" if setting.option else ""
    value = ", ".join(part for part in (_default(setting), _values(setting)) if part)
    return "<br>".join(part for part in (option, value) if part)


def _fragment(setting: Setting) -> str:
    """Return the sentence as a cell has it."""
    return setting.markdown.removesuffix(".")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
