"""A snapshot of a registrar: every table at one moment, the objects that records name, and the key.

Layout, below the folder an operator chooses::

    objects/aa/<sha256>              shared by all snapshots; an object is copied once
    <UTC time>/tables/<table>.jsonl.gz
    <UTC time>/registrar.pem         mode 0600: who has it can speak for this registrar
    <UTC time>/snapshot.json         what is there, by digest; JCS
    <UTC time>/snapshot.note         C2SP signed note over its digest and the head of the log

Tables are rows of JSON, the same for every engine: a snapshot of SQLite can be restored into PostgreSQL and
the other way round. A snapshot that was interrupted has no note and counts for nothing.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, LargeBinary, Table, select

from seedkeep import __version__
from seedkeep.core import jcs
from seedkeep.core.errors import Error, InvalidInput, UsageError, VerificationFailed
from seedkeep.core.keys import PrivateKey
from seedkeep.core.log.tree import EMPTY_ROOT
from seedkeep.core.notes import Verifier, open_note, sign_note
from seedkeep_registrar import durable, times
from seedkeep_registrar.identity import KEY_FILE
from seedkeep_registrar.store import events, tables, trees

HEADER = "seedkeep.snapshot/v1"
NOTE, CONTENTS, TABLES, OBJECTS = "snapshot.note", "snapshot.json", "tables", "objects"
#: what is made anew from the rest, or means nothing after a restore
LEFT_OUT = frozenset(
    {"rates", "nonces", "search_documents", "search_values", "search_words", "idempotency_keys", "sessions"}
)
MAX_CONTENTS = 1 << 20
_ROWS = 2000

Progress = Callable[[str, int], None]


@dataclass(frozen=True, slots=True)
class Head:
    """What a snapshot's note says.

    Args:
        size, root: of the log; the root in hex.
        sha256: of ``snapshot.json``.
    """

    origin: str
    size: int
    root: str
    sha256: str

    def sign(self, key: PrivateKey) -> str:
        """The note."""
        text = f"{HEADER}\n{self.origin}\n{self.size}\n{self.root}\n{self.sha256}\n"
        return sign_note(text, self.origin, key)

    @classmethod
    def open(cls, note: bytes, trusted: Verifier) -> Head:
        """
        Raises:
            InvalidInput: it is no note of a snapshot.
            VerificationFailed: another key signed it.
        """
        lines = open_note(note, [trusted]).split("\n")
        if len(lines) != 6 or lines[0] != HEADER or not lines[2].isascii() or not lines[2].isdigit():
            raise InvalidInput("this is not the note of a snapshot")
        return cls(lines[1], int(lines[2]), lines[3], lines[4])


def kept_tables() -> list[Table]:
    """The tables of a snapshot, those that others point to first."""
    return [table for table in tables.metadata.sorted_tables if table.name not in LEFT_OUT]


def schema_of(connection: Connection) -> str:
    """The version of the database's schema, as the migrations count."""
    return MigrationContext.configure(connection).get_current_revision() or ""


def take(
    connection: Connection,
    *,
    key: PrivateKey,
    data: Path,
    place: Path,
    now: float,
    progress: Progress,
) -> Path:
    """Write a snapshot.

    Args:
        connection: in a transaction that sees one moment of the database.
        data: the registrar's data folder.
        place: the folder of snapshots; made when it is not there.
        progress: told a table's or the objects' name, and how many are done.

    Returns:
        The snapshot's folder.

    Raises:
        UsageError: the place cannot be written, or a snapshot of this second is there.
        Error: an object that a record names is missing.
    """
    state, signed = events.log_state(connection), trees.newest(connection, events.OWN)
    root = (signed.root if signed else EMPTY_ROOT).hex()
    name = times.text(now).replace("-", "").replace(":", "")
    final, draft = place / name, place / f"{name}.part"
    try:
        draft.mkdir(parents=True, mode=0o700)
        (draft / TABLES).mkdir()
    except OSError as error:
        raise UsageError(f"a snapshot cannot be written to {draft}: {error.strerror}") from error
    try:
        written = {t.name: _dump(connection, t, draft / TABLES, progress) for t in kept_tables()}
        named = sorted({row.sha256 for row in connection.execute(select(tables.objects.c.sha256))})
        _copy_objects(data / OBJECTS, place / OBJECTS, named, progress)
        durable.create(draft / KEY_FILE, (data / KEY_FILE).read_bytes(), 0o600)
        contents = jcs.dumps(
            {
                "v": 1,
                "origin": state.origin,
                "taken": times.text(now),
                "schema": schema_of(connection),
                "software": __version__,
                "size": state.size,
                "root": root,
                "objects": len(named),
                "tables": written,
            }
        )
        durable.create(draft / CONTENTS, contents)
        head = Head(state.origin, state.size, root, hashlib.sha256(contents).hexdigest())
        durable.create(draft / NOTE, head.sign(key).encode())
        draft.rename(final)
    except FileExistsError as error:
        raise UsageError(f"there is a snapshot {final} already") from error
    except OSError as error:
        raise Error(f"the snapshot {draft} could not be written: {error.strerror}") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return final


