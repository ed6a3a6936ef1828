"""Signed requests: RFC 9421 with Ed25519 over method, target URI and RFC 9530 content digest.

A request is good only if

1. its signature verifies under the key that ``keyid`` spells out (``ed25519:…``),
2. it covers ``@method``, ``@target-uri`` and ``content-digest``,
3. it carries ``created``, ``expires``, ``nonce`` and the tag ``seedkeep``,
4. the server's clock lies within ±300 s of ``created`` and ``expires`` is not over, and
5. the body has the digest, and the nonce was not seen before: both are the caller's to check, with
   :attr:`Signed.sha256` and :attr:`Signed.nonce`.

Time and nonces are passed in.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from http_message_signatures import (
    HTTPMessageSigner,
    HTTPMessageVerifier,
    HTTPSignatureKeyResolver,
    InvalidSignature,
    algorithms,
)
from http_message_signatures.exceptions import HTTPMessageSignaturesException

from seedkeep.core.errors import Error, InvalidInput
from seedkeep.core.keys import PrivateKey, PublicKey

WINDOW_S = 300
TAG = "seedkeep"
COVERED = ("@method", "@target-uri", "content-digest")
_DIGEST = re.compile(r"sha-256=:([A-Za-z0-9+/]{43}=):")
_NONCE = re.compile(r"[A-Za-z0-9_-]{16,64}")


class Unauthenticated(Error):
    """A request's signature is missing, stale, replayed or wrong."""

    code = "unauthenticated"


@dataclass(frozen=True, slots=True)
class Signed:
    """What a good signature says: who sent which body, once.

    Args:
        key: the sender.
        sha256: digest the body must have, hex.
        nonce: text that must not have been seen from this key before.
        expires: Unix seconds until which the nonce must be remembered.
    """

    key: PublicKey
    sha256: str
    nonce: str
    expires: int


@dataclass
class _Message:
    method: str
    url: str
    headers: dict[str, str]


class _SignWith(HTTPSignatureKeyResolver):
    def __init__(self, key: PrivateKey) -> None:
        self._key = key

    def resolve_private_key(self, key_id: str) -> bytes:
        return self._key.to_pem()


class _SpelledOut(HTTPSignatureKeyResolver):
    """The key id *is* the key: authorisation is a later question."""

    def resolve_public_key(self, key_id: str) -> Any:
        return PublicKey.parse(key_id).verifier


class _Verifier(HTTPMessageVerifier):
    """The library's verifier with the time passed in and our own window."""

    def __init__(self, now: float) -> None:
        super().__init__(signature_algorithm=algorithms.ED25519, key_resolver=_SpelledOut())
        self._now = now

    def validate_created_and_expires(self, sig_input: Any, max_age: Any = None) -> None:
        created, expires = sig_input.params.get("created"), sig_input.params.get("expires")
        if type(created) is not int or type(expires) is not int:
            raise InvalidSignature("created and expires are required")
        off = created - self._now
        if abs(off) > WINDOW_S:
            server = datetime.fromtimestamp(self._now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            raise Unauthenticated(
                f"the request was signed {abs(off) / 60:.0f} min {'ahead of' if off > 0 else 'behind'} "
                f"the registrar's clock, which says {server}",
                hint="Set this machine's clock (for example with NTP), then try again.",
            )
        if not created <= expires <= created + 2 * WINDOW_S or expires < self._now - WINDOW_S:
            raise InvalidSignature("expires is out of range")


def sign_request(
    key: PrivateKey, method: str, url: str, *, sha256: str, created: int, nonce: str
) -> dict[str, str]:
    """Headers that sign a request.

    Args:
        method: upper case.
        url: the absolute URL as the server sees it.
        sha256: hex digest of the body (of ``b""`` when there is none).
        created: Unix seconds.
        nonce: 16–64 base64url characters, never used before.
    """
    digest = base64.b64encode(bytes.fromhex(sha256)).decode()
    message = _Message(method, url, {"Content-Digest": f"sha-256=:{digest}:"})
    signer = HTTPMessageSigner(signature_algorithm=algorithms.ED25519, key_resolver=_SignWith(key))
    signer.sign(
        message,
        key_id=str(key.public),
        created=datetime.fromtimestamp(created, UTC),
        expires=datetime.fromtimestamp(created + WINDOW_S, UTC),
        nonce=nonce,
        label="sig",
        tag=TAG,
        covered_component_ids=COVERED,
        use_existing_digest=True,
    )
    return dict(message.headers)


def verify_request(method: str, url: str, headers: Mapping[str, str], *, now: float) -> Signed:
    """Check rules 1 to 4 of the module's text.

    Args:
        url: the absolute public URL of the request.
        headers: header fields by name, any case.
        now: Unix seconds by the server's clock.

    Raises:
        Unauthenticated: a rule does not hold; the text says which.
    """
    wanted = {"signature", "signature-input", "content-digest"}
    fields = {name.lower(): value for name, value in headers.items() if name.lower() in wanted}
    if missing := sorted(wanted - set(fields)):
        raise Unauthenticated(f"the request is not signed: it lacks {', '.join(missing)}")
    if any(len(value) > 4096 for value in fields.values()):
        raise Unauthenticated("the request's signature headers are too long")
    try:
        results = _Verifier(now).verify(
            _Message(method, url, fields), expect_tag=TAG, require_components=COVERED
        )
    except Unauthenticated:
        raise
    except (InvalidSignature, HTTPMessageSignaturesException, InvalidInput, ValueError) as error:
        if isinstance(error.__cause__, Unauthenticated):
            raise error.__cause__ from error
        raise Unauthenticated(f"the request's signature does not hold: {error}") from error
    if len(results) != 1:
        raise Unauthenticated("the request carries more than one signature")
    result = results[0]
    digest = _DIGEST.fullmatch(result.covered_components['"content-digest"'])
    if not digest:
        raise Unauthenticated("the request's Content-Digest must be one sha-256 value")
    nonce = result.parameters.get("nonce")
    if not isinstance(nonce, str) or not _NONCE.fullmatch(nonce):
        raise Unauthenticated("the request's nonce must be 16 to 64 base64url characters")
    try:
        sha256 = base64.b64decode(digest[1], validate=True).hex()
    except binascii.Error as error:
        raise Unauthenticated("the request's Content-Digest is not base64") from error
    return Signed(
        PublicKey.parse(str(result.parameters["keyid"])),
        sha256,
        nonce,
        int(result.parameters["expires"]) + WINDOW_S,
    )
