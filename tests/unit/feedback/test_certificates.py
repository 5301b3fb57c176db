"""Certificates: fetched once, kept only when they could be, and never fetched where a file is given."""

from __future__ import annotations

import threading
from pathlib import Path
from ssl import DER_cert_to_PEM_cert

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import load_pem_x509_certificate

from rq_ses.feedback import certificates
from rq_ses.feedback.certificates import MOST_AT_A_TIME, MOST_KEPT, Certificates, Unavailable
from rq_ses.feedback.fetching import NotFetched
from rq_ses_worker.simulator.events.signer import Signer

URL = "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-00.pem"
NAME = "SimpleNotificationService-00.pem"


def test_a_certificate_is_fetched_once(signer: Signer) -> None:
    asked: list[str] = []
    found = Certificates(fetch=lambda url: asked.append(url) or signer.certificate)  # type: ignore[func-returns-value]
    assert [found.key(URL, NAME).key_size for _ in range(3)] == [2048] * 3
    assert asked == [URL]


@pytest.mark.parametrize("answer", [b"<html>please log in</html>", b"", None])
def test_a_failure_is_never_kept(signer: Signer, answer: bytes | None) -> None:
    answers = [answer, answer, signer.certificate]

    def fetch(_: str) -> bytes:
        given = answers.pop(0)
        if given is None:
            raise NotFetched("it was answered with 404")
        return given

    found = Certificates(fetch=fetch)
    for _ in range(2):
        with pytest.raises(Unavailable, match="can't be fetched"):
            found.key(URL, NAME)
    assert found.key(URL, NAME)


def test_a_file_that_is_named_like_the_certificate_is_taken_in_its_place(
    signer: Signer, tmp_path: Path
) -> None:
    (tmp_path / NAME).write_bytes(signer.certificate)

    def fetch(_: str) -> bytes:
        raise NotFetched("no way out")

    found = Certificates([tmp_path / NAME], fetch)
    assert found.key(URL, NAME)
    with pytest.raises(Unavailable):
        found.key(URL.replace("00", "01"), NAME.replace("00", "01"))


def test_a_file_that_is_no_certificate_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.pem").write_text("nothing")
    with pytest.raises(ValueError, match=r"x\.pem' is no certificate of SNS's in PEM"):
        Certificates([tmp_path / "x.pem"])
    with pytest.raises(ValueError, match=r"y\.pem' can't be read: No such file"):
        Certificates([tmp_path / "y.pem"])


def test_a_file_that_would_never_be_looked_at_for_its_name_is_named(signer: Signer, tmp_path: Path) -> None:
    (tmp_path / "sns.pem").write_bytes(signer.certificate)
    with pytest.raises(ValueError, match=r"sns\.pem' would never be looked at: name the file as SNS does"):
        Certificates([tmp_path / "sns.pem"])


def test_so_many_are_kept_and_the_oldest_go(signer: Signer) -> None:
    asked: list[str] = []
    found = Certificates(fetch=lambda url: asked.append(url) or signer.certificate)  # type: ignore[func-returns-value]
    for number in range(MOST_KEPT + 1):
        found.key(f"{URL}{number}", f"{number}")
    found.key(f"{URL}{MOST_KEPT}", "newest")
    assert len(asked) == MOST_KEPT + 1
    found.key(f"{URL}0", "oldest")
    assert len(asked) == MOST_KEPT + 2


def test_strangers_cannot_keep_all_threads_waiting_for_certificates(
    signer: Signer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(certificates, "_PATIENCE", 0.01)
    begun, going_on = threading.Semaphore(0), threading.Event()

    def fetch(url: str) -> bytes:
        if url != URL:
            begun.release()
            going_on.wait(20)
        return signer.certificate

    found = Certificates(fetch=fetch)
    found.key(URL, NAME)
    threads = [
        threading.Thread(target=found.key, args=(f"{URL}{number}", "x")) for number in range(MOST_AT_A_TIME)
    ]
    for thread in threads:
        thread.start()
        assert begun.acquire(timeout=20)
    try:
        with pytest.raises(Unavailable, match="too many"):
            found.key(f"{URL}-one-more", "x")
        assert found.key(URL, NAME)
    finally:
        going_on.set()
        for thread in threads:
            thread.join()
    assert found.key(f"{URL}-one-more", "x")


def test_a_key_without_its_certificate_is_refused() -> None:
    key = generate_private_key(SECP256R1()).public_key()
    pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    with pytest.raises(Unavailable):
        Certificates(fetch=lambda _: pem).key(URL, NAME)


def odd(signer: Signer, part: bytes, other: bytes) -> bytes:
    """Return a certificate in which a part of its DER is another one."""
    whole = load_pem_x509_certificate(signer.certificate).public_bytes(Encoding.DER)
    assert part in whole
    return DER_cert_to_PEM_cert(whole.replace(part, other)).encode()


@pytest.mark.parametrize(
    ("part", "other"),
    [
        (bytes.fromhex("a003020102"), bytes.fromhex("a003020105")),
        (bytes.fromhex("06092a864886f70d010101"), bytes.fromhex("06092a864886f70d010172")),
    ],
    ids=["of a version that there isn't", "of a key that nobody knows"],
)
def test_an_odd_certificate_is_one_that_cannot_be_had(
    signer: Signer, tmp_path: Path, part: bytes, other: bytes
) -> None:
    pem = odd(signer, part, other)
    with pytest.raises(Unavailable, match="of a kind that isn't known"):
        Certificates(fetch=lambda _: pem).key(URL, NAME)
    (tmp_path / NAME).write_bytes(pem)
    with pytest.raises(ValueError, match="is no certificate of SNS's"):
        Certificates([tmp_path / NAME])
