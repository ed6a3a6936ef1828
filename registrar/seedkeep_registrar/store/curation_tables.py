"""Tables of the curation queue and of mails."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Float, Index, Integer, String, Table, Text

from seedkeep_registrar.store.tables import metadata

_HEX64 = String(64)
_SERIAL = BigInteger().with_variant(Integer, "sqlite")

#: every mail that is to be sent; those about a record stay, with what opens something taken out
mails = Table(
    "mails",
    metadata,
    Column("id", _SERIAL, primary_key=True),
    Column("message_id", String(320), nullable=False),
    Column("about", _HEX64, nullable=False),
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
    Index(None, "about"),
    Index(None, "state", "next_try"),
)
