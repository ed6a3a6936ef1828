"""Browser sessions; their tokens are known here by SHA-256 only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select, update

from seedkeep_registrar.store.accounts import Account, account_of
from seedkeep_registrar.store.accounts_tables import accounts, sessions


@dataclass(frozen=True, slots=True)
class Session:
    """One browser that is signed in; times in Unix seconds.

    Args:
        id: names it on pages; opens nothing.
        agent: the browser, as it calls itself.
        seen: last use, give or take some minutes.
        expires: when it ends however much it is used.
    """

    id: str
    account_id: int
    agent: str
    created: float
    seen: float
    expires: float


def _session(row: Row[Any]) -> Session:
    return Session(**{name: row._mapping[sessions.c[name]] for name in Session.__slots__})


def begin(connection: Connection, session: Session, token_sha256: str) -> None:
    """Remember a new session."""
    values = {name: getattr(session, name) for name in Session.__slots__}
    connection.execute(insert(sessions).values({**values, "token_sha256": token_sha256}))


def by_token(
    connection: Connection, token_sha256: str, *, now: float, idle_s: float
) -> tuple[Session, Account] | None:
    """The session that lives under this token, and its account unless that is disabled."""
    query = select(sessions, accounts).join(accounts, accounts.c.id == sessions.c.account_id)
    query = query.where(
        sessions.c.token_sha256 == token_sha256,
        sessions.c.expires > now,
        sessions.c.seen > now - idle_s,
        accounts.c.disabled.is_(False),
    )
    row = connection.execute(query).first()
    return (_session(row), account_of(row)) if row else None


def seen(connection: Connection, session: Session, now: float) -> None:
    """Write down that session and account are in use."""
    connection.execute(update(sessions).where(sessions.c.id == session.id).values(seen=now))
    connection.execute(update(accounts).where(accounts.c.id == session.account_id).values(last_seen=now))


def of_account(connection: Connection, account_id: int, *, now: float, idle_s: float) -> list[Session]:
    """The living sessions of an account, newest first."""
    query = select(sessions).where(
        sessions.c.account_id == account_id, sessions.c.expires > now, sessions.c.seen > now - idle_s
    )
    return [_session(row) for row in connection.execute(query.order_by(sessions.c.created.desc()))]


def end_token(connection: Connection, token_sha256: str) -> None:
    """End the session under this token."""
    connection.execute(delete(sessions).where(sessions.c.token_sha256 == token_sha256))


def end_one(connection: Connection, account_id: int, session_id: str) -> bool:
    """End one session of an account; whether there was one."""
    gone = delete(sessions).where(sessions.c.account_id == account_id, sessions.c.id == session_id)
    return bool(connection.execute(gone).rowcount)


def end_all(connection: Connection, account_id: int) -> int:
    """Sign an account out everywhere; how many sessions that ended."""
    return connection.execute(delete(sessions).where(sessions.c.account_id == account_id)).rowcount


def purge(connection: Connection, now: float, idle_s: float) -> None:
    """Forget sessions that have run out."""
    connection.execute(delete(sessions).where((sessions.c.expires < now) | (sessions.c.seen < now - idle_s)))
