"""The tables behind :mod:`seedkeep.storage.state`: SQLite, every method one durable transaction.

WAL with ``synchronous=FULL``: what a method did before it returned survives ``kill -9`` and loss of power.
One thread uses it at a time.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from seedkeep.core.errors import Error, NoSpace
from seedkeep.storage.model import Claim, Errand, Holding, Letter, Phase, SharedFolder

SCHEMA = 2
#: the write-ahead log is folded in after this many pages of 4 KiB, so it stays below half a megabyte
CHECKPOINT_PAGES = 64
#: what the database may grow by between two looks at it, together with the ballast
ROOM = 1 << 20

_TABLES = """
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE holdings (
    content_id TEXT PRIMARY KEY, phase TEXT NOT NULL, reserved INTEGER NOT NULL, bytes INTEGER NOT NULL,
    files INTEGER NOT NULL, since REAL NOT NULL, name TEXT NOT NULL, manifest TEXT NOT NULL,
    infohash_v1 TEXT NOT NULL, scrubbed REAL NOT NULL, reason TEXT NOT NULL, receipts TEXT NOT NULL,
    withheld TEXT NOT NULL, obeyed TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE claims (
    content_id TEXT NOT NULL REFERENCES holdings ON DELETE CASCADE, registrar TEXT NOT NULL,
    rid TEXT NOT NULL, expires REAL NOT NULL, lost REAL NOT NULL, trackers TEXT NOT NULL,
    web_seeds TEXT NOT NULL, home TEXT NOT NULL, PRIMARY KEY (content_id, registrar)
) WITHOUT ROWID;
CREATE TABLE outbox (
    number INTEGER PRIMARY KEY AUTOINCREMENT, registrar TEXT NOT NULL, errand TEXT NOT NULL,
    content_id TEXT NOT NULL, fields TEXT NOT NULL
);
CREATE TABLE registrars (url TEXT PRIMARY KEY, vkey TEXT NOT NULL, taint_head TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE authorities (
    origin TEXT PRIMARY KEY, vkey TEXT NOT NULL, taint_head TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE shared (
    content_id TEXT PRIMARY KEY, save_path TEXT NOT NULL, stamps TEXT NOT NULL, rid TEXT NOT NULL,
    trackers TEXT NOT NULL, web_seeds TEXT NOT NULL, problem TEXT NOT NULL
) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class Acquaintance:
    """A registrar as remembered: its pinned key (a vkey) and the last trusted taint head (a note, or "")."""

    url: str
    vkey: str
    taint_head: str = ""


@dataclass(frozen=True, slots=True)
class Authority:
    """A registrar that this node does not serve, but whose taints it hears; its fields as those above."""

    origin: str
    vkey: str
    taint_head: str = ""


@dataclass(slots=True)
class Loaded:
    """All rows, as they are on disk."""

    holdings: dict[str, Holding] = field(default_factory=dict)
    claims: dict[tuple[str, str], Claim] = field(default_factory=dict)
    registrars: dict[str, Acquaintance] = field(default_factory=dict)
    authorities: dict[str, Authority] = field(default_factory=dict)
    shared: dict[str, SharedFolder] = field(default_factory=dict)
    facts: dict[str, str] = field(default_factory=dict)


class Database:
    """The tables. Every method is one transaction: done and durable when it returns, or not at all.

    Args:
        path: the file; made when it is not there.

    Raises:
        Error: it is not a node's database, or a newer version's.
    """

    def __init__(self, path: Path) -> None:
        new = not path.exists()
        # One thread uses it, but it is opened and closed by whoever owns that thread.
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5)
        try:
            if new:
                path.chmod(0o600)
            for pragma in (
                "page_size=4096",
                "auto_vacuum=INCREMENTAL",
                "journal_mode=WAL",
                "synchronous=FULL",
                "foreign_keys=ON",
                f"wal_autocheckpoint={CHECKPOINT_PAGES}",
                f"journal_size_limit={CHECKPOINT_PAGES * 4096}",
            ):
                self._db.execute(f"PRAGMA {pragma}")
            version = self._db.execute("PRAGMA user_version").fetchone()[0]
            if version == 0:
                self._db.executescript(f"BEGIN IMMEDIATE; {_TABLES} PRAGMA user_version={SCHEMA}; COMMIT;")
            elif version != SCHEMA:
                raise Error(
                    f"{path} was written by another version of Seedkeep (its format is {version})",
                    hint="Install the version that wrote it, or give the node another data directory.",
                )
        except sqlite3.DatabaseError as error:
            self._db.close()
            raise Error(
                f"{path} is not a node's database: {error}", hint="Restore it, or move it away."
            ) from error

    def close(self) -> None:
        """Fold in the write-ahead log and close. Idempotent."""
        self._db.close()

    def _change(self, *statements: tuple[str, tuple[Any, ...]]) -> None:
        """One transaction.

        Raises:
            NoSpace: the disk is full; nothing was changed.
            Error: the disk fails; nothing was changed.
        """
        try:
            self._db.execute("BEGIN IMMEDIATE")
            for sql, values in statements:
                self._db.execute(sql, values)
            self._db.execute("COMMIT")
        except BaseException as error:
            # After some errors SQLite has rolled back by itself.
            with contextlib.suppress(sqlite3.Error):
                self._db.execute("ROLLBACK")
            if isinstance(error, sqlite3.OperationalError):
                full = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_FULL
                kind = NoSpace if full else Error
                raise kind(f"the node's state cannot be written: {error}", hint="Check the disk.") from error
            raise

    def load(self) -> Loaded:
        """Everything but the outbox."""
        holdings = {h.content_id: h for h in map(_holding, self._db.execute("SELECT * FROM holdings"))}
        claims = {
            (c.content_id, c.registrar): c for c in map(_claim, self._db.execute("SELECT * FROM claims"))
        }
        registrars = {row[0]: Acquaintance(*row) for row in self._db.execute("SELECT * FROM registrars")}
        authorities = {row[0]: Authority(*row) for row in self._db.execute("SELECT * FROM authorities")}
        shared = {s.content_id: s for s in map(_shared, self._db.execute("SELECT * FROM shared"))}
        facts = dict(self._db.execute("SELECT name, value FROM facts"))
        return Loaded(holdings, claims, registrars, authorities, shared, facts)

    def put_fact(self, name: str, value: str) -> None:
        """Remember one small thing by name."""
        self._change(("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, value)))

    def put_holding(
        self, holding: Holding, *, claims: Iterable[Claim] = (), letters: Iterable[Letter] = ()
    ) -> None:
        """Store a dataset's row, with claims and outgoing letters that belong to the same step."""
        columns = (
            "content_id, phase, reserved, bytes, files, since, name, manifest, infohash_v1, scrubbed,"
            " reason, receipts, withheld, obeyed"
        )
        updates = ", ".join(f"{c.strip()}=excluded.{c.strip()}" for c in columns.split(",")[1:])
        self._change(
            (
                f"INSERT INTO holdings ({columns}) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?)"  # noqa: S608 - constants
                f" ON CONFLICT (content_id) DO UPDATE SET {updates}",
                (
                    holding.content_id,
                    holding.phase.value,
                    holding.reserved,
                    holding.bytes,
                    holding.files,
                    holding.since,
                    holding.name,
                    holding.manifest,
                    holding.infohash_v1,
                    holding.scrubbed,
                    holding.reason,
                    json.dumps(holding.receipts),
                    json.dumps(holding.withheld),
                    json.dumps(holding.obeyed),
                ),
            ),
            *map(_put_claim, claims),
            *map(_put_letter, letters),
        )

    def drop_holding(self, content_id: str, *, letters: Iterable[Letter] = ()) -> None:
        """Forget a dataset and its claims; ``letters`` enter the outbox in the same transaction."""
        self._change(("DELETE FROM holdings WHERE content_id = ?", (content_id,)), *map(_put_letter, letters))

    def put_claims(self, claims: Iterable[Claim], *, letters: Iterable[Letter] = ()) -> None:
        """Store claims of datasets that are there."""
        self._change(*map(_put_claim, claims), *map(_put_letter, letters))

    def drop_claim(self, content_id: str, registrar: str, *, letters: Iterable[Letter] = ()) -> None:
        """Forget one registrar's claim."""
        self._change(
            ("DELETE FROM claims WHERE content_id = ? AND registrar = ?", (content_id, registrar)),
            *map(_put_letter, letters),
        )

    def put_registrar(self, registrar: Acquaintance) -> None:
        """Remember a registrar's key and taint head."""
        self._change(
            (
                "INSERT OR REPLACE INTO registrars VALUES (?, ?, ?)",
                (registrar.url, registrar.vkey, registrar.taint_head),
            )
        )

    def put_authority(self, authority: Authority) -> None:
        """Remember another registrar's key and taint head."""
        values = (authority.origin, authority.vkey, authority.taint_head)
        self._change(("INSERT OR REPLACE INTO authorities VALUES (?, ?, ?)", values))

    def drop_registrar(self, url: str) -> None:
        """Forget a registrar."""
        self._change(("DELETE FROM registrars WHERE url = ?", (url,)))

    def put_shared(self, folder: SharedFolder) -> None:
        """Remember a folder that is seeded in place."""
        values = (
            folder.content_id,
            str(folder.save_path),
            json.dumps(folder.stamps),
            folder.rid,
            json.dumps(folder.trackers),
            json.dumps(folder.web_seeds),
            folder.problem,
        )
        self._change(("INSERT OR REPLACE INTO shared VALUES (?, ?, ?, ?, ?, ?, ?)", values))

    def drop_shared(self, content_id: str) -> None:
        """Forget a folder that was seeded in place."""
        self._change(("DELETE FROM shared WHERE content_id = ?", (content_id,)))

    def post(self, letters: Iterable[Letter]) -> None:
        """Put letters into the outbox."""
        self._change(*map(_put_letter, letters))

    def letters(self, registrar: str, *, limit: int = 100) -> list[Letter]:
        """The oldest letters to one registrar."""
        rows = self._db.execute(
            "SELECT number, registrar, errand, content_id, fields FROM outbox WHERE registrar = ?"
            " ORDER BY number LIMIT ?",
            (registrar, limit),
        )
        return [Letter(r[1], Errand(r[2]), r[3], json.loads(r[4]), r[0]) for r in rows]

    def delivered(self, number: int) -> None:
        """A letter has arrived, or never will."""
        self._change(("DELETE FROM outbox WHERE number = ?", (number,)))


def _put_claim(claim: Claim) -> tuple[str, tuple[Any, ...]]:
    return "INSERT OR REPLACE INTO claims VALUES (?, ?, ?, ?, ?, ?, ?, ?)", (
        claim.content_id,
        claim.registrar,
        claim.rid,
        claim.expires,
        claim.lost,
        json.dumps(claim.trackers),
        json.dumps(claim.web_seeds),
        claim.home,
    )


def _put_letter(letter: Letter) -> tuple[str, tuple[Any, ...]]:
    insert = "INSERT INTO outbox (registrar, errand, content_id, fields)"
    values = letter.registrar, letter.errand.value, letter.content_id, json.dumps(dict(letter.fields))
    if letter.errand is not Errand.WEB_SEED:
        return f"{insert} VALUES (?, ?, ?, ?)", values
    # A web seed lies at every try: what waits to be told already needs not be told twice.
    same = "registrar = ?1 AND errand = ?2 AND content_id = ?3 AND fields = ?4"
    return (
        f"{insert} SELECT ?1, ?2, ?3, ?4 WHERE NOT EXISTS (SELECT 1 FROM outbox WHERE {same})",  # noqa: S608
        values,
    )


def _holding(row: tuple[Any, ...]) -> Holding:
    cid, phase, reserved, size, files, since, name, manifest, v1, scrubbed, reason, *lists = row
    receipts, withheld, obeyed = map(json.loads, lists)
    return Holding(
        cid,
        Phase(phase),
        reserved,
        size,
        files,
        since,
        name,
        manifest,
        v1,
        scrubbed,
        reason,
        tuple((url, taint) for url, taint in receipts),
        tuple(withheld),
        tuple((url, taint, action) for url, taint, action in obeyed),
    )


def _claim(row: tuple[Any, ...]) -> Claim:
    cid, registrar, rid, expires, lost, trackers, web_seeds, home = row
    urls = tuple(json.loads(trackers)), tuple(json.loads(web_seeds))
    return Claim(cid, registrar, rid, expires, lost, *urls, home)


def _shared(row: tuple[Any, ...]) -> SharedFolder:
    cid, path, stamps, rid, trackers, web_seeds, problem = row
    times = tuple((size, mtime) for size, mtime in json.loads(stamps))
    return SharedFolder(
        cid, Path(path), times, rid, tuple(json.loads(trackers)), tuple(json.loads(web_seeds)), problem
    )
