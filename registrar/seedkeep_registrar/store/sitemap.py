"""What crawlers are told of: the addresses of live records, in pages by position, and when each changed.

Records of other registrars are told by those, as long as they speak.
"""

from __future__ import annotations

from sqlalchemy import Connection, func, select

from seedkeep_registrar.store.homes import HERE_OR_SILENT
from seedkeep_registrar.store.records import live
from seedkeep_registrar.store.tables import records

#: positions on one page: fewer than the 50,000 addresses that the protocol allows, to be made quickly
PAGE = 10_000


def pages(connection: Connection) -> list[tuple[int, str]]:
    """Number of each page that is not empty, and when something on it changed last."""
    number = (records.c.position // PAGE).label("number")
    query = live(select(number, func.max(records.c.updated)).where(HERE_OR_SILENT))
    rows = connection.execute(query.group_by(number).order_by(number))
    return [(int(row[0]), str(row[1])) for row in rows]


def page(connection: Connection, number: int) -> list[tuple[str, str]]:
    """ARK (``NAAN/sk…``) and time of the last change of the live records on one page."""
    first = number * PAGE
    query = select(records.c.ark, records.c.updated).where(
        records.c.position >= first, records.c.position < first + PAGE, HERE_OR_SILENT
    )
    return [(row[0], row[1]) for row in connection.execute(live(query).order_by(records.c.position))]