def _dump(connection: Connection, table: Table, folder: Path, progress: Progress) -> dict[str, Any]:
    digest, rows = hashlib.sha256(), 0
    with (folder / f"{table.name}.jsonl.gz").open("wb") as raw:
        with gzip.GzipFile(fileobj=raw, mode="wb", compresslevel=3, mtime=0) as file:
            found = connection.execution_options(yield_per=_ROWS).execute(
                select(table).order_by(*table.primary_key.columns)
            )
            for part in found.mappings().partitions(_ROWS):
                for row in part:
                    line = encode_row(table, dict(row))
                    digest.update(line)
                    file.write(line)
                rows += len(part)
                progress(table.name, rows)
        raw.flush()
        os.fsync(raw.fileno())
    return {"rows": rows, "sha256": digest.hexdigest()}


def encode_row(table: Table, row: dict[str, Any]) -> bytes:
    """A row as one line of JSON; bytes in base64."""
    shown = {
        column.name: base64.b64encode(value).decode() if _is_bytes(column.type, value) else value
        for column in table.columns
        for value in (row[column.name],)
    }
    return json.dumps(shown, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def decode_row(table: Table, line: bytes) -> dict[str, Any]:
    """The row of a line.

    Raises:
        InvalidInput: it is no row of this table.
    """
    try:
        shown = json.loads(line)
        if set(shown) != set(table.columns.keys()):
            raise InvalidInput(f"a row of table {table.name} has other columns than it should")
        return {
            column.name: base64.b64decode(value) if _is_bytes(column.type, value) else value
            for column in table.columns
            for value in (shown[column.name],)
        }
    except (ValueError, TypeError) as error:
        raise InvalidInput(f"a row of table {table.name} cannot be read: {error}") from error


def _is_bytes(type_: object, value: object) -> bool:
    return isinstance(type_, LargeBinary) and value is not None


def _copy_objects(source: Path, place: Path, named: list[str], progress: Progress) -> None:
    for number, sha256 in enumerate(named, 1):
        there, here = source / sha256[:2] / sha256, place / sha256[:2] / sha256
        if not here.exists():
            here.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            draft = here.with_suffix(".part")
            try:
                shutil.copyfile(there, draft)
            except FileNotFoundError as error:
                raise Error(
                    f"the object {sha256} that a record names is missing from {source}",
                    hint="Run `seedkeep registrar check`; put the object back from an older snapshot.",
                ) from error
            with draft.open("rb+") as file:
                os.fsync(file.fileno())
            draft.rename(here)
        if number % 100 == 0 or number == len(named):
            progress(OBJECTS, number)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A snapshot whose note and list of contents were verified."""

    folder: Path
    head: Head
    schema: str
    software: str
    taken: str
    tables: dict[str, dict[str, Any]]

    @property
    def key_file(self) -> Path:
        """The registrar's key."""
        return self.folder / KEY_FILE

    @property
    def objects(self) -> Path:
        """The folder of all objects."""
        return self.folder.parent / OBJECTS

    def rows(self, table: Table) -> Iterator[dict[str, Any]]:
        """The rows of a table, verified when the last one was given.

        Raises:
            VerificationFailed: they are not those that were written.
        """
        said = self.tables.get(table.name, {"rows": 0, "sha256": hashlib.sha256().hexdigest()})
        digest, count = hashlib.sha256(), 0
        path = self.folder / TABLES / f"{table.name}.jsonl.gz"
        if table.name in self.tables:
            try:
                with gzip.open(path, "rb") as file:
                    for line in file:
                        digest.update(line)
                        count += 1
                        yield decode_row(table, line)
            except (OSError, EOFError) as error:
                raise VerificationFailed(f"{path} cannot be read: {error}") from error
        if (count, digest.hexdigest()) != (said["rows"], said["sha256"]):
            raise VerificationFailed(
                f"{path} is damaged: its rows are not those that were written",
                hint="Use another snapshot.",
            )


def read(folder: Path) -> Snapshot:
    """Open a snapshot, by the key that it holds itself.

    Raises:
        UsageError: there is no whole snapshot.
        InvalidInput, VerificationFailed: it is not what its registrar signed.
    """
    try:
        contents = (folder / CONTENTS).read_bytes()
        note = (folder / NOTE).read_bytes()
        key = PrivateKey.from_pem((folder / KEY_FILE).read_bytes())
    except OSError as error:
        raise UsageError(
            f"there is no whole snapshot in {folder} ({error.strerror})",
            hint="Give the folder of one snapshot, such as …/20260131T120000Z.",
        ) from error
    said = jcs.loads(contents, limit=MAX_CONTENTS)
    head = Head.open(note, Verifier(str(said.get("origin", "")), key.public))
    if hashlib.sha256(contents).hexdigest() != head.sha256:
        raise VerificationFailed(f"{folder / CONTENTS} is not what was signed", hint="Use another snapshot.")
    return Snapshot(folder, head, said["schema"], said["software"], said["taken"], said["tables"])
