"""Fills a registrar's database with very many records, made up but shaped like real ones.

Rows are written in bulk past every check: events carry no valid signature, objects and content do not exist.
It is for measuring reads only. Words follow Zipf's law over a vocabulary of science and made-up words. The
records of a year share some thousand descriptions, which costs less to make and leaves each word as common.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import random
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, select

from seedkeep.core.events import Event
from seedkeep.core.identifiers import mint_ark
from seedkeep.core.metadata import Creator, Date, Metadata, Subject
from seedkeep_registrar import times
from seedkeep_registrar.search.document import document_of
from seedkeep_registrar.search.index import code_of
from seedkeep_registrar.search.tsvector import vector
from seedkeep_registrar.store.files import path_key
from seedkeep_registrar.store.records import Record
from seedkeep_registrar.store.tables import metadata as tables

_BATCH = 2000
_START = 1_600_000_000
_HEAD = """data analysis of the human genome sequencing cell protein model expression study gene dna rna
species climate soil water ocean temperature brain imaging survey plant bacteria virus mouse
cancer time series microscopy mass spectrometry structure crystal neural network satellite carbon
nitrogen forest fish bird insect population genetics metagenome transcriptome proteome clinical
trial cohort patient tissue culture growth response stress lambda phage yeast drosophila
arabidopsis escherichia coli chromosome variant assembly annotation reads simulation particle
detector galaxy spectrum telescope radiation magnetic field laser quantum""".split()  # noqa: SIM905
_LICENSES = ("CC0-1.0",) * 17 + ("CC-BY-4.0",) * 3
_COPIES = (0, 1, 2, 3, 3, 3, 4)
NODES = 50
#: at most so many made up for each year; records share them, each under its own names
_DESCRIPTIONS = 8000
_ARK_WORD, _CONTENT_ID = "skplaceholder", "f00d" * 16
_ARK = f"99999/{_ARK_WORD}"
_COLUMNS = {name: [column.name for column in table.columns] for name, table in tables.tables.items()}
_TOTALS = (
    "INSERT INTO dataset_totals (complete, datasets, bytes, lacking) SELECT complete, count(*), sum(bytes), "
    "sum(CASE WHEN missing > 0 THEN 1 ELSE 0 END) FROM datasets GROUP BY complete",
    "INSERT INTO node_totals (node, claims, complete) "
    "SELECT node, count(*), count(*) FROM claims GROUP BY node",
)


def _json(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":"), sort_keys=True, ensure_ascii=False).encode()


class Pools:
    """What records are made of; the same for the same seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        syllables = [a + b for a in "bdfgklmnprstvz" for b in "aeiou"]
        made_up = {
            "".join(self.random.choices(syllables, k=self.random.randint(2, 5))) for _ in range(60_000)
        }
        self.made_up = sorted(made_up)
        self.words = [*_HEAD, *self.made_up]
        self.words_weights = list(itertools.accumulate(1 / n for n in range(1, len(self.words) + 1)))
        self.people = [f"{self.name()}, {self.name()}" for _ in range(200_000)]
        self.subjects = [" ".join(self.some(2)) for _ in range(20_000)]
        self.subjects_weights = list(itertools.accumulate(1 / n for n in range(1, len(self.subjects) + 1)))

    def some(self, count: int) -> list[str]:
        """Words, common ones often."""
        return self.random.choices(self.words, cum_weights=self.words_weights, k=count)

    def name(self) -> str:
        """A person's name."""
        return self.random.choice(self.made_up).capitalize()

    def metadata(self, year: int) -> Metadata:
        """What is said of one dataset."""
        r = self.random
        subjects = r.choices(self.subjects, cum_weights=self.subjects_weights, k=r.randint(1, 4))
        return Metadata(
            title=" ".join(self.some(r.randint(5, 12))).capitalize(),
            creators=tuple(
                Creator(name) for name in dict.fromkeys(r.choices(self.people, k=r.randint(1, 6)))
            ),
            subjects=tuple(Subject(text) for text in dict.fromkeys(subjects)),
            description=" ".join(self.some(r.randint(30, 120))),
            dates=(Date("Issued", str(year)),) if r.random() < 0.5 else (),
        )


