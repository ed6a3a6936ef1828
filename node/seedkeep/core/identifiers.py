"""Names of datasets and files: read every form leniently, print one form strictly (decision 3).

=====================  ==========================================================================
form                   printed as
=====================  ==========================================================================
ARK                    ``ark:/NAAN/sk…`` (betanumeric, last character a NOID check character)
content id             ``urn:btmh:1220<64 hex>``; magnets and bare hex are read as well
file or manifest hash  ``hash://sha256/<64 hex>``, ``md5:<32 hex>``
record id              ``rid:<64 hex>``
registrar URL          as given (its host becomes the registrar to ask)
=====================  ==========================================================================

Any of them may be followed by ``/path/in/dataset`` where the form leaves room for it (ARK, content
id, rid, URL), and before that by ``@latest``: the newest version of the record that is named.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, replace
from enum import Enum
from urllib.parse import parse_qs, quote, unquote, urlsplit

from seedkeep.core.errors import InvalidInput, UsageError
from seedkeep.core.paths import check_path

BETANUMERIC = "0123456789bcdfghjkmnpqrstvwxz"
SHOULDER = "sk"
_ARK_DIGITS = 14  # 29^14 ≈ 2^68 names: far from collision, short enough to read aloud
_NAAN = re.compile(r"[0-9bcdfghjkmnpqrstvwxz]{5,9}")
_ARK = re.compile(r"ark:/?([0-9a-z]{5,9})/(sk[0-9a-z-]{3,40})(/.*)?", re.IGNORECASE)


LATEST = "@latest"
_LATEST = re.compile(r"([^?#]+?)@latest(/[^?#]*)?", re.IGNORECASE)


class Kind(Enum):
    """What a name points at."""

    ARK = "ark"
    CONTENT_ID = "content_id"
    INFOHASH_V1 = "infohash_v1"
    SHA256 = "sha256"
    MD5 = "md5"
    RID = "rid"


@dataclass(frozen=True, slots=True)
class Identifier:
    """One parsed name.

    Args:
        kind: what it points at.
        value: ``NAAN/sk…`` for an ARK, else lower-case hex.
        path: a file inside the dataset, or "".
        registrar: base URL of the registrar the name itself mentions, or "".
        display_name, trackers, web_seeds, peers: what a magnet link says besides.
        latest: not that record is meant but the newest version of it.
    """

    kind: Kind
    value: str
    path: str = ""
    registrar: str = ""
    display_name: str = ""
    trackers: tuple[str, ...] = ()
    web_seeds: tuple[str, ...] = ()
    peers: tuple[tuple[str, int], ...] = ()
    latest: bool = False

    def __str__(self) -> str:
        head = {
            Kind.ARK: "ark:/",
            Kind.CONTENT_ID: "urn:btmh:1220",
            Kind.INFOHASH_V1: "urn:btih:",
            Kind.SHA256: "hash://sha256/",
            Kind.MD5: "md5:",
            Kind.RID: "rid:",
        }[self.kind]
        version = LATEST if self.latest else ""
        return head + self.value + version + (f"/{quote(self.path)}" if self.path else "")


def check_character(text: str) -> str:
    """The NOID check character of ``NAAN/name`` (https://metacpan.org/dist/Noid, NCDA)."""
    total = sum(i * BETANUMERIC.index(c) for i, c in enumerate(text, 1) if c in BETANUMERIC)
    return BETANUMERIC[total % len(BETANUMERIC)]


def mint_ark(naan: str, rid: str) -> str:
    """The ARK value ``NAAN/sk…`` of the record ``rid`` (64 hex digits).

    Raises:
        UsageError: ``naan`` is not a name assigning authority number.
    """
    if not _NAAN.fullmatch(naan):
        raise UsageError(
            f"{naan!r} is not a NAAN", hint="It is the five digits your institution got; 99999 is for tests."
        )
    number = int(rid, 16) % len(BETANUMERIC) ** _ARK_DIGITS
    digits = []
    for _ in range(_ARK_DIGITS):
        number, digit = divmod(number, len(BETANUMERIC))
        digits.append(BETANUMERIC[digit])
    name = f"{naan}/{SHOULDER}{''.join(reversed(digits))}"
    return name + check_character(name)


def _ark(found: re.Match[str]) -> Identifier:
    naan, name = found[1].lower(), found[2].lower().replace("-", "")
    value = f"{naan}/{name}"
    if value[-1] != check_character(value[:-1]) or any(c not in BETANUMERIC for c in name):
        raise InvalidInput(
            f"ark:/{value} has a typing error: its check character does not fit",
            hint="Compare it with the source, character by character; ARKs use no vowels and no letter l.",
        )
    return Identifier(Kind.ARK, value, _path(found[3]))


def _path(text: str | None) -> str:
    path = unquote(text or "", errors="strict").strip("/")
    if path:
        check_path(path)
    return path


_HASH_FORMS = (
    (re.compile(r"(?:urn:btmh:|btmh:)?1220([0-9a-f]{64})(/.*)?", re.IGNORECASE), Kind.CONTENT_ID),
    (re.compile(r"(?:urn:btih:|btih:)?([0-9a-f]{40})", re.IGNORECASE), Kind.INFOHASH_V1),
    (re.compile(r"hash://sha256/([0-9a-f]{64})(?:\?.*)?", re.IGNORECASE), Kind.SHA256),
    (re.compile(r"(?:urn:)?sha-?256:(?://)?([0-9a-f]{64})", re.IGNORECASE), Kind.SHA256),
    (re.compile(r"(?:hash://md5/|(?:urn:)?md5:)([0-9a-f]{32})", re.IGNORECASE), Kind.MD5),
    (re.compile(r"(?:urn:seedkeep:)?rid:([0-9a-f]{64})(/.*)?", re.IGNORECASE), Kind.RID),
    (re.compile(r"([0-9a-f]{64})(/.*)?", re.IGNORECASE), Kind.CONTENT_ID),
)
_BASE32 = re.compile(r"urn:btih:([a-z2-7]{32})", re.IGNORECASE)
_API_ROUTES = (
    re.compile(r"/torrents/(?P<content_id>[0-9a-f]{64})(?:\.v1)?\.torrent"),
    re.compile(r"(?:/api/v1)?/records/(?P<rid>[0-9a-f]{64})(?:/manifest)?"),
)


def _magnet(text: str) -> Identifier:
    query = parse_qs(text[len("magnet:?") :], max_num_fields=200)
    found = None
    for topic in query.get("xt", []):
        candidate = _hash(topic)
        if candidate and candidate.kind in (Kind.CONTENT_ID, Kind.INFOHASH_V1):
            # the v2 hash is the identity; a v1 topic beside it adds nothing
            found = candidate if not found or candidate.kind is Kind.CONTENT_ID else found
    if not found:
        raise InvalidInput("this magnet link names no BitTorrent info-hash (xt=urn:btmh:… or urn:btih:…)")
    return replace(
        found,
        display_name=query.get("dn", [""])[0],
        trackers=tuple(query.get("tr", [])),
        web_seeds=tuple(query.get("ws", [])),
        peers=tuple(peer for text in query.get("x.pe", []) if (peer := _peer(text))),
    )


def _peer(text: str) -> tuple[str, int] | None:
    host, _, port = text.rpartition(":")
    if host and port.isascii() and port.isdigit() and 0 < int(port) < 65536:
        return host.strip("[]"), int(port)
    return None


def _hash(text: str) -> Identifier | None:
    for form, kind in _HASH_FORMS:
        if found := form.fullmatch(text):
            path = _path(found[2]) if form.groups > 1 else ""
            return Identifier(kind, found[1].lower(), path)
    if found := _BASE32.fullmatch(text):
        return Identifier(Kind.INFOHASH_V1, base64.b32decode(found[1].upper()).hex())
    return None


def _url(text: str) -> Identifier | None:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.netloc or parts.username is not None:
        return None
    base = f"{parts.scheme}://{parts.netloc}"
    at = parts.path.lower().find("/ark:")
    if at >= 0 and (found := _ARK.fullmatch(parts.path[at + 1 :])):
        return replace(_ark(found), registrar=base + parts.path[:at])
    for route in _API_ROUTES:
        if found_route := route.search(parts.path):
            kind, value = next((k, v) for k, v in found_route.groupdict().items() if v)
            prefix = parts.path[: found_route.start()]
            return Identifier(Kind(kind), value, registrar=base + prefix)
    return None


def parse(text: str) -> Identifier:
    """Read any form of name.

    Raises:
        InvalidInput: it looks like a known form but has an error in it.
        UsageError: it is no known form.
    """
    text = text.strip()
    if versioned := _LATEST.fullmatch(text):
        named = _parse(versioned[1])
        if not named.path:  # else it is part of a file's name
            return _latest(named, versioned[2])
    return _parse(text)


def _latest(named: Identifier, path: str | None) -> Identifier:
    if named.kind in (Kind.SHA256, Kind.MD5):
        raise InvalidInput(
            f"{named} names certain bytes, which have no later version",
            hint=f"Ask for {LATEST} of the dataset they are in.",
        )
    try:
        return replace(named, latest=True, path=_path(path))
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{path!r} holds an escaped path that is not UTF-8") from error


def _parse(text: str) -> Identifier:
    if len(text) > 8192:
        raise UsageError("this name is longer than 8192 characters")
    try:
        if text.lower().startswith("magnet:?"):
            return _magnet(text)
        if found := _ARK.fullmatch(text):
            return _ark(found)
        identifier = _hash(text) or _url(text)
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{text[:120]!r} holds an escaped path that is not UTF-8") from error
    except ValueError as error:
        raise UsageError(f"{text[:120]!r} is not a URL or name that can be read: {error}") from error
    if identifier is None:
        raise UsageError(
            f"{text[:120]!r} is no name Seedkeep knows",
            hint="Give an ARK (ark:/…), a content id (urn:btmh:…), a magnet link, hash://sha256/…, md5:… "
            "or the address of a registrar's page.",
        )
    return identifier
