"""Tokens by which programs act for an account; known here by SHA-256 only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from seedkeep_registrar.store.accounts import Account, account_of
from seedkeep_registrar.store.accounts_tables import accounts, api_tokens


@dataclass(frozen=True, slots=True)
class Token:
    """One token; times in Unix seconds.

    Args:
        id: names it; opens nothing.
        name: what its person calls it.
        last_used: give or take some minutes; None: never.
        revoked: None: it may still be used, until ``expires``.
    """

    id: str
    account_id: int
    name: str
    scopes: tuple[str, ...]
    created: float
    expires: float
    last_used: float | None
    revoked: float | None


def _token(row: Row[Any]) -> Token:
    values = {name: row._mapping[api_tokens.c[name]] for name in Token.__slots__}
    return Token(**{**values, "scopes": tuple(values["scopes"])})


def add(connection: Connection, token: Token, token_sha256: str) -> None:
    """Remember a new token."""
    values = {name: getattr(token, name) for name in Token.__slots__}
    values |= {"scopes": list(token.scopes), "token_sha256": token_sha256}
    connection.execute(insert(api_tokens).values(values))


def by_secret(connection: Connection, token_sha256: str, now: float) -> tuple[Token, Account] | None:
    """A token that may be used, and its account unless that is disabled."""
    query = select(api_tokens, accounts).join(accounts, accounts.c.id == api_tokens.c.account_id)
    query = query.where(
        api_tokens.c.token_sha256 == token_sha256,
        api_tokens.c.revoked.is_(None),
        api_tokens.c.expires > now,
        accounts.c.disabled.is_(False),
    )
    row = connection.execute(query).first()
    return (_token(row), account_of(row)) if row else None


def used(connection: Connection, token_id: str, now: float) -> None:
    """Write down that a token is in use."""
    connection.execute(update(api_tokens).where(api_tokens.c.id == token_id).values(last_used=now))


def of_account(connection: Connection, account_id: int) -> list[Token]:
    """The tokens of an account that were not revoked, newest first."""
    query = select(api_tokens).where(api_tokens.c.account_id == account_id, api_tokens.c.revoked.is_(None))
    return [_token(row) for row in connection.execute(query.order_by(api_tokens.c.created.desc()))]


def revoke_all(connection: Connection, account_id: int, now: float) -> None:
    """Let all tokens of an account be used no more."""
    ended = update(api_tokens).where(api_tokens.c.account_id == account_id, api_tokens.c.revoked.is_(None))
    connection.execute(ended.values(revoked=now))


def revoke(connection: Connection, account_id: int, token_id: str, now: float) -> bool:
    """Let a token be used no more; whether the account had it and it was not revoked yet."""
    ended = update(api_tokens).where(
        api_tokens.c.id == token_id, api_tokens.c.account_id == account_id, api_tokens.c.revoked.is_(None)
    )
    return bool(connection.execute(ended.values(revoked=now)).rowcount)
