"""Ed25519 keys (RFC 8032) and their one printed form, ``ed25519:<base64url>``.

No randomness here: a private key is made from a 32-byte seed that the caller draws.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from functools import cached_property, lru_cache

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from seedkeep.core.errors import InvalidInput, VerificationFailed

SEED_BYTES = 32
_PREFIX = "ed25519:"
_PRINTED = re.compile(r"ed25519:[A-Za-z0-9_-]{43}")


@dataclass(frozen=True)
class PublicKey:
    """An Ed25519 public key.

    Args:
        raw: its 32 bytes.
    """

    raw: bytes

    def __post_init__(self) -> None:
        if len(self.raw) != 32:
            raise InvalidInput(f"an Ed25519 public key has 32 bytes, this one has {len(self.raw)}")

    def __str__(self) -> str:
        return _PREFIX + base64.urlsafe_b64encode(self.raw).rstrip(b"=").decode()

    @classmethod
    @lru_cache(maxsize=4096)
    def parse(cls, text: str) -> PublicKey:
        """Read ``ed25519:<43 base64url characters>``.

        Raises:
            InvalidInput: it is not exactly that.
        """
        if not _PRINTED.fullmatch(text):
            raise InvalidInput(
                f"{text[:80]!r} is not a public key",
                hint="A public key looks like ed25519: and 43 more characters; see `seedkeep key show`.",
            )
        try:
            key = cls(base64.urlsafe_b64decode(text.removeprefix(_PREFIX) + "="))
        except binascii.Error as error:  # pragma: no cover - the pattern admits no other text
            raise InvalidInput(f"{text!r} is not a public key") from error
        if str(key) != text:
            raise InvalidInput(f"{text!r} is not the canonical form of a public key")
        return key

    @cached_property
    def verifier(self) -> Ed25519PublicKey:
        """The key as the cryptography library's object."""
        try:
            return Ed25519PublicKey.from_public_bytes(self.raw)
        except (ValueError, UnsupportedAlgorithm) as error:
            raise InvalidInput(f"{self} is not a usable Ed25519 key") from error

    def verify(self, signature: bytes, message: bytes) -> None:
        """Check one signature.

        Raises:
            VerificationFailed: the signature is not this key's over ``message``.
        """
        try:
            self.verifier.verify(signature, message)
        except (InvalidSignature, ValueError) as error:
            raise VerificationFailed(f"a signature is not that of {self}") from error


class PrivateKey:
    """An Ed25519 private key; its ``repr`` shows only the public half."""

    def __init__(self, seed: bytes) -> None:
        """
        Args:
            seed: 32 bytes from a cryptographic random source.
        """
        if len(seed) != SEED_BYTES:
            raise InvalidInput(f"an Ed25519 seed has {SEED_BYTES} bytes, this one has {len(seed)}")
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.public = PublicKey(
            self._key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        )

    def __repr__(self) -> str:
        return f"<PrivateKey of {self.public}>"

    @classmethod
    def from_pem(cls, pem: bytes) -> PrivateKey:
        """Read an unencrypted PKCS #8 PEM (RFC 8410).

        Raises:
            InvalidInput: it holds no Ed25519 private key.
        """
        try:
            key = serialization.load_pem_private_key(pem, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise InvalidInput("the key file holds no readable private key") from error
        if not isinstance(key, Ed25519PrivateKey):
            raise InvalidInput("the key file holds a key that is not Ed25519")
        return cls(
            key.private_bytes(
                serialization.Encoding.Raw,
                serialization.PrivateFormat.Raw,
                serialization.NoEncryption(),
            )
        )

    def to_pem(self) -> bytes:
        """The unencrypted PKCS #8 PEM; whoever writes it down keeps it at mode 0600."""
        return self._key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )

    def sign(self, message: bytes) -> bytes:
        """The 64-byte signature over ``message``; callers put a domain prefix into ``message``."""
        return self._key.sign(message)
