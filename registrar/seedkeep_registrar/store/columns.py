"""Types of columns that many tables have."""

from __future__ import annotations

from sqlalchemy import BigInteger, Integer, String

#: a printed key, ``ed25519:…``
KEY = String(51)
#: a SHA-256 in lower-case hex
HEX64 = String(64)
#: SQLite gives rising numbers of its own only to a column that is exactly INTEGER
SERIAL = BigInteger().with_variant(Integer, "sqlite")
