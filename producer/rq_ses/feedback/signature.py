"""The signatures of SNS's messages: RSA, PKCS#1 v1.5, over SHA1 (version 1) or SHA256 (version 2).

https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.x509 import InvalidVersion, load_pem_x509_certificate

from rq_ses.feedback.envelope import Envelope

VERSIONS: Final = {"1": SHA1, "2": SHA256}
"""By a message's SignatureVersion. SHA1 is what a topic signs with unless somebody has told it otherwise."""

LEAST_BITS: Final = 2048


class Forged(ValueError):
    """Raised when a message isn't signed by the key of its certificate."""


class Unsupported(ValueError):
    """Raised when this host checks no such signature: many a one's OpenSSL is set up to take no SHA1."""


def check_signature(envelope: Envelope, key: RSAPublicKey) -> None:
    """Raise Forged unless the key has signed the message. Its version must be one of VERSIONS.

    Raises Unsupported if that can't be told here.
    """
    try:
        signature = b64decode(envelope.signature, validate=True)
        key.verify(signature, envelope.signed, PKCS1v15(), VERSIONS[envelope.version]())
    except UnsupportedAlgorithm:
        raise Unsupported(
            "this host's OpenSSL doesn't take it: set the topic's SignatureVersion to 2"
        ) from None
    except (InvalidSignature, binascii.Error, ValueError):
        raise Forged("its signature doesn't fit") from None


def public_key(certificate: bytes) -> RSAPublicKey:
    """Return the key of a certificate in PEM. Raises ValueError if there is none in it, or not such a one."""
    try:
        key = load_pem_x509_certificate(certificate).public_key()
    except (UnsupportedAlgorithm, InvalidVersion) as exc:
        # No ValueErrors, and certificates may hold anything.
        raise ValueError(f"the certificate is of a kind that isn't known: {exc}") from exc
    if not isinstance(key, RSAPublicKey) or key.key_size < LEAST_BITS:
        raise ValueError(f"the certificate's key isn't RSA of at least {LEAST_BITS} bits")
    return key
