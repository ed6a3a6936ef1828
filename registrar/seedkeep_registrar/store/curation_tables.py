"""Tables of the curation queue and of mails."""

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
    String,
    Table,
    Text,
    false,
)

from seedkeep_registrar.store.columns import HEX64, SERIAL
from seedkeep_registrar.store.tables import metadata

#: every mail that is to be sent; those about a record stay, with what opens something taken out.
#: ``to_curators``: it was sent to people who keep the queue, so that others do not learn who they are
mails = Table(
    "mails",
    metadata,
    Column("id", SERIAL, primary_key=True),
    Column("message_id", String(320), nullable=False),
    Column("about", HEX64, nullable=False),
    Column("recipient", String(320), nullable=False),
    Column("subject", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("html", Text, nullable=False),
    Column("kept_text", Text, nullable=False),
    Column("state", String(16), nullable=False),
    Column("detail", Text, nullable=False),
    Column("created", Float, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("next_try", Float, nullable=False),
    Column("give_up", Float, nullable=False),
    Column("ended", Float, nullable=True),
    Column("to_curators", Boolean, nullable=False, server_default=false()),
    Index(None, "about"),
    Index(None, "state", "next_try"),
)

#: datasets that were submitted where a curator has to agree; ``rid`` is the hash of the submitted event
submissions = Table(
    "submissions",
    metadata,
    Column("number", SERIAL, primary_key=True),
    Column("rid", HEX64, nullable=False, unique=True),
    Column("leaf", LargeBinary, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("body_sha256", HEX64, nullable=False),
    Column("by", String(51), nullable=False),
    Column("account_id", BigInteger, nullable=True, index=True),
    Column("content_id", HEX64, nullable=False),
    Column("infohash_v1", String(40), nullable=False),
    Column("name", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("files", Integer, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("license", String(64), nullable=False),
    Column("manifest", HEX64, nullable=False, index=True),
    Column("piece_layers", HEX64, nullable=False, index=True),
    Column("pieces_v1", HEX64, nullable=False, index=True),
    Column("state", String(16), nullable=False),
    Column("received", Float, nullable=False),
    Index(None, "state", "number"),
    Index(None, "by", "content_id"),
)

#: what curators decided; each is an event in the log
decisions = Table(
    "decisions",
    metadata,
    Column("event", HEX64, primary_key=True),
    Column("submission", HEX64, ForeignKey("submissions.rid"), nullable=False, index=True),
    Column("position", BigInteger, nullable=False),
    Column("decision", String(16), nullable=False),
    Column("reason", Text, nullable=False),
    Column("by", String(51), nullable=False),
    Column("editor", JSON, nullable=True),
    Column("at", Float, nullable=False),
)
