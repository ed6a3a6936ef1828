"""Which records the standing taints concern, and how: kept in step when a taint stands or ends.

A record is *withheld* (``tainted_records``) when a taint on it or its content says so, or when each of its
files that has bytes is withheld. Otherwise it is *noted* (``taint_notes``): a taint warns of it, or withholds
some of its files. Marks of taints of other registrars that do not bind on it are apart (``taint_advice``).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import Connection, and_, delete, exists, insert, or_, select

from seedkeep.core.taints.body import QUARANTINE_S, Effect, Subject, SubjectKind, printed
from seedkeep_registrar.store import datasets, files
from seedkeep_registrar.store.tables import files as file_rows
from seedkeep_registrar.store.tables import records, tainted_records, taints
from seedkeep_registrar.store.taint_tables import taint_advice, taint_notes
from seedkeep_registrar.store.taints import DRAFT, Taint, advice_on_new_record, taint_of

#: files of one record that are told to be withheld
MOST_PATHS = 1000
_AT_ONCE = 500
_ON_FILES = and_(taints.c.kind == SubjectKind.ROOT.value, taints.c.effect != Effect.WARN.value)


def hit(connection: Connection, subject: Subject) -> list[tuple[str, str]]:
    """The records (rid, content id) that a taint on ``subject`` is about."""
    return [(rid, content_id) for rid, content_id, _ in at_homes(connection, subject)]


def at_homes(connection: Connection, subject: Subject) -> list[tuple[str, str, str]]:
    """The same, each with its home."""
    query = select(records.c.rid, records.c.content_id, records.c.home)
    if subject.kind is SubjectKind.ROOT:
        with_it = select(file_rows.c.manifest_id).where(file_rows.c.root == bytes.fromhex(subject.value))
        query = query.where(records.c.manifest_id.in_(with_it))
    elif subject.kind is SubjectKind.CONTENT:
        query = query.where(records.c.content_id == subject.value)
    else:
        query = query.where(records.c.rid == subject.value)
    return [(row.rid, row.content_id, row.home) for row in connection.execute(query)]


def mark(connection: Connection, taint: Taint) -> list[str]:
    """A taint stands from now on.

    Returns:
        The content ids on which it binds.
    """
    concerned, order = at_homes(connection, taint.order.subject), taint.order
    found = [(rid, content_id) for rid, content_id, home in concerned if taint.binds_on(home)]
    rest = [rid for rid, _, home in concerned if not taint.binds_on(home)]
    if rest:
        connection.execute(insert(taint_advice), [{"taint": taint.id, "rid": rid} for rid in rest])
    on_files = order.subject.kind is SubjectKind.ROOT
    table = tainted_records if order.effect.withholds and not on_files else taint_notes
    if found:
        connection.execute(insert(table), [{"taint": taint.id, "rid": rid} for rid, _ in found])
    if on_files and order.effect.withholds:
        _settle(connection, [rid for rid, _ in found])
    return _follow(connection, found)


def unmark(connection: Connection, taint: Taint) -> list[str]:
    """A taint stands no more.

    Returns:
        The content ids that it was about.
    """
    found = hit(connection, taint.order.subject)
    for table in (tainted_records, taint_notes, taint_advice):
        connection.execute(delete(table).where(table.c.taint == taint.id))
    if taint.order.subject.kind is SubjectKind.ROOT:
        _settle(connection, [rid for rid, _ in found])
    return _follow(connection, found)


def mark_new(connection: Connection, rid: str, content_id: str, standing: Sequence[Taint]) -> bool:
    """A record was made that these taints concern.

    Returns:
        Whether they withhold it.
    """
    if not standing:
        return False
    for taint in standing:
        order = taint.order
        whole = order.effect.withholds and order.subject.kind is not SubjectKind.ROOT
        table = tainted_records if whole else taint_notes
        connection.execute(insert(table).values(taint=taint.id, rid=rid))
    if any(t.order.subject.kind is SubjectKind.ROOT and t.order.effect.withholds for t in standing):
        _settle(connection, [rid])
    hidden = connection.execute(select(tainted_records.c.rid).where(tainted_records.c.rid == rid).limit(1))
    withheld = hidden.first() is not None
    if withheld:
        datasets.update_servable(connection, [content_id])
    return withheld


def advise_new(
    connection: Connection, rid: str, content_id: str, manifest_id: int, home: str, standing: Sequence[Taint]
) -> bool:
    """A record was made; whether other taints than those of ``standing`` are about it, which bind nobody."""
    binding = {taint.id for taint in standing}
    given = advice_on_new_record(connection, rid, content_id, manifest_id, home)
    rows = [{"taint": taint.id, "rid": rid} for taint in given if taint.id not in binding]
    if rows:
        connection.execute(insert(taint_advice), rows)
    return bool(rows)


def _follow(connection: Connection, found: list[tuple[str, str]]) -> list[str]:
    content_ids = sorted({content_id for _, content_id in found})
    datasets.update_servable(connection, content_ids)
    return content_ids


def _settle(connection: Connection, rids: Iterable[str]) -> None:
    """Withhold records as a whole when all of their files are, and not otherwise."""
    for rid in rids:
        on_files = {
            table: connection.execute(
                select(taints.c.id, taints.c.value)
                .join(table, table.c.taint == taints.c.id)
                .where(table.c.rid == rid, _ON_FILES)
            ).all()
            for table in (tainted_records, taint_notes)
        }
        every = [row for rows in on_files.values() for row in rows]
        whole = bool(every) and _roots(connection, rid, len(every) + 1) <= len({row.value for row in every})
        wrong, right = (taint_notes, tainted_records) if whole else (tainted_records, taint_notes)
        for row in on_files[wrong]:
            connection.execute(delete(wrong).where(wrong.c.taint == row.id, wrong.c.rid == rid))
            connection.execute(insert(right).values(taint=row.id, rid=rid))


def _roots(connection: Connection, rid: str, most: int) -> int:
    """How many different pieces roots a record's files have, counted up to ``most``."""
    of_record = (
        select(file_rows.c.root)
        .join(records, records.c.manifest_id == file_rows.c.manifest_id)
        .where(records.c.rid == rid, file_rows.c.root.is_not(None))
        .distinct()
        .limit(most)
    )
    return len(connection.execute(of_record).all())


