"""Which of several media types a client prefers (RFC 9110, section 12.5.1); pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_RANGES = 64
_HTML = ("text/html", "application/xhtml+xml")
_JSON = ("application/json", "application/problem+json")
_QUALITY = re.compile(r"(?:0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)")
_PART = re.compile(r'(?:[^,"]|"(?:[^"\\]|\\.)*")+')
_PARAMETER = re.compile(r';\s*([!#$%&\'*+.^_`|~0-9A-Za-z-]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^\s;,"]*)')
_TYPE = re.compile(r"\s*([!#$&^_.+0-9A-Za-z-]+|\*)/([!#$&^_.+0-9A-Za-z-]+|\*)\s*(?=;|$)")


@dataclass(frozen=True, slots=True)
class Range:
    """One media range of an Accept header: lower case, ``*`` for any.

    Attributes:
        quality: 0 (not wanted) to 1.
        parameters: those of the media type, without ``q``.
    """

    main: str
    sub: str
    quality: float
    parameters: tuple[tuple[str, str], ...] = ()

    def covers(self, media_type: str) -> bool:
        """Whether ``media_type`` (without parameters) is one of these."""
        main, _, sub = media_type.partition("/")
        return self.main in ("*", main) and self.sub in ("*", sub)

    @property
    def precision(self) -> int:
        """How exactly it names a type: the most exact range that covers a type decides about it."""
        return 0 if self.main == "*" else 1 if self.sub == "*" else 2


def parse_accept(header: str) -> tuple[Range, ...]:
    """The ranges of an Accept header, those that are malformed left out."""
    found = []
    for part in _PART.findall(header[:8192])[:_RANGES]:
        kind = _TYPE.match(part)
        if kind is None or (kind[1] == "*" and kind[2] != "*"):
            continue
        parameters = [
            (name.lower(), value.strip('"')) for name, value in _PARAMETER.findall(part, kind.end())
        ]
        quality = next((value for name, value in parameters if name == "q"), "1")
        if _QUALITY.fullmatch(quality):
            rest = tuple((n, v) for n, v in parameters if n != "q")
            found.append(Range(kind[1].lower(), kind[2].lower(), float(quality), rest))
    return tuple(found)


def quality(ranges: Sequence[Range], media_type: str) -> tuple[float, int]:
    """How much ``media_type`` is wanted, and how exactly it was named (-1: not at all)."""
    covering = [r for r in ranges if r.covers(media_type)]
    if not covering:
        return 0.0, -1
    best = max(covering, key=lambda r: (r.precision, r.quality))
    return best.quality, best.precision


def choose(header: str | None, offered: Sequence[str]) -> str | None:
    """The one of ``offered`` (our own preference first) that a client likes best; None when it takes none.

    Of equally wanted ones that comes first which was named more exactly, then ours.

    Args:
        header: the Accept header; None or empty means that anything will do.
    """
    if header is None or not header.strip():
        return offered[0]
    ranges = parse_accept(header)
    ranked = [(*quality(ranges, kind), -place, kind) for place, kind in enumerate(offered)]
    wanted, _, _, kind = max(ranked)
    return kind if wanted > 0 else None


def names_html(header: str) -> bool:
    """Whether an Accept header names HTML, as browsers do, and likes JSON no better."""
    ranges = parse_accept(header)

    def named(kinds: Sequence[str]) -> float:
        return max(
            (q for q, precision in (quality(ranges, kind) for kind in kinds) if precision == 2), default=0
        )

    return 0 < named(_HTML) >= named(_JSON)
