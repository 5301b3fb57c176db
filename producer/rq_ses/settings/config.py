"""The settings file: TOML in the form of an endpoint with an SES transport, and a table for the rest.

    [endpoints.transport]
    type = "ses"

    [endpoints.transport.settings]
    access_key_id = "${env.AWS_ACCESS_KEY_ID}"
    secret_access_key = "${env.AWS_SECRET_ACCESS_KEY}"
    region = "us-east-1"

    [rq_ses]
    concurrency = 32

`[[endpoints]]`, an array, does as well if exactly one has an SES transport; the others are left alone. A
producer reads its own settings in [rq_ses] and no others: it has no business with the transport's secrets.
But a name that is nobody's is refused by everybody.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from rq_ses.settings import declared
from rq_ses.text.invalid import shown
from rq_ses.text.textfile import read_text

_TRANSPORT: Final = {
    "access_key_id": "aws_access_key_id",
    "secret_access_key": "aws_secret_access_key",
    "session_token": "aws_session_token",
    "region": "aws_region",
    "base_url": "base_url",
}
"""The transport's settings, and ours that they are."""

_TABLES: Final = ("endpoints", "rq_ses")
_ELSEWHERE: Final = frozenset({*_TRANSPORT.values(), "config"})
"""Settings that don't stand in [rq_ses]."""

_SETTINGS: Final = "endpoints.transport.settings"
_REFERENCE: Final = re.compile(r"\$\{([^{}]*)\}")
_VARIABLE: Final = re.compile(r"env\.([A-Za-z_][A-Za-z0-9_]*)")


@dataclass(slots=True)
class Config:
    """What a file says: values by setting, and what is wrong, by setting or by place in the file."""

    values: dict[str, Any] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)


def read_config(
    path: str,
    environment: Mapping[str, str],
    names: Collection[str],
    *,
    others: Callable[[], Collection[str]] | None = None,
) -> Config:
    """Return what the file at `path` says; a file that can't be read is a problem, not an exception.

    Args:
        path: of the file.
        environment: what ${env.NAME} stands for.
        names: the settings that are read.
        others: the settings of others that [rq_ses] may hold, too; then the transport is left alone.
    """
    try:
        text = read_text(path)
    except (OSError, ValueError) as exc:
        reason = (exc.strerror if isinstance(exc, OSError) else None) or str(exc)
        return Config(problems={"config": f"RQ_SES_CONFIG: {shown(path, 200)} cannot be read: {reason}"})
    return parse_config(text, path, environment, names, others=others)


def parse_config(
    text: str,
    path: str,
    environment: Mapping[str, str],
    names: Collection[str],
    *,
    others: Callable[[], Collection[str]] | None = None,
) -> Config:
    """Return what `text` says, as `read_config` does; `path` names it in problems."""
    import tomllib  # here, for few have a file

    try:
        document = tomllib.loads(text)
    except (ValueError, RecursionError) as exc:
        reason = str(exc) if isinstance(exc, tomllib.TOMLDecodeError) else "nested too deep"
        return Config(problems={"config": f"{path}: is not TOML: {reason}"})
    reader = _Reader(path, environment, names)
    return reader.read(document) if others is None else reader.read_own(document, others)


