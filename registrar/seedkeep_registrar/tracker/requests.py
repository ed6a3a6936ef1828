"""Reads the query string of an announce or a scrape (BEP 3, 7, 23, 48); pure and strict.

A query is read as bytes: an info-hash is not text. What a client says about its own *address* (``ip``,
``ipv4``, ``ipv6``) is left unread on purpose, so that nobody can register somebody else's.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from urllib.parse import unquote_to_bytes

from seedkeep.core.errors import InvalidInput

MAX_QUERY = 8000
MAX_SCRAPE = 64
DEFAULT_PEERS = 50
MAX_PEERS = 200
_COUNT_DIGITS = 19
_HASH_BYTES = 20


class Happening(Enum):
    """The ``event`` of an announce."""

    REGULAR = ""
    STARTED = "started"
    STOPPED = "stopped"
    COMPLETED = "completed"
    PAUSED = "paused"  # BEP 21: has all it wants, but not everything


_HAPPENINGS = {h.value.encode(): h for h in Happening} | {b"empty": Happening.REGULAR}


@dataclass(frozen=True, slots=True)
class Announce:
    """One announce.

    Attributes:
        info_hash: 20 bytes: a v1 info-hash, or the first 20 bytes of a v2 one.
        port: where the peer listens; 0 when it does not.
        left: bytes it still lacks; 0 is a seed.
        numwant: how many peers it wants, at most ``MAX_PEERS``.
        compact: False when it asked for the long form (``compact=0``).
        no_peer_id: the long form may leave out peer ids.
    """

    info_hash: bytes
    peer_id: bytes
    port: int
    left: int
    happening: Happening = Happening.REGULAR
    numwant: int = DEFAULT_PEERS
    compact: bool = True
    no_peer_id: bool = False


def _pairs(query: str) -> list[tuple[str, str]]:
    if len(query) > MAX_QUERY:
        raise InvalidInput(f"the request is longer than {MAX_QUERY} characters")
    pairs = []
    for part in query.split("&"):
        name, _, value = part.partition("=")
        pairs.append((name, value))
    return pairs


def _bytes(name: str, value: str) -> bytes:
    try:
        # a form encoder writes a space as "+"; nobody writes a "+" as itself here
        return unquote_to_bytes(value.replace("+", " ").encode("utf-8", "surrogateescape"))
    except UnicodeEncodeError as error:
        raise InvalidInput(f"{name} is not percent-encoded bytes") from error


def _hash(name: str, value: str) -> bytes:
    found = _bytes(name, value)
    if len(found) != _HASH_BYTES:
        raise InvalidInput(f"{name} must have {_HASH_BYTES} bytes, it has {len(found)}")
    return found


def _count(name: str, value: str, most: int | None = None) -> int:
    good = value.isascii() and value.isdigit() and len(value) <= _COUNT_DIGITS
    number = int(value) if good else -1
    if not good or (most is not None and number > most):
        raise InvalidInput(f"{name} is not a number" + (f" from 0 to {most}" if most is not None else ""))
    return number


def _numwant(value: str) -> int:
    if value.startswith("-"):  # "-1" is how several clients say "as many as is usual"
        _count("numwant", value[1:])
        return DEFAULT_PEERS
    return min(_count("numwant", value), MAX_PEERS) if value else DEFAULT_PEERS


def parse_announce(query: str) -> Announce:
    """Read the query string of ``GET /announce`` as it came, percent-encoded.

    Raises:
        InvalidInput: a field is missing, repeated or malformed; the text says which.
    """
    fields: dict[str, str] = {}
    for name, value in _pairs(query):
        if fields.setdefault(name, value) != value:
            raise InvalidInput(f"{name[:20]} is given twice")
    for name in ("info_hash", "peer_id", "port", "left"):
        if name not in fields:
            raise InvalidInput(f"{name} is missing")
    happening = _HAPPENINGS.get(_bytes("event", fields.get("event", "")))
    if happening is None:
        raise InvalidInput("event must be started, stopped, completed, paused or empty")
    return Announce(
        info_hash=_hash("info_hash", fields["info_hash"]),
        peer_id=_hash("peer_id", fields["peer_id"]),
        port=_count("port", fields["port"], 65535),
        left=_count("left", fields["left"]),
        happening=happening,
        numwant=_numwant(fields.get("numwant", "")),
        compact=fields.get("compact") != "0",
        no_peer_id=fields.get("no_peer_id", "0") not in ("", "0"),
    )


def parse_scrape(query: str) -> list[bytes]:
    """The info-hashes of ``GET /scrape``, each once, in the order asked for.

    Raises:
        InvalidInput: none, too many, or a malformed one.
    """
    hashes = list(dict.fromkeys(_hash(n, v) for n, v in _pairs(query) if n == "info_hash"))
    if not hashes:
        raise InvalidInput("a scrape must name the torrents it asks for: info_hash is missing")
    if len(hashes) > MAX_SCRAPE:
        raise InvalidInput(f"a scrape may name {MAX_SCRAPE} torrents at most")
    return hashes
