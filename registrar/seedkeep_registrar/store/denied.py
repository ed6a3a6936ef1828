"""What taints deny, by the digests that other software knows things by; and what is here of such digests."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sqlalchemy import Connection, select

from seedkeep.core.taints.body import Effect, Subject, SubjectKind
from seedkeep.core.taints.denylist import BITTORRENT_INFO, RAW, Denied
from seedkeep_registrar.store import lookups
from seedkeep_registrar.store.tables import datasets, files, taints
from seedkeep_registrar.store.taints import BINDS, STANDING, Taint, taint_of

_AT_ONCE = 500


def every(connection: Connection) -> Iterator[Denied]:
    """Datasets and files that standing taints withhold, oldest first; files that nobody recorded here have no
    digest that others know, and records are nobody else's."""
    rows = connection.execute(
        select(taints)
        .where(taints.c.state == STANDING, taints.c.effect != Effect.WARN.value, taints.c.way.in_(BINDS))
        .order_by(taints.c.effective, taints.c.id)
    )
    for taint in [taint_of(row) for row in rows]:
        subject = taint.order.subject
        if subject.kind is SubjectKind.CONTENT:
            yield Denied(subject.value, BITTORRENT_INFO, _hints(taint))
        elif subject.kind is SubjectKind.ROOT:
            with_it = select(files.c.sha256).where(files.c.root == bytes.fromhex(subject.value)).distinct()
            for digest in connection.execute(with_it).scalars():
                yield Denied(digest.hex(), RAW, _hints(taint))


def _hints(taint: Taint) -> tuple[tuple[str, str], ...]:
    return (("reason", taint.order.category), ("taint", taint.id))


def here(connection: Connection, digests: Iterable[str]) -> list[tuple[Subject, str]]:
    """Datasets and files of records here that have one of these SHA-256, each with where it is: a content
    id's name, or a rid and a path in it."""
    wanted, found = sorted(set(digests)), dict[Subject, str]()
    for at in range(0, len(wanted), _AT_ONCE):
        some = wanted[at : at + _AT_ONCE]
        named = select(datasets.c.content_id, datasets.c.name).where(datasets.c.content_id.in_(some))
        for row in connection.execute(named):
            found[Subject(SubjectKind.CONTENT, row.content_id)] = row.name
        roots = select(files.c.sha256, files.c.root).where(
            files.c.sha256.in_([bytes.fromhex(one) for one in some]), files.c.root.is_not(None)
        )
        root_of = {row.sha256.hex(): row.root.hex() for row in connection.execute(roots.distinct())}
        for digest, places in lookups.by_file(connection, "sha256", sorted(root_of), 1).items():
            for rid, path in places:
                found[Subject(SubjectKind.ROOT, root_of[digest])] = f"rid:{rid}/{path}"
    return sorted(found.items(), key=lambda one: str(one[0]))
