"""What a topic's messages are signed with: a key, and the certificate that speaks for it."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Literal, Self

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

SignatureVersion = Literal["1", "2"]

_HOST: Final = "sns.amazonaws.com"
_SINCE: Final = datetime(2020, 1, 1, tzinfo=UTC)
_UNTIL: Final = datetime(2120, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Signer:
    """A private key of the simulator's, and its self-signed certificate in PEM."""

    key: RSAPrivateKey = field(repr=False)
    certificate: bytes = field(repr=False)
    name: str
    """Of the certificate's file, as SNS names it; it ends the SigningCertURL of what is signed."""

    @classmethod
    def make(cls, name: str | None = None) -> Self:
        """Return a new one, which takes a tenth of a second; `name` is that of the certificate's file."""
        # Here, as below: it is an extra, and the command's options are read without it.
        from cryptography import x509
        from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
        from cryptography.hazmat.primitives.hashes import SHA256
        from cryptography.hazmat.primitives.serialization import Encoding
        from cryptography.x509.oid import NameOID

        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, _HOST)])
        key = generate_private_key(public_exponent=65537, key_size=2048)
        serial = x509.random_serial_number()
        certificate = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject)
            .public_key(key.public_key())
            .serial_number(serial)
            .not_valid_before(_SINCE)
            .not_valid_after(_UNTIL)
            .sign(key, SHA256())
        )
        usual = f"SimpleNotificationService-{serial & (1 << 128) - 1:032x}.pem"
        return cls(key, certificate.public_bytes(Encoding.PEM), name or usual)

    def sign(self, text: str, version: SignatureVersion) -> str:
        """Return the signature of a text as it stands in a message."""
        from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
        from cryptography.hazmat.primitives.hashes import SHA1, SHA256

        used = SHA1() if version == "1" else SHA256()  # noqa: S303 - what SNS signs with
        return b64encode(self.key.sign(text.encode(), PKCS1v15(), used)).decode()