class _Reader:
    def __init__(self, path: str, environment: Mapping[str, str], names: Collection[str]) -> None:
        self._path = path
        self._environment = environment
        self._names = set(names) - _ELSEWHERE
        self._config = Config()

    def read(self, document: Mapping[str, Any]) -> Config:
        self._refuse_unknown(document, "", _TABLES)
        if "endpoints" in document:
            endpoint = self._endpoint(document["endpoints"])
            if endpoint is not None:
                self._read_endpoint(endpoint)
        table = self._table(document, "", "rq_ses")
        for name, value in table.items():
            if name in self._names:
                self._take(name, f"rq_ses.{name}", value)
            # What another command reads may stand beside it.
            elif name not in declared.fields() - _ELSEWHERE:
                self._unknown(name, f"rq_ses.{name}", self._names)
        return self._config

    def read_own(self, document: Mapping[str, Any], others: Callable[[], Collection[str]]) -> Config:
        self._refuse_unknown(document, "", _TABLES)
        table = self._table(document, "", "rq_ses")
        for name in self._names & table.keys():
            self._take(name, f"rq_ses.{name}", table[name])
        foreign = sorted(table.keys() - self._names)
        theirs = set(others()) if foreign else set()
        known = self._names | theirs - _ELSEWHERE
        for name in foreign:
            if theirs and name not in known:
                self._unknown(name, f"rq_ses.{name}", known)
        return self._config

    def _endpoint(self, endpoints: Any) -> Mapping[str, Any] | None:
        if isinstance(endpoints, Mapping):
            return endpoints
        if not isinstance(endpoints, list):
            self._problem("endpoints", f"is {shown(endpoints)}: write [endpoints.transport] or [[endpoints]]")
            return None
        found = [endpoint for endpoint in endpoints if _is_ses(endpoint)]
        if len(found) != 1:
            self._problem("endpoints", f'{len(found)} have a transport of type "ses": give exactly one')
            return None
        endpoint: Mapping[str, Any] = found[0]
        return endpoint

    def _read_endpoint(self, endpoint: Mapping[str, Any]) -> None:
        self._refuse_unknown(endpoint, "endpoints", ("transport",))
        if "transport" not in endpoint:
            self._problem("endpoints.transport", 'is missing: write [endpoints.transport] with type = "ses"')
        transport = self._table(endpoint, "endpoints", "transport")
        if not transport:
            return
        self._refuse_unknown(transport, "endpoints.transport", ("type", "settings"))
        if transport.get("type") != "ses":
            kind = f"is {shown(transport['type'])}" if "type" in transport else "is missing"
            self._problem("endpoints.transport.type", f'{kind}: write type = "ses"')
        settings = self._table(transport, "endpoints.transport", "settings")
        self._refuse_unknown(settings, _SETTINGS, tuple(_TRANSPORT))
        for name in _TRANSPORT.keys() & settings.keys():
            self._take(_TRANSPORT[name], f"{_SETTINGS}.{name}", settings[name])

    def _table(self, parent: Mapping[str, Any], place: str, name: str) -> Mapping[str, Any]:
        value = parent.get(name, {})
        if isinstance(value, Mapping):
            return value
        full = f"{place}.{name}" if place else name
        self._problem(full, f"is not a table: write [{full}]")
        return {}

    def _take(self, name: str, place: str, value: Any) -> None:
        if not isinstance(value, str):
            self._config.values[name] = value
            return
        wrong = []
        for reference in _REFERENCE.findall(value):
            variable = _VARIABLE.fullmatch(reference)
            if not variable:
                wrong.append(f"{shown('${' + reference + '}')} is not understood: write ${{env.NAME}}")
            elif not self._environment.get(variable[1]):
                wrong.append(f"the environment variable {variable[1]} is not set: set it")
        if "${" in _REFERENCE.sub("", value):
            wrong.append("a ${ is not closed: write ${env.NAME}")
        if wrong:
            self._problem(place, "; ".join(dict.fromkeys(wrong)), name)
            return
        self._config.values[name] = _REFERENCE.sub(lambda m: self._environment[m[1][4:]], value)

    def _refuse_unknown(self, table: Mapping[str, Any], place: str, known: tuple[str, ...]) -> None:
        for name in table.keys() - set(known):
            self._unknown(name, f"{place}.{name}" if place else name, known)

    def _unknown(self, name: str, place: str, known: Collection[str]) -> None:
        if belongs := self._belongs(name, place):
            self._problem(place, f"is not known here: write it as {belongs}")
            return
        instead = declared.meant(name, sorted(known))
        remedy = (
            f"did you mean {instead}?" if instead else f"remove it, or use one of {', '.join(sorted(known))}"
        )
        self._problem(place, f"is not known here: {remedy}")

    def _belongs(self, name: str, place: str) -> str:
        """Return where a setting that stands in another place belongs, "" if nobody has such a setting."""
        if place not in (name, f"rq_ses.{name}"):
            return ""
        if name in _TRANSPORT or name in _TRANSPORT.values():
            return place_of(_TRANSPORT.get(name, name))
        return place_of(name) if place == name and name in self._names else ""

    def _problem(self, place: str, text: str, name: str = "") -> None:
        # What stands at the top of a file is no setting, though it may have the name of one.
        key = place if "." in place or place in _TABLES else f".{place}"
        self._config.problems[name or key] = f"{self._path}, {place}: {text}"


def place_of(name: str) -> str:
    """Return where in a file a setting stands."""
    theirs = next((theirs for theirs, ours in _TRANSPORT.items() if ours == name), None)
    return f"{_SETTINGS}.{theirs}" if theirs else f"rq_ses.{name}"


def _is_ses(endpoint: Any) -> bool:
    transport = endpoint.get("transport") if isinstance(endpoint, Mapping) else None
    return isinstance(transport, Mapping) and transport.get("type") == "ses"