def notes(connection: Connection, rid: str) -> list[Taint]:
    """The taints that concern a record without withholding it, oldest first."""
    rows = connection.execute(
        select(taints)
        .join(taint_notes, taint_notes.c.taint == taints.c.id)
        .where(taint_notes.c.rid == rid)
        .order_by(taints.c.effective, taints.c.id)
    )
    return [taint_of(row) for row in rows]


def advice(connection: Connection, rid: str) -> list[Taint]:
    """What other registrars have ordered about a record that does not bind here, oldest first; without what
    waits for a curator."""
    rows = connection.execute(
        select(taints)
        .join(taint_advice, taint_advice.c.taint == taints.c.id)
        .where(taint_advice.c.rid == rid, taints.c.way != DRAFT)
        .order_by(taints.c.effective, taints.c.id)
    )
    return [taint_of(row) for row in rows]


def withheld_roots(noted: Iterable[Taint]) -> set[str]:
    """Pieces roots of the files that these taints withhold."""
    orders = (t.order for t in noted)
    return {o.subject.value for o in orders if o.subject.kind is SubjectKind.ROOT and o.effect.withholds}


def withheld_paths(connection: Connection, manifest_id: int, noted: Iterable[Taint]) -> list[str]:
    """The paths of these files in a manifest, in its order; at most :data:`MOST_PATHS`."""
    roots, found = sorted(withheld_roots(noted)), list[tuple[int, str]]()
    for at in range(0, len(roots), _AT_ONCE):
        wanted = [bytes.fromhex(root) for root in roots[at : at + _AT_ONCE]]
        rows = connection.execute(
            select(file_rows.c.number, file_rows.c.path)
            .where(file_rows.c.manifest_id == manifest_id, file_rows.c.root.in_(wanted))
            .order_by(file_rows.c.number)
            .limit(MOST_PATHS)
        )
        found += [(row.number, row.path) for row in rows]
    return [path for _, path in sorted(found)[:MOST_PATHS]]


def on_file(connection: Connection, rid: str, content_id: str, path: str) -> list[Taint]:
    """The taints that withhold one file of a record that is not withheld as a whole."""
    noted = notes(connection, rid)
    if not withheld_roots(noted):
        return []
    entry = files.find_path(connection, content_id, path)
    if entry is None:
        return []
    here = Subject(SubjectKind.ROOT, entry.root) if entry.root else None
    return [t for t in noted if t.order.subject == here and t.order.effect.withholds]


def with_withheld_files(connection: Connection, rids: Iterable[str]) -> set[str]:
    """Those of these records that have files which are withheld."""
    wanted, found = sorted(set(rids)), set[str]()
    for at in range(0, len(wanted), _AT_ONCE):
        query = (
            select(taint_notes.c.rid)
            .join(taints, taints.c.id == taint_notes.c.taint)
            .where(taint_notes.c.rid.in_(wanted[at : at + _AT_ONCE]), _ON_FILES)
        )
        found |= set(connection.execute(query).scalars())
    return found


def kept_among(connection: Connection, content_ids: Iterable[str], now: float) -> set[str]:
    """Those of these contents that must not be served, but whose bytes are to be kept for the time being:
    some record of them is not withdrawn, and no taint on it says that they are to be deleted by now."""
    over = and_(taints.c.effect == Effect.QUARANTINE.value, taints.c.effective <= printed(now - QUARANTINE_S))
    on_record = and_(
        tainted_records.c.rid == records.c.rid,
        taints.c.id == tainted_records.c.taint,
        or_(taints.c.effect == Effect.REMOVE.value, over),
    )
    wanted, found = sorted(set(content_ids)), set[str]()
    for at in range(0, len(wanted), _AT_ONCE):
        query = (
            select(records.c.content_id)
            .where(
                records.c.content_id.in_(wanted[at : at + _AT_ONCE]),
                records.c.withdrawn == "",
                exists().where(tainted_records.c.rid == records.c.rid),
                ~exists().where(on_record),
            )
            .distinct()
        )
        found |= set(connection.execute(query).scalars())
    return found
