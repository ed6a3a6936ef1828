"""Names of datasets and files: read every form leniently, print one form strictly (decision 3).

=====================  ==========================================================================
form                   printed as
=====================  ==========================================================================
ARK                    ``ark:/NAAN/sk…`` (betanumeric, last character a NOID check character)
content id             ``urn:btmh:1220<64 hex>``; magnets and bare hex are read as well
file or manifest hash  ``hash://sha256/<64 hex>``, ``md5:<32 hex>``; ``root:<64 hex>`` for a v2 pieces root
record id              ``rid:<64 hex>``
LSID                   ``urn:lsid:HOST:dataset:sk…[:SEQ]``: the registrar's host, the ARK's name, a revision
DOI                    ``doi:10.…``: one that somebody else gave to the same data
minid                  ``minid:…``
DRS, registrar URL     what they lead to; the host becomes the registrar to ask
=====================  ==========================================================================

Any of them may be followed by ``/path/in/dataset`` where the form leaves room for it (ARK, content
id, rid, LSID, DRS, URL), and before that by ``@latest``: the newest version of the record that is named.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, replace
from enum import Enum
from urllib.parse import parse_qs, quote, unquote, urlsplit

from seedkeep.core.errors import InvalidInput, UsageError
from seedkeep.core.metadata import doi
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
    ROOT = "root"
    RID = "rid"
    LSID = "lsid"
    DOI = "doi"
    MINID = "minid"


#: names of certain bytes, wherever they are
DIGESTS = (Kind.SHA256, Kind.MD5, Kind.ROOT)


class MistypedArk(InvalidInput):
    """An ARK whose check character does not fit.

    Args:
        value: ``NAAN/sk…`` as typed.
    """

    def __init__(self, value: str) -> None:
        super().__init__(
            f"ark:/{value} has a typing error: its check character does not fit",
            hint="Compare it with the source, character by character; ARKs use no vowels and no letter l.",
        )
        self.value = value


@dataclass(frozen=True, slots=True)
class Identifier:
    """One parsed name.

    Args:
        kind: what it points at.
        value: ``NAAN/sk…`` for an ARK, ``HOST:sk…`` for an LSID, ``10.…`` for a DOI, the name of a minid,
            else lower-case hex.
        path: a file inside the dataset, or "".
        registrar: base URL of the registrar the name itself mentions, or "".
        display_name, trackers, web_seeds, peers: what a magnet link says besides.
        latest: not that record is meant but the newest version of it.
        revision: number of the revision that an LSID names, or None.
        bare: 64 hex digits that do not say of what: most likely a content id, but perhaps a rid or a SHA-256.
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
    revision: int | None = None
    bare: bool = False

    def __str__(self) -> str:
        tail = LATEST if self.latest else ""
        tail += f"/{quote(self.path)}" if self.path else ""
        if self.bare:
            return self.value + tail
        if self.kind is Kind.LSID:
            authority, _, name = self.value.partition(":")
            revision = "" if self.revision is None else f":{self.revision}"
            return f"urn:lsid:{authority}:dataset:{name}{revision}{tail}"
        head = {
            Kind.ARK: "ark:/",
            Kind.CONTENT_ID: "urn:btmh:1220",
            Kind.INFOHASH_V1: "urn:btih:",
            Kind.SHA256: "hash://sha256/",
            Kind.MD5: "md5:",
            Kind.ROOT: "root:",
            Kind.RID: "rid:",
            Kind.DOI: "doi:",
            Kind.MINID: "minid:",
        }[self.kind]
        return head + self.value + tail


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
        raise MistypedArk(value)
    return Identifier(Kind.ARK, value, _path(found[3]))


def _path(text: str | None) -> str:
    path = unquote(text or "", errors="strict").strip("/")
    if path:
        check_path(path)
    return path


