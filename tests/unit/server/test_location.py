from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from rq_ses import Outbox
from rq_ses.deadletter import DeadLetters
from rq_ses.mails import Mails
from rq_ses.server.location import Location

URL = "redis://:s3cret@127.0.0.1:6379/0"


@pytest.mark.parametrize("kind", [Outbox, Mails, DeadLetters])
def test_a_url_given_as_the_connection_is_refused(kind: Callable[..., Any]) -> None:
    with pytest.raises(TypeError, match=r"connection: a builtins\.str can't be used: .*a URL as redis_url"):
        kind(connection=URL)


@pytest.mark.parametrize("kind", [Outbox, Mails, DeadLetters])
def test_an_empty_url_is_no_absent_one(kind: Callable[..., Any]) -> None:
    with pytest.raises(ValueError, match="is not the URL of a Redis server"):
        kind("")
    with pytest.raises(ValueError, match="give exactly one of them"):
        kind()


def test_the_repr_of_a_location_shows_no_password() -> None:
    assert "s3cret" not in repr(Location.given(URL, None, to="Outbox"))