Sink = Callable[[str, Sequence[Sequence[Any]]], None]


@contextmanager
def sink_of(connection: Connection) -> Iterator[tuple[Sink, str]]:
    """How rows get into a table of this connection's database at once, and the name of its engine."""
    raw: Any = connection.connection.driver_connection
    columns = dict(_COLUMNS)
    if isinstance(raw, sqlite3.Connection):
        columns["search_words"] = ["rowid", "title", "people", "text", "files", "facets"]

        def insert(table: str, rows: Sequence[Sequence[Any]]) -> None:
            names, marks = ", ".join(columns[table]), ", ".join("?" * len(columns[table]))
            raw.executemany(f"INSERT INTO {table} ({names}) VALUES ({marks})", rows)

        yield insert, "sqlite"
    else:
        columns["search_words"] = ["position", "words"]

        def copy(table: str, rows: Sequence[Sequence[Any]]) -> None:
            with raw.cursor().copy(f"COPY {table} ({', '.join(columns[table])}) FROM STDIN") as stream:
                for row in rows:
                    stream.write_row(row)

        yield copy, "postgresql"


@contextmanager
def _indexes_last(connection: Connection, kind: str) -> Iterator[None]:
    """Without checks of references and the indexes that are no constraint's; those are made at the end."""
    before = {
        "sqlite": ("PRAGMA journal_mode = OFF", "PRAGMA synchronous = OFF", "PRAGMA cache_size = -1000000"),
        "postgresql": (
            "SET LOCAL maintenance_work_mem = '1GB'",
            "SET LOCAL synchronous_commit = off",
            "SET LOCAL session_replication_role = replica",
        ),
    }
    indexes = {
        "sqlite": "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL",
        "postgresql": "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' "
        "AND indexname NOT IN (SELECT conname FROM pg_constraint)",
    }
    for statement in before[kind]:
        connection.exec_driver_sql(statement)
    found = connection.exec_driver_sql(indexes[kind]).all()
    for name, _ in found:
        connection.exec_driver_sql(f"DROP INDEX {name}")
    yield
    for _, definition in found:
        connection.exec_driver_sql(definition)


def loaded(connection: Connection) -> int:
    """How many records there are."""
    return int(connection.exec_driver_sql("SELECT size FROM log").scalar_one())


def sample(connection: Connection) -> list[str]:
    """The rids of a few records from all of the log."""
    position = tables.tables["records"].c.position
    few = range(0, loaded(connection), _BATCH)
    rid = tables.tables["records"].c.rid
    return [connection.execute(select(rid).where(position == at)).scalar_one() for at in few]


