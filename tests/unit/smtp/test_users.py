"""The file of users, and the check of a password."""

from __future__ import annotations

from pathlib import Path

import pytest

from rq_ses.errors import SettingsError
from rq_ses_worker.smtp.access.users import PasswordHash, parse_user, read_users

HASH = "$scrypt$ln=14,r=8,p=1$c2FsdCBvZiB0aGUgdGVzdA$A8S3EI7IDM+WyCaqp4jEHmwmze4y97KZK5AQwVKmZfk"
"""Of `correct horse`."""


def test_a_hash_is_read_back_and_matches_its_password_alone() -> None:
    made = PasswordHash.parse(HASH)
    assert str(made) == HASH
    assert made.matches(b"correct horse")
    assert not made.matches(b"correct horsf")
    assert str(PasswordHash.of(b"correct horse")) != HASH
    assert made.digest.hex() not in repr(made)


def test_a_line_says_what_a_user_may_do() -> None:
    plain = parse_user(f"wordpress {HASH}")
    assert (plain.name, plain.headers, plain.senders) == ("wordpress", False, frozenset())
    shop = parse_user(f"shop\t{HASH} senders=Shop.example.com,ann@example.com headers")
    assert (shop.headers, shop.senders) == (True, {"shop.example.com", "ann@example.com"})
    assert HASH not in repr(shop)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("alone", "'alone' has no hash: make one with rq-ses smtp hash-password alone"),
        ("ann password", "what stands behind 'ann' is no hash of a password"),
        (f"änn {HASH}", "'änn' is no name"),
        (f"ann {HASH} admin", "'admin' is not known: there are headers, and senders=LIST"),
        (f"ann {HASH} senders=nowhere", "'nowhere' is neither an address nor a domain"),
        (f"ann {HASH.replace('ln=14', 'ln=13')}", "is a hash of other costs"),
        (f"ann {HASH.replace('ln=14', 'ln=20')}", "is a hash of other costs"),
        (f"ann {HASH.replace('r=8', 'r=99')}", "is a hash of other costs"),
    ],
)
def test_a_bad_line_is_told_without_its_hash(line: str, problem: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        parse_user(line)
    assert problem in str(caught.value)
    assert HASH[30:] not in str(caught.value)


def test_a_file_is_read_with_all_its_problems_at_once(tmp_path: Path) -> None:
    path = tmp_path / "users"
    path.write_text(f"# who\n\nann {HASH}\nben\nann {HASH}\n")
    with pytest.raises(SettingsError) as caught:
        read_users(str(path))
    first, second = caught.value.problems
    assert first.startswith(f"RQ_SES_SMTP_USERS: {path}, line 4: 'ben' has no hash")
    assert second == f"RQ_SES_SMTP_USERS: {path}, line 5: 'ann' stands there twice"
    path.write_text("# nobody\n")
    with pytest.raises(SettingsError, match="has no user"):
        read_users(str(path))
    with pytest.raises(SettingsError, match="can't be read: No such file"):
        read_users(str(tmp_path / "none"))
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsError, match="no text in UTF-8"):
        read_users(str(path))


def test_a_password_that_was_right_is_known_again_and_no_other_is(tmp_path: Path) -> None:
    path = tmp_path / "users"
    path.write_text(f"ann {HASH}\n")
    users = read_users(str(path))
    assert users.remembered("ann", b"correct horse") is None
    assert users.checked("ann", b"wrong password") is None
    assert users.remembered("ann", b"wrong password") is None
    assert users.checked("nobody", b"correct horse") is None
    found = users.checked("ann", b"correct horse")
    assert found is not None
    assert found.name == "ann"
    assert users.remembered("ann", b"correct horse") is found
    assert users.remembered("ann", b"wrong password") is None
    assert users.remembered("nobody", b"correct horse") is None
