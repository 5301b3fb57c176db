"""AWS's shared config and credentials files: profiles by name, read as AWS's tools read them.

https://docs.aws.amazon.com/sdkref/latest/guide/file-format.html

In the config file a profile stands in `[profile NAME]` (`[default]` alone may go without the word), in the
credentials file in `[NAME]`. Where both have a key, the credentials file counts. No error repeats a line of a
file: it may hold a secret.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rq_ses.text.textfile import NotText, read_text

if TYPE_CHECKING:
    import configparser

DEFAULT: Final = "default"

Section = Mapping[str, str]


class FilesUnreadable(Exception):
    """Raised when one of the files can't be read; the text names file and line and repeats neither."""


def profile_region(profile: str | None, environment: Mapping[str, str]) -> str | None:
    """Return the region of a profile (None: "default"); None if it has none, or can't be read."""
    try:
        profiles = SharedFiles.named_by(environment).read()
    except FilesUnreadable:
        # Whoever needs credentials from there is told.
        return None
    return profiles.merged(profile or DEFAULT).get("region") or None


@dataclass(frozen=True, slots=True)
class SharedFiles:
    """Where the two files are."""

    config: Path
    credentials: Path

    @classmethod
    def named_by(cls, environment: Mapping[str, str]) -> SharedFiles:
        """Return what AWS_CONFIG_FILE and AWS_SHARED_CREDENTIALS_FILE name, else the files in ~/.aws."""
        return cls(
            _expanded(environment.get("AWS_CONFIG_FILE") or "~/.aws/config", environment),
            _expanded(environment.get("AWS_SHARED_CREDENTIALS_FILE") or "~/.aws/credentials", environment),
        )

    def read(self) -> Profiles:
        """Return what stands in them; a file that isn't there is an empty one. Raises FilesUnreadable."""
        sections = _sections(self.config)
        config = {name: sections[section] for section in sections if (name := _profile_name(section))}
        services = {name: sections[section] for section in sections if (name := _named("services", section))}
        return Profiles(self, config, _sections(self.credentials), services, frozenset(sections))


@dataclass(frozen=True, slots=True, repr=False)
class Profiles:
    """The profiles of both files."""

    files: SharedFiles
    config: Mapping[str, Section]
    credentials: Mapping[str, Section]
    services: Mapping[str, Section] = field(default_factory=dict)
    sections: frozenset[str] = frozenset()
    """All sections of the config file, profiles or not."""

    def __contains__(self, name: object) -> bool:
        return name in self.config or name in self.credentials

    def merged(self, name: str) -> Section:
        """Return a profile's values from both files; an unknown one has none."""
        return {**self.config.get(name, {}), **self.credentials.get(name, {})}

    def missing(self, name: str) -> str:
        """Return the words for a profile that isn't there, with the remedy."""
        hint = ""
        if name in self.sections:
            hint = f" (there is a section [{name}]: write [profile {name}])"
        return (
            f"there is no profile {name!r} in {self.files.config}{hint} or {self.files.credentials}: "
            "add it, or name another"
        )


def is_there(path: Path) -> bool:
    """Tell whether there is such a file, as far as this user can see."""
    try:
        return path.is_file()
    except OSError:
        return False


def _expanded(name: str, environment: Mapping[str, str]) -> Path:
    home = environment.get("HOME")
    if home and (name == "~" or name.startswith("~/")):
        return Path(home + name[1:])
    try:
        return Path(name).expanduser()
    except RuntimeError:
        # A user without a home has no such file.
        return Path(name)


def _profile_name(section: str) -> str | None:
    return DEFAULT if section == DEFAULT else _named("profile", section)


def _named(kind: str, section: str) -> str | None:
    """Return the name in a section `[KIND NAME]`."""
    if not section.startswith(kind):
        return None
    import shlex

    try:
        words = shlex.split(section)
    except ValueError:
        return None
    return words[1] if len(words) == 2 and words[0] == kind else None


def _sections(path: Path) -> dict[str, Section]:
    try:
        text = read_text(path)
    except OSError as exc:
        # In a container the home may well be another user's: what can't even be seen isn't there.
        if not is_there(path):
            return {}
        raise FilesUnreadable(f"{path} cannot be read: {exc.strerror}") from exc
    except NotText as exc:
        raise FilesUnreadable(f"{path} is no UTF-8 text: {exc}") from None
    import configparser  # here, for most workers have no such file

    parser = configparser.RawConfigParser()
    try:
        parser.read_string(text, source=path.name)
    except configparser.Error as exc:
        # Not chained: the cause repeats the line.
        raise FilesUnreadable(f"{path}, {_fault(exc)}") from None
    return {name: dict(parser[name]) for name in parser.sections()}


def _fault(exc: configparser.Error) -> str:
    import configparser

    if isinstance(exc, configparser.MissingSectionHeaderError):
        return f"line {exc.lineno}: it stands before the first [section]: write [default] above it"
    if isinstance(exc, configparser.DuplicateSectionError):
        return (
            f"line {exc.lineno}: the section [{exc.section}] stands there for the second time: join the two"
        )
    if isinstance(exc, configparser.DuplicateOptionError):
        return f"line {exc.lineno}: {exc.option} stands twice in [{exc.section}]: remove one"
    if isinstance(exc, configparser.ParsingError) and exc.errors:
        return f"line {exc.errors[0][0]}: it is no section and no 'name = value': correct it"
    return "it is no file of [section] and 'name = value'"
