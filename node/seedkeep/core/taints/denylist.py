"""Taints for other software: the compact denylist format (IPIP-383), which IPFS nodes and gateways read.

A YAML header, a line ``---``, then a rule a line; of several that match, the last one counts, and ``!`` takes
back what was denied. A rule names a SHA-256 by a CID: of a file (codec ``raw``), or of a dataset, whose
content id is the SHA-256 of its BitTorrent v2 info dictionary (codec ``bittorrent-info``). Rules of other
kinds (IPNS names, paths alone, media types, double hashes) mean nothing here; they are counted, not guessed.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass

from seedkeep.core.errors import InvalidInput

RAW, BITTORRENT_INFO = 0x55, 0x7B
MAX_HEADER_BYTES = 1024 * 1024
MAX_LINE_BYTES = 2 * 1024 * 1024
MAX_LIST_BYTES = 256 * 1024 * 1024
_SHA2_256 = b"\x12\x20"
_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_CID_V0 = re.compile(rf"Qm[{_BASE58}]{{44}}")
_HINT = re.compile(r"[^\x21-\x7e]")


@dataclass(frozen=True, slots=True)
class Denied:
    """One thing that is denied.

    Args:
        digest: SHA-256, 64 hex.
        codec: :data:`RAW` for a file, :data:`BITTORRENT_INFO` for a dataset.
        hints: name and value of what a rule says besides; whatever is no printable ASCII is left out.
    """

    digest: str
    codec: int
    hints: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Read:
    """What a denylist denies.

    Args:
        digests: SHA-256 of each thing, 64 hex.
        unknown: rules that mean nothing here.
    """

    digests: frozenset[str]
    unknown: int


def cid(digest: str, codec: int) -> str:
    """The CIDv1 of a SHA-256 (64 hex), in base32."""
    raw = bytes((1, codec)) + _SHA2_256 + bytes.fromhex(digest)
    return "b" + base64.b32encode(raw).decode().rstrip("=").lower()


def write(name: str, description: str, denied: Iterable[Denied]) -> str:
    """A denylist of what is denied now."""
    header = {"version": 1, "name": name, "description": description}
    lines = [f"{key}: {json.dumps(value)}" for key, value in header.items()]
    lines += ["hints:", "  gateway_status: 451", "---"]
    for one in denied:
        hints = (f" {key}:{_HINT.sub('', value)}" for key, value in one.hints if value)
        lines.append(f"/ipfs/{cid(one.digest, one.codec)}/*{''.join(hints)}")
    return "".join(f"{line}\n" for line in lines)


def read(data: bytes) -> Read:
    """
    Raises:
        InvalidInput: it is no denylist, or over a limit.
    """
    if len(data) > MAX_LIST_BYTES:
        raise InvalidInput(f"a denylist of {len(data)} bytes is over the limit of {MAX_LIST_BYTES}")
    lines = data.split(b"\n")
    if b"---" in lines:
        end = lines.index(b"---")
        if sum(len(line) + 1 for line in lines[:end]) > MAX_HEADER_BYTES:
            raise InvalidInput(f"the header of a denylist is over {MAX_HEADER_BYTES} bytes")
        lines = lines[end + 1 :]
    found: dict[str, bool] = {}
    unknown = 0
    for number, line in enumerate(lines, 1):
        if len(line) > MAX_LINE_BYTES:
            raise InvalidInput(f"rule {number} of a denylist is over {MAX_LINE_BYTES} bytes")
        rule = line.decode("utf-8", errors="replace").strip().partition(" ")[0]
        if not rule or rule.startswith("#"):
            continue
        digest = _digest(rule.removeprefix("!"))
        if digest:
            found[digest] = not rule.startswith("!")
        else:
            unknown += 1
    return Read(frozenset(digest for digest, denied in found.items() if denied), unknown)


def _digest(rule: str) -> str:
    """The SHA-256 that a rule denies, alone or with all below it; "" when it denies something else."""
    head, _, path = rule.removeprefix("/ipfs/").partition("/")
    if not rule.startswith("/ipfs/") or path not in ("", "*"):
        return ""
    raw = _base58(head) if _CID_V0.fullmatch(head) else _base32(head)
    return raw[-32:].hex() if len(raw) >= 34 and raw[-34:-32] == _SHA2_256 else ""


def _base32(text: str) -> bytes:
    """A CIDv1 in base32 whose hash is of 32 bytes; b"" for anything else."""
    body = text[1:].upper()
    if text[:1] != "b" or len(body) > 80:
        return b""
    try:
        raw = base64.b32decode(body + "=" * (-len(body) % 8))
    except (binascii.Error, ValueError):
        return b""
    return raw if raw[:1] == b"\x01" else b""


def _base58(text: str) -> bytes:
    number = 0
    for character in text:
        number = number * 58 + _BASE58.index(character)
    return number.to_bytes(34, "big") if number < 1 << (34 * 8) else b""
