"""Narrows by complete copies, which are not in the index of words."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import Connection, or_, select

from seedkeep_registrar.store import totals
from seedkeep_registrar.store.among import among
from seedkeep_registrar.store.search_tables import search_documents
from seedkeep_registrar.store.tables import datasets

#: this class is of as many or more
MOST = 3


def few(connection: Connection, classes: Collection[int], most: int) -> list[int] | None:
    """The positions of all documents in these classes; None where there may be more than ``most``."""
    counted = totals.by_copies(connection)
    numbers = [complete for complete in counted if min(complete, MOST) in classes]
    if sum(counted[complete] for complete in numbers) > most:
        return None
    query = (
        select(search_documents.c.position)
        .join(datasets, datasets.c.content_id == search_documents.c.content_id)
        .where(datasets.c.complete.in_(numbers))
    )
    return list(connection.execute(query).scalars().all())


def having(connection: Connection, positions: Sequence[int], classes: Collection[int]) -> list[int]:
    """Those of these documents that are in one of the classes, newest first."""
    complete = search_documents.c.complete
    query = select(search_documents.c.position).where(
        among(connection, search_documents.c.position, positions),
        or_(*(complete >= MOST if n == MOST else complete == n for n in sorted(classes))),
    )
    return sorted(connection.execute(query).scalars(), reverse=True)
