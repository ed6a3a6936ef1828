"""Restoring a snapshot, into an empty data folder and an empty database, or not at all.

What was acknowledged is never rolled back by accident: a database that holds a log already is not touched,
an older snapshot is refused while a newer one lies beside it, and a registrar whose log is shorter than the
one that its data folder has seen (:mod:`seedkeep_registrar.operations.acknowledged`) does not start.
"""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

from sqlalchemy import Connection, Engine, Integer, Table, func, insert, inspect, select, text

from seedkeep.core.errors import Refused, UsageError, VerificationFailed
from seedkeep.core.keys import PrivateKey
from seedkeep.core.notes import Verifier
from seedkeep_registrar import migrations
from seedkeep_registrar.identity import KEY_FILE
from seedkeep_registrar.objects import SHA256
from seedkeep_registrar.operations import check
from seedkeep_registrar.operations.snapshot import NOTE, OBJECTS, Progress, Snapshot, kept_tables, schema_of
from seedkeep_registrar.search import index
from seedkeep_registrar.store import peers, tables

_ROWS = 2000
_CHUNK = 1 << 20


def restore(engine: Engine, found: Snapshot, data: Path, progress: Progress, *, alone: bool) -> int:
    """Fill the database and the data folder from a snapshot, then check the whole log.

    Args:
        engine: of an empty database.
        data: a data folder without key and objects, locked by the caller.
        alone: nobody mirrors its log any more.

    Returns:
        How many peers have to say how far the log was before anything is appended to it: what was signed
        after the snapshot is known to them alone.

    Raises:
        Refused: something is there already, or a newer snapshot lies beside this one.
        UsageError: the snapshot has the schema of another version of this program.
        VerificationFailed: something of the snapshot is damaged. In all these cases nothing is left behind.
    """
    _refuse_rollback(engine, found, data)
    try:
        migrations.upgrade(engine)
        with engine.connect() as connection, connection.begin():
            if schema_of(connection) != found.schema:
                raise UsageError(
                    f"the snapshot has schema {found.schema}, this program has {schema_of(connection)}",
                    hint=f"Restore it with Seedkeep {found.software}, then start this version.",
                )
            for table in kept_tables():
                _fill(connection, found, table, progress)
            waited_for = 0 if alone else peers.expect_all(connection)
            _copy_objects(connection, found, data / OBJECTS, progress)
            verifier = Verifier(found.head.origin, PrivateKey.from_pem(found.key_file.read_bytes()).public)
            for problem in check.log_problems(connection, verifier, progress):
                raise VerificationFailed(f"the snapshot's log does not hold: {problem}")
            for rid in connection.execute(select(tables.records.c.rid)).scalars().all():
                index.refresh(connection, rid)
        draft = data / f"{KEY_FILE}.new"
        draft.touch(mode=0o600)
        draft.write_bytes(found.key_file.read_bytes())
        draft.rename(data / KEY_FILE)
    except BaseException:
        shutil.rmtree(data / OBJECTS, ignore_errors=True)
        raise
    return waited_for


def _refuse_rollback(engine: Engine, found: Snapshot, data: Path) -> None:
    newer = sorted(
        path.parent.name
        for path in found.folder.parent.glob(f"*/{NOTE}")
        if path.parent.name > found.folder.name
    )
    if newer:
        raise Refused(
            f"there is a newer snapshot than {found.folder.name}: {newer[-1]}",
            hint="Restore that one: what was acknowledged since then would be lost. "
            "If it is damaged, move it away first.",
        )
    if (data / KEY_FILE).exists() or (data / OBJECTS).exists():
        raise Refused(f"{data} holds a registrar already", hint="Restore into an empty folder.")
    with engine.connect() as connection:
        if inspect(connection).has_table("log") and connection.execute(select(tables.log.c.id)).first():
            raise Refused("the database holds a registrar already", hint="Restore into an empty database.")


def _fill(connection: Connection, found: Snapshot, table: Table, progress: Progress) -> None:
    rows: list[dict[str, object]] = []
    done = 0
    for row in found.rows(table):
        rows.append(row)
        if len(rows) == _ROWS:
            connection.execute(insert(table), rows)
            done += len(rows)
            progress(table.name, done)
            rows = []
    if rows:
        connection.execute(insert(table), rows)
        progress(table.name, done + len(rows))
    serial = table.autoincrement_column
    if connection.dialect.name == "postgresql" and serial is not None and isinstance(serial.type, Integer):
        highest = connection.execute(select(func.max(serial))).scalar_one()
        if highest is not None:
            connection.execute(
                text("SELECT setval(pg_get_serial_sequence(:table, :column), :highest)"),
                {"table": table.name, "column": serial.name, "highest": highest},
            )


def _copy_objects(connection: Connection, found: Snapshot, place: Path, progress: Progress) -> None:
    named = [row.sha256 for row in connection.execute(select(tables.objects.c.sha256).distinct())]
    for number, sha256 in enumerate(named, 1):
        if not SHA256.fullmatch(sha256):  # it becomes a path, and whoever made the snapshot wrote it
            raise VerificationFailed(
                f"the snapshot names an object {sha256[:80]!r}", hint="Use another snapshot."
            )
        source, target = found.objects / sha256[:2] / sha256, place / sha256[:2] / sha256
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            digest = _copy(source, target)
        except OSError as error:
            raise VerificationFailed(f"object {source} cannot be read: {error.strerror}") from error
        if digest != sha256:
            raise VerificationFailed(f"object {source} is damaged", hint="Use another snapshot.")
        if number % 100 == 0 or number == len(named):
            progress(OBJECTS, number)


def _copy(source: Path, target: Path) -> str:
    digest = hashlib.sha256()
    with source.open("rb") as reading, target.open("xb") as writing:
        while chunk := reading.read(_CHUNK):
            digest.update(chunk)
            writing.write(chunk)
    return digest.hexdigest()
