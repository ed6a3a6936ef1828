"""Tables of accounts: people, their keys, sessions, tokens, sign-in codes and groups.

Whatever opens a door is kept as SHA-256 only (``…_sha256``, lower-case hex); times are Unix seconds.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
    true,
)

from seedkeep_registrar.store.columns import HEX64, KEY, SERIAL
from seedkeep_registrar.store.tables import metadata


def _account(*, primary_key: bool = False, index: bool = False) -> Column[int]:
    return Column(
        "account_id",
        BigInteger,
        ForeignKey("accounts.id"),
        nullable=False,
        primary_key=primary_key,
        index=index,
    )


#: ``email`` is null for people who came by another service and have not told one; ``queue_mails``: a curator
#: wants to be told what is submitted; ``deleted``: by its person, what is left is a tombstone
accounts = Table(
    "accounts",
    metadata,
    Column("id", SERIAL, primary_key=True),
    Column("email", String(254), nullable=True, unique=True),
    Column("name", Text, nullable=False),
    Column("orcid", String(64), nullable=False),
    Column("institution", Text, nullable=False),
    Column("ror", String(64), nullable=False),
    Column("role", Integer, nullable=False),
    Column("created", Float, nullable=False),
    Column("last_seen", Float, nullable=False),
    Column("disabled", Boolean, nullable=False),
    Column("queue_mails", Boolean, nullable=False, server_default=true()),
    Column("deleted", Float, nullable=True),
)

#: keys that act for an account; a key acts for one at most
account_keys = Table(
    "account_keys",
    metadata,
    Column("key", KEY, primary_key=True),
    _account(index=True),
    Column("label", Text, nullable=False),
    Column("bound", Float, nullable=False),
)

#: a key that waits for its person to say, in a browser, that it is theirs; ``account_id``: who did
key_bindings = Table(
    "key_bindings",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("code_sha256", HEX64, nullable=False, unique=True),
    Column("key", KEY, nullable=False),
    Column("label", Text, nullable=False),
    Column("state", String(16), nullable=False),
    Column("account_id", BigInteger, ForeignKey("accounts.id"), nullable=True),
    Column("created", Float, nullable=False),
    Column("expires", Float, nullable=False, index=True),
)

#: ``seen``: last use, give or take some minutes; ``expires``: whatever happens
sessions = Table(
    "sessions",
    metadata,
    Column("token_sha256", HEX64, primary_key=True),
    Column("id", String(16), nullable=False, unique=True),
    _account(index=True),
    Column("agent", Text, nullable=False),
    Column("created", Float, nullable=False),
    Column("seen", Float, nullable=False),
    Column("expires", Float, nullable=False, index=True),
)

api_tokens = Table(
    "api_tokens",
    metadata,
    Column("id", String(16), primary_key=True),
    Column("token_sha256", HEX64, nullable=False, unique=True),
    _account(index=True),
    Column("name", Text, nullable=False),
    Column("scopes", JSON, nullable=False),
    Column("created", Float, nullable=False),
    Column("expires", Float, nullable=False),
    Column("last_used", Float, nullable=True),
    Column("revoked", Float, nullable=True),
)

#: a mailed link and short code; ``key``: the one that is bound by it, or "" for signing in with a browser;
#: ``account_id``: whose address the one that it is mailed to becomes, or null
sign_in_codes = Table(
    "sign_in_codes",
    metadata,
    Column("id_sha256", HEX64, primary_key=True),
    Column("link_sha256", HEX64, nullable=False, unique=True),
    Column("code_sha256", HEX64, nullable=False),
    Column("email", String(254), nullable=False, index=True),
    Column("key", String(51), nullable=False),
    Column("label", Text, nullable=False),
    Column("next", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("created", Float, nullable=False),
    Column("expires", Float, nullable=False, index=True),
    Column("used", Float, nullable=True),
    Column("account_id", BigInteger, nullable=True),
)

#: who somebody is at another service (OpenID Connect)
external_identities = Table(
    "external_identities",
    metadata,
    Column("issuer", String(255), primary_key=True),
    Column("subject", String(255), primary_key=True),
    _account(index=True),
    Column("created", Float, nullable=False),
)

#: ``name`` is what settings and records write
groups = Table(
    "groups",
    metadata,
    Column("id", SERIAL, primary_key=True),
    Column("name", String(64), nullable=False),
    Column("title", Text, nullable=False),
    Column("created", Float, nullable=False),
    UniqueConstraint("name"),
)

#: ``manager``: may add and remove others
group_members = Table(
    "group_members",
    metadata,
    Column("group_id", BigInteger, ForeignKey("groups.id"), primary_key=True),
    _account(primary_key=True, index=True),
    Column("manager", Boolean, nullable=False),
    Column("added", Float, nullable=False),
)