def load(engine: Engine, count: int, *, origin: str, seed: int = 1) -> None:
    """Write ``count`` records into an empty database.

    Args:
        origin: of the registrar whose log it is.
    """
    with (
        engine.connect() as connection,
        connection.begin(),
        sink_of(connection) as (put, kind),
        _indexes_last(connection, kind),
    ):
        descriptions = _Descriptions(Pools(seed), kind, min(_DESCRIPTIONS, 1 + count // 10))
        put("nodes", [_node(number) for number in range(NODES)])
        for first in range(0, count, _BATCH):
            batch = _Batch(descriptions, kind, origin)
            for position in range(first, min(first + _BATCH, count)):
                batch.add(position, count)
            for table, rows in batch.rows.items():
                put(table, rows)
        values, counts = descriptions.values, descriptions.counts
        rows = [(number, facet, value, counts[number]) for (facet, value), number in values.items()]
        put("search_values", rows)
        connection.exec_driver_sql(f"UPDATE log SET size = {count}, arrived = {count}")
        for statement in _TOTALS:
            connection.exec_driver_sql(statement)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("ANALYZE" if kind == "sqlite" else "VACUUM ANALYZE")


def _node(number: int) -> tuple[Any, ...]:
    row = {
        "node": f"ed25519:{number:043d}", "operator": f"Operator {number}", "institution": "", "country": "",
        "subjects": "[]", "software": "bench", "pledge": 10**15, "used": 10**14, "reserved": 0, "port": 6881,
        "address": "192.0.2.1", "state": "active", "taint_version": 0, "problems": "[]",
        "registered": float(_START), "last_seen": 4e9,
    }  # fmt: skip
    return tuple(row[column.name] for column in tables.tables["nodes"].columns)


@dataclass(frozen=True, slots=True)
class _Described:
    """What several records have in common: everything but their names.

    Args:
        stated: the body, without what the content's names are in.
        row: of ``records``, by column; the names in it are placeholders.
        words: the row of ``search_words`` without its position, with placeholders.
    """

    stated: dict[str, Any]
    dataset: dict[str, Any]
    row: dict[str, Any]
    paths: list[str]
    codes: list[int]
    words: tuple[str, ...]
    complete: int


class _Descriptions:
    """Descriptions for the records of one year."""

    def __init__(self, pools: Pools, kind: str, count: int) -> None:
        self._pools, self._kind, self._count = pools, kind, count
        self._year, self._some = 0, list[_Described]()
        self.values: dict[tuple[int, str], int] = {}
        self.counts: Counter[int] = Counter()

    def one(self, year: int) -> _Described:
        """Any of them."""
        if year != self._year:
            self._year, self._some = year, [self._made(year) for _ in range(self._count)]
        chosen = self._pools.random.choice(self._some)
        self.counts.update(code >> 3 for code in chosen.codes)
        return chosen

    def _made(self, year: int) -> _Described:
        r, about = self._pools.random, self._pools.metadata(year)
        size, files, complete = int(10 ** r.uniform(4, 13)), r.randint(1, 3), r.choice(_COPIES)
        license_ = r.choice(_LICENSES)
        dataset = {
            "name": "-".join(self._pools.some(2)), "files": files, "bytes": size, "piece_length": 65536,
        }  # fmt: skip
        stated = {"copies": 3, "license": license_, "metadata": about.encode(), "v": 1, "web_seeds": []}
        record = Record(
            rid="", position=0, ark=_ARK, content_id=_CONTENT_ID, infohash_v1="", manifest_id=0, steward="",
            name=dataset["name"], title=about.title, files=files, bytes=size, license=license_, copies=3,
            created=f"{year}-07-01T00:00:00Z", web_seeds=(), body_sha256="", manifest="", piece_layers="",
            pieces_v1="", seq=0, head="", state_sha256="", updated="", stewards=(), subjects=about.keywords,
            supersedes="", series="", account="", withdrawn="", home="", fork="",
        )  # fmt: skip
        paths = [
            f"{self._pools.some(1)[0]}/{'_'.join(self._pools.some(2))}_{n}.fastq.gz" for n in range(files)
        ]
        document = document_of(record, about, paths)
        codes = [
            code_of(facet, self.values.setdefault((int(facet), value), len(self.values) + 1))
            for facet, value in document.values
        ]
        texts = (document.title, document.people, document.text, document.files)
        if self._kind == "sqlite":
            facets = " ".join(("everything", *(f"f{code}" for code in codes)))
            words = (*(" ".join(t) for t in texts), facets)
        else:
            words = (vector(document, codes),)
        row = {name: getattr(record, name) for name in Record.__slots__}
        row |= {"web_seeds": "[]", "subjects": json.dumps(about.keywords)}
        return _Described(stated, dataset, row, paths, codes, words, complete)


class _Batch:
    """Rows of some records, by table, in an order that references allow."""

    def __init__(self, descriptions: _Descriptions, kind: str, origin: str) -> None:
        self._descriptions, self._kind, self._origin = descriptions, kind, origin
        names = ("events", "bodies", "manifests", "files", "datasets", "records", "claims", "copy_counts")
        self.rows: dict[str, list[tuple[Any, ...]]] = {
            name: [] for name in (*names, "search_documents", "search_words")
        }

    def _put(self, table: str, values: Mapping[str, Any]) -> None:
        self.rows[table].append(tuple(values[name] for name in _COLUMNS[table]))

    def add(self, position: int, of: int) -> None:
        """Make the rows of one record."""
        now = _START + position * 86400 * 1800 // of
        created = times.text(now)
        one = self._descriptions.one(int(created[:4]))
        ids = hashlib.shake_256(str(position).encode()).hexdigest(148)
        content_id, manifest, layers, pieces = (ids[at : at + 64] for at in range(0, 256, 64))
        names = {
            "content_id": content_id, "infohash_v1": ids[256:], "manifest": manifest, "piece_layers": layers,
            "pieces_v1": pieces,
        }  # fmt: skip
        steward = f"ed25519:{position % 5000:043d}"
        body = _json({**one.stated, "dataset": {**one.dataset, **names}})
        body_sha256 = hashlib.sha256(body).hexdigest()
        event = Event("record", "", 0, "", body_sha256, self._origin, steward, created, "A" * 86 + "==")
        rid = event.hash()
        ark = mint_ark("99999", rid)
        record = {
            **one.row, **names, "rid": rid, "position": position, "ark": ark, "manifest_id": position + 1,
            "steward": steward, "created": created, "updated": created, "body_sha256": body_sha256,
            "state_sha256": body_sha256, "head": rid, "series": rid, "stewards": json.dumps([steward]),
        }  # fmt: skip
        self._put("records", record)
        row = {"position": position, "hash": rid, "type": event.type, "rid": rid, "seq": 0}
        row |= {"leaf": event.leaf(), "received": float(now), "body_sha256": body_sha256}
        row |= {"log": 0, "log_index": position, "state": "applied"}
        self._put("events", row)
        self._put("bodies", {"sha256": body_sha256, "body": body})
        of_manifest = {"id": position + 1, "sha256": manifest, "content_id": content_id}
        files = len(one.paths)
        self._put("manifests", {**of_manifest, "indexed": files, "created": float(now)})
        for number, path in enumerate(one.paths):
            digest = hashlib.shake_256(f"{position} {number}".encode()).digest(80)
            file = {
                "manifest_id": position + 1, "number": number, "size": record["bytes"] // files,
                "md5": digest[:16], "sha256": digest[16:48], "root": digest[48:], "path": path,
                "path_key": path_key(path), "leaf_end": number + 1,
            }  # fmt: skip
            self._put("files", file)
        held, wanted = one.complete, 3
        dataset = {
            **record, "short_id": content_id[:40], "publisher": steward, "wanted": wanted,
            "created": float(now), "servable": True, "offered": True, "complete": held, "held": held,
            "missing": max(0, wanted - held),
        }  # fmt: skip
        self._put("datasets", dataset)
        for number in range(held):
            claim = {
                "content_id": content_id, "node": f"ed25519:{(position + number * 7) % NODES:043d}",
                "state": "complete", "bytes": record["bytes"], "created": float(now), "expires": 4e9,
                "attested": float(now), "audited": float(now), "next_audit": 4e9, "silences": 0,
            }  # fmt: skip
            self._put("claims", claim)
        counts = {"content_id": content_id, "at": _START, "wanted": wanted, "complete": held, "audited": held}
        self._put("copy_counts", counts)
        shown = json.dumps(one.codes) if self._kind == "sqlite" else one.codes
        document = {"position": position, "content_id": content_id, "facets": shown, "complete": held}
        self._put("search_documents", document)
        ark_word = ark.rpartition("/")[2]
        words = (text.replace(_CONTENT_ID, content_id).replace(_ARK_WORD, ark_word) for text in one.words)
        self.rows["search_words"].append((position, *words))