_HEX64, _I = r"([0-9a-f]{64})", re.IGNORECASE
_HASH_FORMS = (
    (re.compile(rf"(?:urn:btmh:|btmh:)?1220{_HEX64}(/.*)?", _I), Kind.CONTENT_ID),
    (re.compile(r"(?:urn:btih:|btih:)?([0-9a-f]{40})", _I), Kind.INFOHASH_V1),
    (re.compile(rf"hash://sha256/{_HEX64}(?:\?.*)?", _I), Kind.SHA256),
    (re.compile(rf"(?:urn:)?sha-?256[:=-](?://)?{_HEX64}", _I), Kind.SHA256),
    (re.compile(r"(?:hash://md5/|(?:urn:)?md5[:=-])?([0-9a-f]{32})", _I), Kind.MD5),
    (re.compile(rf"root:{_HEX64}", _I), Kind.ROOT),
    (re.compile(rf"(?:urn:seedkeep:)?rid:{_HEX64}(/.*)?", _I), Kind.RID),
)
_BARE = re.compile(rf"{_HEX64}(/.*)?", _I)
_BASE32 = re.compile(r"urn:btih:([a-z2-7]{32})", _I)
#: SHA-256 in base64: subresource integrity, RFC 9530 (Content-Digest), RFC 6920 (ni)
_BASE64 = re.compile(r"(?:sha256-|sha-256=:|ni://[^/;]*/sha-256;)([A-Za-z0-9+/_-]{43})=?:?(?:\?.*)?", _I)
_LSID = re.compile(r"urn:lsid:([a-z0-9.-]{1,253}):dataset:(sk[0-9a-z-]{3,40})(?::([0-9]{1,9}))?(/.*)?", _I)
_DRS_HOST = re.compile(
    r"drs://([a-z0-9.-]{1,253}(?::[0-9]{1,5})?|\[[0-9a-f:]+\](?::[0-9]{1,5})?)/([^/]+)(/.*)?", _I
)
_DRS_COMPACT = re.compile(r"drs://((?:ark|doi|minid|rid|md5|sha-?256|root):.+)", _I)
_DOI = re.compile(r"(?:doi:|info:doi/|urn:doi:|(?=10\.[0-9]{4,9}/))(.+)", _I)
_DOI_HOSTS = ("doi.org", "dx.doi.org", "www.doi.org")
_MINID = re.compile(r"(?:https?://identifiers\.org/)?minid:([a-z0-9]{4,40})", _I)
#: hosts that pass names on and are no registrars
_RESOLVERS = ("n2t.net", "arks.org", "identifiers.org", "resolver.cdlib.org")
_ROUTES = (
    re.compile(r"/torrents/(?P<content_id>[0-9a-f]{64})(?:\.v1)?\.torrent"),
    re.compile(r"(?:/api/v1)?/records/(?P<rid>[0-9a-f]{64})(?![0-9a-f])"),
    re.compile(r"/ws/(?P<content_id>[0-9a-f]{64})(?:/[^/]*(?P<path>/.*)?)?$"),
)
_QUESTION = re.compile(r"(?P<base>.*?)/(?:find|api/v1/resolve)/?")


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
    if found := _BARE.fullmatch(text):
        return Identifier(Kind.CONTENT_ID, found[1].lower(), _path(found[2]), bare=True)
    if found := _BASE32.fullmatch(text):
        return Identifier(Kind.INFOHASH_V1, base64.b32decode(found[1].upper()).hex())
    if found := _BASE64.fullmatch(text):
        return Identifier(
            Kind.SHA256, base64.b64decode(f"{found[1]}=", b"-_" if {*found[1]} & {*"-_"} else None).hex()
        )
    return None


def _lsid(found: re.Match[str]) -> Identifier:
    """An LSID; whether its check character fits only its registrar knows, whose NAAN it leaves out."""
    authority = found[1].lower()
    value = f"{authority}:{found[2].lower().replace('-', '')}"
    revision = int(found[3]) if found[3] else None
    return Identifier(Kind.LSID, value, _path(found[4]), registrar=f"https://{authority}", revision=revision)


def _doi(text: str) -> Identifier:
    try:
        return Identifier(Kind.DOI, doi(text))
    except InvalidInput as error:
        raise InvalidInput(f"{text[:120]!r} is not a DOI like 10.5281/zenodo.123") from error


def _other(text: str) -> Identifier | None:
    """Names that are neither hashes nor URLs."""
    if found := _LSID.fullmatch(text):
        return _lsid(found)
    if found := _MINID.fullmatch(text):
        return Identifier(Kind.MINID, found[1])
    if found := _DOI.fullmatch(text):
        return _doi(found[1])
    if found := _DRS_HOST.fullmatch(text):
        named = _hash(inner := unquote(found[2], errors="strict")) or _ark_in(inner)
        if named is None or named.path:
            raise InvalidInput(
                f"{text[:120]!r} names nothing a registrar gives names to",
                hint="After the host comes a record id, a content id or an ARK (with %2F for each slash).",
            )
        return replace(named, path=_path(found[3]), registrar=f"https://{found[1].lower()}")
    if found := _DRS_COMPACT.fullmatch(text):
        inner = unquote(found[1], errors="strict")
        return _ark_in(inner) or _hash(inner) or _other(inner)
    return None


def _ark_in(text: str) -> Identifier | None:
    found = _ARK.fullmatch(text)
    return _ark(found) if found else None


def _url(text: str) -> Identifier | None:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.netloc or parts.username is not None:
        return None
    if parts.hostname in _DOI_HOSTS:
        return _doi(unquote(parts.path.strip("/"), errors="strict"))
    base = "" if parts.hostname in _RESOLVERS else f"{parts.scheme}://{parts.netloc}"
    at = parts.path.lower().find("/ark:")
    if at >= 0 and (named := _ark_in(parts.path[at + 1 :])):
        return replace(named, registrar=base and base + parts.path[:at])
    for route in _ROUTES:
        if found := route.search(parts.path):
            given = found.groupdict()
            kind = Kind.CONTENT_ID if given.get("content_id") else Kind.RID
            registrar = base and base + parts.path[: found.start()]
            return Identifier(kind, given[kind.value], _path(given.get("path")), registrar=registrar)
    if (asked := _QUESTION.fullmatch(parts.path)) and (
        ids := parse_qs(parts.query, max_num_fields=20).get("id")
    ):
        named = _ark_in(ids[0]) or _hash(ids[0]) or _other(ids[0])
        return named and replace(named, registrar=base and base + asked["base"])
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
    if named.kind in DIGESTS:
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
        identifier = _ark_in(text) or _hash(text) or _other(text) or _url(text)
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{text[:120]!r} holds an escaped path that is not UTF-8") from error
    except ValueError as error:
        raise UsageError(f"{text[:120]!r} is not a URL or name that can be read: {error}") from error
    if identifier is None:
        raise UsageError(
            f"{text[:120]!r} is no name Seedkeep knows",
            hint="Give an ARK (ark:/…), a content id (urn:btmh:…), a magnet link, hash://sha256/…, md5:…, "
            "a DOI, an LSID, drs://… or the address of a registrar's page.",
        )
    return identifier
