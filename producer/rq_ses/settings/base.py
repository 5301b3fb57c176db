"""What all classes of settings share: how they are read, and where their values come from."""

from __future__ import annotations

from typing import ClassVar

from pydantic import PrivateAttr
from pydantic_settings import BaseSettings, SettingsConfigDict

from rq_ses.settings.setting import PREFIX
from rq_ses.settings.together import Together


class Settings(BaseSettings):
    """Settings that stand in the environment under RQ_SES_ and their names in capitals, and never change.

    Built directly, they are read from the environment alone; `rq_ses.settings.loading` reads the rest.
    Raises pydantic.ValidationError.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_file=None,
        env_ignore_empty=True,
        populate_by_name=True,
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
    )

    readers: ClassVar[str] = ""
    """What reads exactly these, for the tables: commands of rq-ses in backticks."""

    together: ClassVar[tuple[Together, ...]] = ()
    """Those that are taken from one place, or not at all."""

    _origins: dict[str, str] = PrivateAttr(default_factory=dict)
    _unused: tuple[str, ...] = PrivateAttr(default=())

    def origin(self, name: str) -> str:
        """Return where a setting comes from: "the environment", "the file PATH"; "" if that isn't known."""
        return self._origins.get(name, "")

    @property
    def unused(self) -> tuple[str, ...]:
        """What was set and isn't used, since the group it belongs to comes from another place."""
        return self._unused
