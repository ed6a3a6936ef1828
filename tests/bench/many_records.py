"""Fills a registrar's database with very many records, made up but shaped like real ones.

Rows are written in bulk past every check: events carry no valid signature, objects and content do not exist.
It is for measuring reads only. Words follow Zipf's law over a vocabulary of science and made-up words.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import random
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine

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
    columns = {name: [column.name for column in table.columns] for name, table in tables.tables.items()}
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


def load(engine: Engine, count: int, *, origin: str, seed: int = 1) -> list[str]:
    """Write ``count`` records into an empty database; the rids of a few of them.

    Args:
        origin: of the registrar whose log it is.
    """
    pools, values, counts = Pools(seed), {}, Counter()
    sample: list[str] = []
    with engine.connect() as connection, connection.begin(), sink_of(connection) as (put, kind):
        if kind == "postgresql":
            for setting in ("maintenance_work_mem = '1GB'", "synchronous_commit = off"):
                connection.exec_driver_sql(f"SET LOCAL {setting}")
            connection.exec_driver_sql("DROP INDEX ix_search_words_words")
        put("nodes", [_node(number) for number in range(NODES)])
        for first in range(0, count, _BATCH):
            batch = _Batch(pools, values, counts, kind, origin)
            for position in range(first, min(first + _BATCH, count)):
                batch.add(position, count)
            for table, rows in batch.rows.items():
                put(table, rows)
            sample.append(batch.rows["records"][0][0])
        rows = [(number, facet, value, counts[number]) for (facet, value), number in values.items()]
        put("search_values", rows)
        connection.exec_driver_sql(f"UPDATE log SET size = {count}")
        if kind == "postgresql":
            connection.exec_driver_sql("CREATE INDEX ix_search_words_words ON search_words USING gin (words)")
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("ANALYZE" if kind == "sqlite" else "VACUUM ANALYZE")
    return sample


def _node(number: int) -> tuple[Any, ...]:
    row = {
        "node": f"ed25519:{number:043d}", "operator": f"Operator {number}", "institution": "", "country": "",
        "subjects": "[]", "software": "bench", "pledge": 10**15, "used": 10**14, "reserved": 0, "port": 6881,
        "address": "192.0.2.1", "state": "active", "taint_version": 0, "problems": "[]",
        "registered": float(_START), "last_seen": time.time() + 86400,
    }  # fmt: skip
    return tuple(row[column.name] for column in tables.tables["nodes"].columns)


class _Batch:
    """Rows of some records, by table, in an order that references allow."""

    def __init__(
        self,
        pools: Pools,
        values: dict[tuple[int, str], int],
        counts: Counter[int],
        kind: str,
        origin: str,
    ) -> None:
        self._pools, self._values, self._counts, self._kind, self._origin = (
            pools,
            values,
            counts,
            kind,
            origin,
        )
        names = ("events", "bodies", "manifests", "files", "datasets", "records", "claims")
        self.rows: dict[str, list[tuple[Any, ...]]] = {
            name: [] for name in (*names, "search_documents", "search_words")
        }

    def _put(self, table: str, **values: Any) -> None:
        self.rows[table].append(tuple(values[column.name] for column in tables.tables[table].columns))

    def add(self, position: int, of: int) -> None:
        """Make the rows of one record."""
        r = self._pools.random
        now = _START + position * 86400 * 1800 // of
        created = times.text(now)
        about = self._pools.metadata(int(created[:4]))
        ids = hashlib.shake_256(str(position).encode()).digest(196).hex()
        content_id, manifest, layers, pieces, short = (
            ids[:64],
            ids[64:128],
            ids[128:192],
            ids[192:256],
            ids[256:296],
        )
        steward = f"ed25519:{position % 5000:043d}"
        size, complete = int(10 ** r.uniform(4, 13)), r.choice(_COPIES)
        files = r.randint(1, 3)
        dataset = {
            "name": "-".join(self._pools.some(2)), "content_id": content_id, "infohash_v1": short,
            "files": files, "bytes": size, "piece_length": 65536, "manifest": manifest,
            "piece_layers": layers, "pieces_v1": pieces,
        }  # fmt: skip
        license_ = r.choice(_LICENSES)
        stated = {"copies": 3, "dataset": dataset, "license": license_, "metadata": about.encode()}
        stated |= {"v": 1, "web_seeds": []}
        body = json.dumps(stated, separators=(",", ":"), sort_keys=True, ensure_ascii=False).encode()
        body_sha256 = hashlib.sha256(body).hexdigest()
        event = Event("record", "", 0, "", body_sha256, self._origin, steward, created, "A" * 86 + "==")
        rid = event.hash()
        record = Record(
            rid=rid, position=position, ark=mint_ark("99999", rid), content_id=content_id, infohash_v1=short,
            manifest_id=position + 1, steward=steward, name=dataset["name"], title=about.title, files=files,
            bytes=size, license=license_, copies=3, created=created, web_seeds=(), body_sha256=body_sha256,
            manifest=manifest, piece_layers=layers, pieces_v1=pieces, seq=0, head=rid,
            state_sha256=body_sha256, updated=created, stewards=(steward,), subjects=about.keywords,
            supersedes="", series=rid, account="", withdrawn="",
        )  # fmt: skip
        self._put(
            "events", position=position, hash=rid, type="record", rid=rid, seq=0, leaf=event.leaf(),
            chain=manifest, receipt="no receipt", received=float(now),
        )  # fmt: skip
        self._put("bodies", sha256=body_sha256, body=body)
        self._put(
            "manifests",
            id=position + 1,
            sha256=manifest,
            content_id=content_id,
            indexed=files,
            created=float(now),
        )
        paths = [
            f"{self._pools.some(1)[0]}/{'_'.join(self._pools.some(2))}_{n}.fastq.gz" for n in range(files)
        ]
        for number, path in enumerate(paths):
            digest = hashlib.shake_256(f"{position} {number}".encode()).digest(80)
            self._put(
                "files", manifest_id=position + 1, number=number, size=size // files, md5=digest[:16],
                sha256=digest[16:48], root=digest[48:], path=path, path_key=path_key(path),
                leaf_end=number + 1,
            )  # fmt: skip
        subjects = json.dumps(about.keywords)
        self._put(
            "datasets", content_id=content_id, short_id=content_id[:40], name=dataset["name"], files=files,
            bytes=size, publisher=steward, subjects=subjects, wanted=3, created=float(now), servable=True,
            complete=complete, held=complete, missing=max(0, 3 - complete),
        )  # fmt: skip
        lists = {"web_seeds": "[]", "stewards": json.dumps(record.stewards), "subjects": subjects}
        self._put("records", **{**{name: getattr(record, name) for name in Record.__slots__}, **lists})
        for number in range(complete):
            self._put(
                "claims", content_id=content_id, node=f"ed25519:{(position + number * 7) % NODES:043d}",
                state="complete", bytes=size, created=float(now), expires=4e9, attested=float(now),
                audited=float(now), next_audit=4e9, silences=0,
            )  # fmt: skip
        document = document_of(record, about, paths)
        codes = []
        for facet, value in document.values:
            number = self._values.setdefault((int(facet), value), len(self._values) + 1)
            self._counts[number] += 1
            codes.append(code_of(facet, number))
        texts = (document.title, document.people, document.text, document.files)
        if self._kind == "sqlite":
            facets = " ".join(("everything", *(f"f{code}" for code in codes)))
            self.rows["search_words"].append((position, *(" ".join(t) for t in texts), facets))
        else:
            self.rows["search_words"].append((position, vector(document, codes)))
        shown = json.dumps(codes) if self._kind == "sqlite" else codes
        self._put("search_documents", position=position, content_id=content_id, facets=shown)
