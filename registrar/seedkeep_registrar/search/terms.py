"""What the search asks of a database engine: an inverted index of words and facet codes by log position."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from sqlalchemy import Connection

from seedkeep_registrar.search.document import Document
from seedkeep_registrar.search.words import Query


@dataclass(frozen=True, slots=True)
class Terms:
    """What a document must have.

    Args:
        facets: of each group one code.
        copies: classes of complete copies, of which it must be in one; empty for all. 3: three or more.
    """

    query: Query
    facets: tuple[tuple[int, ...], ...] = ()
    copies: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Newest:
    """The newest matches.

    Attributes:
        positions: newest first.
        reached: what is below has not been looked at; 0 when that is nothing, or nothing that was asked for.
    """

    positions: Sequence[int]
    reached: int = 0


class Engine(Protocol):
    """One database engine's index. Positions are those of records in the log."""

    def put(self, connection: Connection, position: int, document: Document, codes: Sequence[int]) -> None:
        """Index a document that is not there."""

    def remove(self, connection: Connection, position: int) -> None:
        """Forget a document."""

    def clear(self, connection: Connection) -> None:
        """Forget all documents."""

    def newest(self, connection: Connection, terms: Terms, *, before: int, limit: int) -> Newest:
        """Of what matches below ``before`` (there are words or facets); the same for the same documents."""

    def scores(self, connection: Connection, terms: Terms, positions: Sequence[int]) -> dict[int, float]:
        """How well these documents match; depends on nothing but the document and the query."""
