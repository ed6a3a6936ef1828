"""What a node states about data under its own signature: that it holds a dataset, that it removed one.

Both are small JSON objects; ``sig`` is Ed25519 by the key ``node`` over a domain prefix and the JCS form
without ``sig``. A statement is good only if ``parse`` accepts it, which checks the signature too; whether
``node`` may make it is the registrar's business.

* an *attestation*: every file of the dataset was read and has the manifest's digests; ``infohash_v1`` is
  that of the companion as re-computed from the bytes; "" when taints withhold some of the files, which then
  were not read.
* a *removal* receipt: a taint was obeyed: what was done, when, and how many bytes were freed.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from seedkeep.core import jcs
from seedkeep.core.errors import InvalidInput, VerificationFailed
from seedkeep.core.keys import PrivateKey, PublicKey

_ATTESTATION = b"seedkeep/attestation/v1\n"
_REMOVAL = b"seedkeep/removal/v1\n"
_HEX = {40: re.compile(r"[0-9a-f]{40}"), 64: re.compile(r"[0-9a-f]{64}")}
_AT = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z", re.ASCII)


def _sign(domain: bytes, fields: Mapping[str, Any], key: PrivateKey) -> str:
    return base64.b64encode(key.sign(domain + jcs.dumps(dict(fields)))).decode()


def _open(domain: bytes, kind: str, names: frozenset[str], data: Any) -> dict[str, Any]:
    """The fields of a signed statement without v, type and sig."""
    if not isinstance(data, Mapping) or set(data) != names | {"v", "type", "sig"}:
        raise InvalidInput(f"the fields of this {kind} are not exactly {', '.join(sorted(names))}")
    fields = dict(data)
    signature = fields.pop("sig")
    if type(fields["v"]) is not int or fields["v"] != 1 or fields["type"] != kind:
        raise InvalidInput(f"this is not a {kind} of version 1")
    for name, value in fields.items():
        if name not in ("v", "bytes") and not isinstance(value, str):
            raise InvalidInput(f"{name} of this {kind} is not text")
    if not _AT.fullmatch(fields["at"]):
        raise InvalidInput(f"the time of this {kind} is not like 2026-01-31T12:00:00Z")
    try:
        raw = base64.b64decode(signature if isinstance(signature, str) else "", validate=True)
    except (binascii.Error, ValueError) as error:
        raise VerificationFailed(f"the signature of this {kind} is not base64") from error
    if base64.b64encode(raw).decode() != signature:
        raise VerificationFailed(f"the signature of this {kind} is not canonical base64")
    PublicKey.parse(fields["node"]).verify(raw, domain + jcs.dumps(fields))
    del fields["v"], fields["type"]
    return fields


def _want_hex(kind: str, digits: int, **values: str) -> None:
    for name, value in values.items():
        if not _HEX[digits].fullmatch(value):
            raise InvalidInput(f"{name} of this {kind} is not {digits} hex digits")


@dataclass(frozen=True, slots=True)
class Attestation:
    """A node read all bytes of a dataset, but for files that taints withhold, and found them right.

    Args:
        content_id: 64 hex.
        manifest: digest of the manifest that the files were checked against, 64 hex.
        infohash_v1: of the companion, from the bytes read, 40 hex; "" when files are withheld.
        node: its printed key.
        at: UTC, ``2026-01-31T12:00:00Z``.
    """

    content_id: str
    manifest: str
    infohash_v1: str
    node: str
    at: str

    def sign(self, key: PrivateKey) -> dict[str, Any]:
        """The statement as sent, signed with the node's ``key``."""
        fields = {"v": 1, "type": "attestation", **asdict(self)}
        return {**fields, "sig": _sign(_ATTESTATION, fields, key)}

    @classmethod
    def parse(cls, data: Any) -> Attestation:
        """
        Raises:
            InvalidInput: a field is missing, unknown or malformed.
            VerificationFailed: the named node's key did not sign it.
        """
        found = cls(**_open(_ATTESTATION, "attestation", frozenset(cls.__slots__), data))
        _want_hex("attestation", 64, content_id=found.content_id, manifest=found.manifest)
        if found.infohash_v1:
            _want_hex("attestation", 40, infohash_v1=found.infohash_v1)
        return found


class Action(StrEnum):
    """How a node obeyed a taint."""

    #: nothing of it is passed on any more; the bytes are kept for the time being
    STOPPED = "stopped"
    #: nor is anything of it left
    REMOVED = "removed"


@dataclass(frozen=True, slots=True)
class Removal:
    """A node obeyed a taint.

    Args:
        taint: id of the entry, 64 hex.
        content_id: of the dataset in which it hit something, 64 hex.
        action: what was done.
        bytes: allocated bytes freed; 0 when none were.
        node: its printed key.
        at: when it was done, UTC, ``2026-01-31T12:00:00Z``.
    """

    taint: str
    content_id: str
    action: Action
    bytes: int
    node: str
    at: str

    def sign(self, key: PrivateKey) -> dict[str, Any]:
        """The statement as sent, signed with the node's ``key``."""
        fields = {"v": 1, "type": "removal", **asdict(self), "action": self.action.value}
        return {**fields, "sig": _sign(_REMOVAL, fields, key)}

    @classmethod
    def parse(cls, data: Any) -> Removal:
        """
        Raises:
            InvalidInput: a field is missing, unknown or malformed.
            VerificationFailed: the named node's key did not sign it.
        """
        fields = _open(_REMOVAL, "removal", frozenset(cls.__slots__), data)
        if fields["action"] not in [a.value for a in Action]:
            raise InvalidInput(f"{fields['action'][:40]!r} is not what a node does about a taint")
        found = cls(**{**fields, "action": Action(fields["action"])})
        _want_hex("removal", 64, taint=found.taint, content_id=found.content_id)
        if type(found.bytes) is not int or not 0 <= found.bytes < 2**53:
            raise InvalidInput("bytes of this removal is out of range")
        return found
