"""All tables in one place; the queries are in the modules beside this one, one per aggregate.

Keys are printed ``ed25519:…``, digests lower-case hex unless a column says bytes, times Unix seconds.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    text,
)

from seedkeep_registrar.store.columns import HEX64, KEY, SERIAL

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

#: the head of this registrar's log and of the taint list: one row, locked by whoever appends. ``arrived``
#: counts the events of all logs
log = Table(
    "log",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("origin", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("taint_version", BigInteger, nullable=False),
    Column("taint_list", HEX64, nullable=False),
    Column("arrived", BigInteger, nullable=False),
)

_APPLIED = text("state = 'applied'")
_WAITING = text("state = 'waiting'")
_NOT_APPLIED = text("state <> 'applied'")

#: every event, in the order in which they came here. ``log`` is 0 for this registrar's own log, else the id
#: of a peer; ``log_index`` its index there. ``state`` applied, waiting, refused or fork; own ones are applied
events = Table(
    "events",
    metadata,
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("hash", HEX64, nullable=False),
    Column("type", String(16), nullable=False),
    Column("rid", HEX64, nullable=False),
    Column("seq", Integer, nullable=False),
    Column("leaf", LargeBinary, nullable=False),
    Column("received", Float, nullable=False),
    Column("log", Integer, nullable=False),
    Column("log_index", BigInteger, nullable=False),
    Column("state", String(8), nullable=False),
    Column("body_sha256", HEX64, nullable=False, index=True),
    Index("ix_events_hash", "hash", unique=True, sqlite_where=_APPLIED, postgresql_where=_APPLIED),
    Index("ix_events_rid_seq", "rid", "seq", unique=True, sqlite_where=_APPLIED, postgresql_where=_APPLIED),
    Index(None, "log", "log_index", unique=True),
    Index("ix_events_waiting", "log", "log_index", sqlite_where=_WAITING, postgresql_where=_WAITING),
    Index("ix_events_not_applied", "rid", "seq", sqlite_where=_NOT_APPLIED, postgresql_where=_NOT_APPLIED),
)

#: what events name by digest; apart from them, so that one can be dropped and the log stays whole
bodies = Table(
    "bodies",
    metadata,
    Column("sha256", HEX64, primary_key=True),
    Column("body", LargeBinary, nullable=False),
)

#: one row per manifest; ``indexed`` files are in ``files`` already
manifests = Table(
    "manifests",
    metadata,
    Column("id", SERIAL, primary_key=True),
    Column("sha256", HEX64, nullable=False, unique=True),
    Column("content_id", HEX64, nullable=False, index=True),
    Column("indexed", Integer, nullable=False),
    Column("created", Float, nullable=False),
)

#: every file of every manifest; digests as bytes; ``leaf_end`` counts 16 KiB leaves up to and with this file
files = Table(
    "files",
    metadata,
    Column("manifest_id", BigInteger, ForeignKey("manifests.id"), primary_key=True, autoincrement=False),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("size", BigInteger, nullable=False),
    Column("md5", LargeBinary(16), nullable=False, index=True),
    Column("sha256", LargeBinary(32), nullable=False, index=True),
    Column("root", LargeBinary(32), nullable=True, index=True),
    Column("path", Text, nullable=False),
    Column("path_key", LargeBinary(16), nullable=False),
    Column("leaf_end", BigInteger, nullable=False),
    Index(None, "manifest_id", "path_key"),
    Index(None, "manifest_id", "leaf_end"),
)

#: datasets that nodes are to take: an index of some rows is used only for a condition in the same words
LACKING = "servable AND offered AND missing > 0"

#: one row per content id, whoever recorded it, with what placement needs to know; ``offered``: to nodes, as
#: the home of a record of it is this registrar, or is silent
datasets = Table(
    "datasets",
    metadata,
    Column("content_id", HEX64, primary_key=True),
    Column("short_id", String(40), nullable=False, index=True),
    Column("name", Text, nullable=False),
    Column("files", Integer, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("publisher", KEY, nullable=False),
    Column("subjects", JSON, nullable=False),
    Column("wanted", Integer, nullable=False),
    Column("created", Float, nullable=False),
    Column("servable", Boolean, nullable=False),
    Column("offered", Boolean, nullable=False),
    Column("complete", Integer, nullable=False, index=True),
    Column("held", Integer, nullable=False),
    Column("missing", Integer, nullable=False),
    Index(None, "complete", "held", "bytes", postgresql_where=text(LACKING), sqlite_where=text(LACKING)),
)

#: a registrar's statement about one content id; the present state of an event chain. ``body_sha256`` names
#: the body of its first event, ``state_sha256`` that of the newest one that gives a state; ``series`` is the
#: rid of the first of its versions, ``account`` that of whom it was recorded for by this registrar itself;
#: ``home`` the origin of the registrar it belongs to, ``fork`` the hash of an event that contradicts one of
#: its own, "" while there is none: nothing follows then
records = Table(
    "records",
    metadata,
    Column("rid", HEX64, primary_key=True),
    Column("position", BigInteger, ForeignKey("events.position"), nullable=False, unique=True),
    Column("ark", String(40), nullable=False, unique=True),
    Column("content_id", HEX64, ForeignKey("datasets.content_id"), nullable=False, index=True),
    Column("infohash_v1", String(40), nullable=False, index=True),
    Column("manifest_id", BigInteger, ForeignKey("manifests.id"), nullable=False, index=True),
    Column("steward", KEY, nullable=False, index=True),
    Column("name", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("files", Integer, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("license", String(64), nullable=False),
    Column("copies", Integer, nullable=False),
    Column("created", String(20), nullable=False),
    Column("web_seeds", JSON, nullable=False),
    Column("body_sha256", HEX64, nullable=False),
    Column("manifest", HEX64, nullable=False),
    Column("piece_layers", HEX64, nullable=False),
    Column("pieces_v1", HEX64, nullable=False),
    Column("seq", Integer, nullable=False),
    Column("head", HEX64, nullable=False),
    Column("state_sha256", HEX64, nullable=False),
    Column("updated", String(20), nullable=False),
    Column("stewards", JSON, nullable=False),
    Column("subjects", JSON, nullable=False),
    Column("supersedes", String(64), nullable=False),
    Column("series", HEX64, nullable=False),
    Column("account", String(64), nullable=False),
    Column("withdrawn", String(20), nullable=False),
    Column("home", Text, nullable=False, index=True),
    Column("fork", String(64), nullable=False),
    Index(None, "series", "position"),
)

#: which objects a record names; what is on disk and not here is an orphan
objects = Table(
    "objects",
    metadata,
    Column("sha256", HEX64, primary_key=True),
    Column("rid", HEX64, ForeignKey("records.rid"), primary_key=True),
)

nodes = Table(
    "nodes",
    metadata,
    Column("node", KEY, primary_key=True),
    Column("operator", Text, nullable=False),
    Column("institution", Text, nullable=False),
    Column("country", Text, nullable=False),
    Column("subjects", JSON, nullable=False),
    Column("software", Text, nullable=False),
    Column("pledge", BigInteger, nullable=False),
    Column("used", BigInteger, nullable=False),
    Column("reserved", BigInteger, nullable=False),
    Column("port", Integer, nullable=False),
    Column("address", Text, nullable=False),
    Column("state", String(16), nullable=False),
    Column("taint_version", BigInteger, nullable=False),
    Column("problems", JSON, nullable=False),
    Column("registered", Float, nullable=False),
    Column("last_seen", Float, nullable=False),
)

#: a node's work on one dataset; ``expires`` is the lease
claims = Table(
    "claims",
    metadata,
    Column("content_id", HEX64, ForeignKey("datasets.content_id"), primary_key=True),
    Column("node", KEY, ForeignKey("nodes.node"), primary_key=True, index=True),
    Column("state", String(16), nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("created", Float, nullable=False),
    Column("expires", Float, nullable=False, index=True),
    Column("attested", Float, nullable=True),
    Column("audited", Float, nullable=True, index=True),
    Column("next_audit", Float, nullable=True),
    Column("silences", Integer, nullable=False),
    Index(None, "state", "created"),
)

attestations = Table(
    "attestations",
    metadata,
    Column("content_id", HEX64, ForeignKey("datasets.content_id"), primary_key=True),
    Column("node", KEY, ForeignKey("nodes.node"), primary_key=True),
    Column("manifest", HEX64, nullable=False),
    Column("infohash_v1", String(40), nullable=False),
    Column("at", String(20), nullable=False),
    Column("document", JSON, nullable=False),
)

audits = Table(
    "audits",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("content_id", HEX64, nullable=False),
    Column("node", KEY, ForeignKey("nodes.node"), nullable=False),
    Column("state", String(16), nullable=False),
    Column("nonce", HEX64, nullable=False),
    Column("leaves", JSON, nullable=False),
    Column("commitments", JSON, nullable=True),
    Column("opened", JSON, nullable=True),
    Column("created", Float, nullable=False),
    Column("deadline", Float, nullable=False),
    Column("outcome", String(16), nullable=False),
    Column("detail", Text, nullable=False),
    Index(None, "state", "deadline"),
    Index(None, "content_id", "node"),
)

#: how many audits of a node ended how, ever; those in ``audits`` are forgotten after some time
audit_tallies = Table(
    "audit_tallies",
    metadata,
    Column("node", KEY, ForeignKey("nodes.node"), primary_key=True),
    Column("outcome", String(16), primary_key=True),
    Column("count", BigInteger, nullable=False),
)

#: ``created``: proposed; ``effective``: in force since; ``expires``: ends by itself, or "" (all as printed);
#: ``lifted``: an event's hash. ``authority``: origin of the registrar whose it is, "" for this one; of others
#: ``entry`` is the id there, and ``way`` says how it is followed (``store/followed.py``)
taints = Table(
    "taints",
    metadata,
    Column("id", HEX64, primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("value", HEX64, nullable=False),
    Column("category", String(32), nullable=False),
    Column("reason", Text, nullable=False),
    Column("effect", String(16), nullable=False),
    Column("basis", Text, nullable=False),
    Column("jurisdiction", Text, nullable=False),
    Column("evidence", String(64), nullable=False),
    Column("appeal", Text, nullable=False),
    Column("expires", String(20), nullable=False),
    Column("state", String(16), nullable=False),
    Column("created", String(20), nullable=False),
    Column("effective", String(20), nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("lifted", String(64), nullable=False),
    Column("authority", Text, nullable=False),
    Column("entry", String(64), nullable=False),
    Column("way", String(16), nullable=False),
    Index(None, "kind", "value", "state"),
    Index(None, "authority", "state"),
    Index(None, "state"),
)

#: a curator's agreement: the first one is the taint's own event
approvals = Table(
    "approvals",
    metadata,
    Column("taint", HEX64, ForeignKey("taints.id"), primary_key=True),
    Column("curator", KEY, primary_key=True),
    Column("event", HEX64, nullable=False),
    Column("number", Integer, nullable=False),
)

#: which records a standing taint withholds; see also taint_tables.py
tainted_records = Table(
    "tainted_records",
    metadata,
    Column("taint", HEX64, ForeignKey("taints.id"), primary_key=True),
    Column("rid", HEX64, ForeignKey("records.rid"), primary_key=True, index=True),
)

#: the published lists, by digest; the last few are kept for nodes that are reading them
taint_lists = Table(
    "taint_lists",
    metadata,
    Column("sha256", HEX64, primary_key=True),
    Column("version", BigInteger, nullable=False),
    Column("list", LargeBinary, nullable=False),
)

#: receipts of removal
removals = Table(
    "removals",
    metadata,
    Column("taint", HEX64, ForeignKey("taints.id"), primary_key=True),
    Column("content_id", HEX64, primary_key=True),
    Column("node", KEY, ForeignKey("nodes.node"), primary_key=True),
    Column("action", String(16), primary_key=True),
    Column("bytes", BigInteger, nullable=False),
    Column("at", String(20), nullable=False),
    Column("document", JSON, nullable=False),
)

web_seed_reports = Table(
    "web_seed_reports",
    metadata,
    Column("content_id", HEX64, ForeignKey("datasets.content_id"), primary_key=True),
    Column("web_seed_sha256", HEX64, primary_key=True),
    Column("reporter", KEY, primary_key=True),
    Column("web_seed", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", Float, nullable=False),
)

#: nonces of signed requests that must not come again before ``expires``
nonces = Table(
    "nonces",
    metadata,
    Column("key", KEY, primary_key=True),
    Column("nonce", String(64), primary_key=True),
    Column("expires", Float, nullable=False, index=True),
)
