"""The body of a record event.

``dataset`` and ``license`` never change (public domain is irrevocable); ``metadata`` is descriptive, see
:mod:`seedkeep.core.metadata`. ``web_seeds`` and ``copies`` are the sharer's wishes at registration; what may
be revised later is in :mod:`seedkeep.core.revision`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any
from urllib.parse import urlsplit

from seedkeep.core import jcs
from seedkeep.core.errors import InvalidInput
from seedkeep.core.keys import PublicKey
from seedkeep.core.manifest import MAX_PIECE_LENGTH, MIN_PIECE_LENGTH
from seedkeep.core.metadata import Metadata, orcid, parse_metadata
from seedkeep.core.paths import check_name

DEFAULT_LICENSE = "CC0-1.0"
MAX_WEB_SEEDS = 16
MAX_COPIES = 100
MAX_STEWARDS = 20
_HEX = {40: re.compile(r"[0-9a-f]{40}"), 64: re.compile(r"[0-9a-f]{64}")}
#: an SPDX identifier or expression; which ones a registrar takes is for :mod:`seedkeep.core.licenses`
_LICENSE = re.compile(r"\(*[A-Za-z0-9.+:-]+\)*(?: (?:AND|OR|WITH) \(*[A-Za-z0-9.+:-]+\)*)*")
_BUCKET = re.compile(r"(s3|swift)://[A-Za-z0-9._-]{1,255}/(?:[^\x00-\x20?#\\]*/)?")


def _want(condition: bool, problem: str) -> None:
    if not condition:
        raise InvalidInput(f"this record is malformed: {problem}")


def _hex(name: str, text: Any, digits: int) -> None:
    _want(isinstance(text, str) and bool(_HEX[digits].fullmatch(text)), f"{name} is not {digits} hex digits")


def _count(name: str, value: Any, low: int, high: int) -> None:
    _want(type(value) is int and low <= value <= high, f"{name} is not a number from {low} to {high}")


@dataclass(frozen=True, slots=True)
class Dataset:
    """What was shared: immutable, and checked by the registrar against the manifest.

    Args:
        name: the folder's (or single file's) name, which is also the torrent's.
        content_id: the v2 info-hash, 64 hex digits.
        infohash_v1: the companion's info-hash, 40 hex digits; the sharer's claim until a node has
            re-hashed the bytes.
        files, bytes: totals of the manifest.
        piece_length: bytes per piece, of both torrents.
        manifest, piece_layers, pieces_v1: SHA-256 of the three objects.
    """

    name: str
    content_id: str
    infohash_v1: str
    files: int
    bytes: int
    piece_length: int
    manifest: str
    piece_layers: str
    pieces_v1: str

    def check(self) -> None:
        """
        Raises:
            InvalidInput: a field is out of its range.
        """
        _want(isinstance(self.name, str), "name is not text")
        check_name(self.name)
        _hex("content_id", self.content_id, 64)
        _hex("infohash_v1", self.infohash_v1, 40)
        for name in ("manifest", "piece_layers", "pieces_v1"):
            _hex(name, getattr(self, name), 64)
        _count("files", self.files, 1, 10**8)
        _count("bytes", self.bytes, 0, 2**52)
        _count("piece_length", self.piece_length, MIN_PIECE_LENGTH, MAX_PIECE_LENGTH)


@dataclass(frozen=True, slots=True)
class Editor:
    """The person for whom a registrar signed with its own key.

    Args:
        account: the id of their account there.
        name: as they want to be named; may be empty.
        orcid: like ``0000-0002-1825-0097``, or empty.
    """

    account: str
    name: str = ""
    orcid: str = ""

    def encode(self) -> dict[str, str]:
        """The JSON form, without what is empty."""
        return {name: text for name, text in asdict(self).items() if text}

    @classmethod
    def parse(cls, value: Any) -> Editor:
        """
        Raises:
            InvalidInput: it is malformed.
        """
        good = isinstance(value, Mapping) and set(value) <= set(cls.__slots__) and "account" in value
        _want(good, "its editor does not have exactly account, name and orcid")
        for name, limit in (("account", 64), ("name", 500), ("orcid", 19)):
            check_text(f"the editor's {name}", value.get(name, ""), limit)
        editor = cls(**value)
        _want(editor.account != "", "its editor has no account")
        _want(not editor.orcid or orcid(editor.orcid) == editor.orcid, "its editor's orcid is not printed so")
        return editor


@dataclass(frozen=True, slots=True)
class RecordBody:
    """The body of a ``record`` event. What is empty of the last three is left out of the JSON.

    Args:
        supersedes: rid of the record of which this is a new version, or "".
        stewards: keys that may revise the record, printed; none: the signer's alone.
        editor: who had it recorded, where the registrar signed.
    """

    dataset: Dataset
    metadata: Metadata = field(default_factory=Metadata)
    license: str = DEFAULT_LICENSE
    web_seeds: tuple[str, ...] = ()
    copies: int = 3
    supersedes: str = ""
    stewards: tuple[str, ...] = ()
    editor: Editor | None = None

    def encode(self) -> bytes:
        """The canonical bytes that the event names by digest."""
        fields: dict[str, Any] = {
            "v": 1,
            "dataset": asdict(self.dataset),
            "metadata": self.metadata.encode(),
            "license": self.license,
            "web_seeds": self.web_seeds,
            "copies": self.copies,
        }
        more = {
            "supersedes": self.supersedes,
            "stewards": self.stewards,
            "editor": self.editor and self.editor.encode(),
        }
        return jcs.dumps({**fields, **{name: value for name, value in more.items() if value}})

    @classmethod
    def parse(cls, data: bytes | Mapping[str, Any]) -> RecordBody:
        """
        Raises:
            InvalidInput: a field is missing, unknown, of the wrong type or out of range.
        """
        fields = data if isinstance(data, Mapping) else jcs.loads(data)
        _want(isinstance(fields, Mapping), "it is not an object")
        names = {"v", "dataset", "metadata", "license", "web_seeds", "copies"}
        given = set(fields) - {"supersedes", "stewards", "editor"}
        _want(given == names, f"its fields must be exactly {', '.join(sorted(names))}")
        _want(fields["v"] == 1, "its version is unknown")
        body = cls(
            dataset=_dataset(fields["dataset"]),
            metadata=parse_metadata(fields["metadata"]),
            license=fields["license"],
            web_seeds=parse_web_seeds(fields["web_seeds"]),
            copies=fields["copies"],
            supersedes=fields.get("supersedes", ""),
            stewards=parse_stewards(fields["stewards"]) if "stewards" in fields else (),
            editor=Editor.parse(fields["editor"]) if "editor" in fields else None,
        )
        good = isinstance(body.license, str) and len(body.license) <= 64 and _LICENSE.fullmatch(body.license)
        _want(bool(good), "license is not an SPDX identifier or expression")
        check_copies(body.copies)
        if "supersedes" in fields:
            _hex("supersedes", body.supersedes, 64)
        return body


def check_text(name: str, value: Any, limit: int) -> None:
    """
    Raises:
        InvalidInput: it is no text, over ``limit`` characters, or holds a NUL.
    """
    good = isinstance(value, str) and len(value) <= limit and "\x00" not in value
    _want(good, f"{name} is not text of up to {limit} characters")


def check_copies(copies: Any) -> None:
    """
    Raises:
        InvalidInput: it is no number of copies that may be wished for.
    """
    _count("copies", copies, 0, MAX_COPIES)


def parse_web_seeds(values: Any) -> tuple[str, ...]:
    """
    Raises:
        InvalidInput: it is no list of at most 16 web seeds.
    """
    urls = _texts("web_seeds", values)
    _want(len(urls) <= MAX_WEB_SEEDS, f"it has more than {MAX_WEB_SEEDS} web seeds")
    for url in urls:
        check_web_seed(url)
    return urls


def parse_stewards(values: Any) -> tuple[str, ...]:
    """
    Raises:
        InvalidInput: it is no list of 1 to 20 different printed keys.
    """
    keys = _texts("stewards", values)
    _want(1 <= len(keys) <= MAX_STEWARDS, f"it does not have 1 to {MAX_STEWARDS} stewards")
    _want(len(set(keys)) == len(keys), "it names a steward twice")
    for key in keys:
        _want(str(PublicKey.parse(key)) == key, "a steward's key is not as it is printed")
    return keys


def _texts(name: str, values: Any) -> tuple[str, ...]:
    good = isinstance(values, Sequence) and not isinstance(values, str | bytes)
    _want(good and all(isinstance(v, str) for v in values), f"{name} is not a list of texts")
    return tuple(values)


def _dataset(fields: Any) -> Dataset:
    _want(isinstance(fields, Mapping), "dataset is not an object")
    names = set(Dataset.__slots__)
    _want(set(fields) == names, f"dataset must have exactly {', '.join(sorted(names))}")
    dataset = Dataset(**fields)
    dataset.check()
    return dataset


def check_web_seed(url: str) -> None:
    """A web seed is an http(s) base URL without query, or ``s3://`` or ``swift://``, ending in ``/``.

    Raises:
        InvalidInput: it is something else.
    """
    hint = (
        "Give a base URL that ends in / and to which NAME/PATH is appended, like https://example.org/data/."
    )
    if _BUCKET.fullmatch(url) and "/../" not in url and len(url) <= 2000:
        return
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise InvalidInput(f"{url[:200]!r} is not a web seed", hint=hint) from error
    plain = url.isascii() and url.isprintable() and " " not in url and "\\" not in url and len(url) <= 2000
    if (
        not plain
        or parts.scheme not in ("http", "https")
        or not host
        or parts.username is not None
        or "?" in url
        or "#" in url
        or not parts.path.endswith("/")
    ):
        raise InvalidInput(f"{url[:200]!r} is not a web seed", hint=hint)
