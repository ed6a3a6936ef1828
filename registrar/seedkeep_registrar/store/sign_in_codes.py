"""Mailed links and codes: each opens once, within its time and its number of attempts, also when two race."""

from __future__ import annotations

import hmac
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, Row, and_, delete, func, insert, or_, select, update

from seedkeep_registrar.store.accounts_tables import sign_in_codes

ATTEMPTS = 5
#: stands as ``used`` where no mail was sent
NEVER_MAILED = 0.0


@dataclass(frozen=True, slots=True)
class SignInCode:
    """One mailed link and code; times in Unix seconds.

    Args:
        id_sha256: of the secret that the asking browser or terminal holds.
        link_sha256: of the secret in the link.
        code_sha256: of that first secret followed by the code, so that the code cannot be found from it.
        key: the key it binds, or "" for signing in with a browser.
        label: how the machine of that key calls itself.
        next: the path to go to afterwards.
        account_id: the account whose address ``email`` becomes, or None.
    """

    id_sha256: str
    link_sha256: str
    code_sha256: str
    email: str
    key: str
    label: str
    next: str
    attempts: int
    created: float
    expires: float
    used: float | None
    account_id: int | None = None


def _code(row: Row[Any]) -> SignInCode:
    return SignInCode(**row._mapping)


def add(connection: Connection, code: SignInCode) -> None:
    """Remember what is being mailed."""
    connection.execute(insert(sign_in_codes).values({n: getattr(code, n) for n in SignInCode.__slots__}))


def add_unmailed(connection: Connection, code: SignInCode) -> None:
    """Do what :func:`add` does, for a code that nobody is sent: it opens nothing and counts for nothing."""
    add(connection, replace(code, used=NEVER_MAILED))


def count_mailed(connection: Connection, code: SignInCode, since: float) -> int:
    """How many like this one were mailed to its address since then; codes that bind keys or change addresses
    count apart, so that somebody who asks for those cannot keep links from coming."""
    binds = sign_in_codes.c.key != "" if code.key else sign_in_codes.c.key == ""
    whose = sign_in_codes.c.account_id
    kind = and_(binds, whose.is_(None) if code.account_id is None else whose.is_not(None))
    mailed = or_(sign_in_codes.c.used.is_(None), sign_in_codes.c.used != NEVER_MAILED)
    query = select(func.count()).select_from(sign_in_codes)
    query = query.where(sign_in_codes.c.email == code.email, sign_in_codes.c.created > since, kind, mailed)
    return int(connection.execute(query).scalar_one())


def by_link(connection: Connection, link_sha256: str, now: float) -> SignInCode | None:
    """The unused code of a link, for showing what the link does."""
    row = connection.execute(
        select(sign_in_codes).where(
            sign_in_codes.c.link_sha256 == link_sha256,
            sign_in_codes.c.account_id.is_(None),
            sign_in_codes.c.used.is_(None),
            sign_in_codes.c.expires > now,
        )
    ).first()
    return _code(row) if row else None


def redeem_link(connection: Connection, link_sha256: str, now: float) -> SignInCode | None:
    """Use up a link; None when it was used, has run out, or never was."""
    found = by_link(connection, link_sha256, now)
    return found if found is not None and _use_up(connection, found.id_sha256, now) else None


def redeem_code(
    connection: Connection,
    id_sha256: str,
    code_sha256: str,
    key: str,
    now: float,
    account_id: int | None = None,
) -> SignInCode | None:
    """Use up a code, or one of its attempts when it is wrong.

    Args:
        key, account_id: what the code must have been mailed for.
    """
    attempt = update(sign_in_codes).where(
        sign_in_codes.c.id_sha256 == id_sha256,
        sign_in_codes.c.used.is_(None),
        sign_in_codes.c.expires > now,
        sign_in_codes.c.attempts < ATTEMPTS,
        sign_in_codes.c.key == key,
        sign_in_codes.c.account_id.is_not_distinct_from(account_id),
    )
    # counted before it is compared: attempts at the same time cannot share one
    if not connection.execute(attempt.values(attempts=sign_in_codes.c.attempts + 1)).rowcount:
        return None
    row = connection.execute(select(sign_in_codes).where(sign_in_codes.c.id_sha256 == id_sha256)).one()
    found = _code(row)
    right = hmac.compare_digest(found.code_sha256, code_sha256)
    return found if right and _use_up(connection, id_sha256, now) else None


def _use_up(connection: Connection, id_sha256: str, now: float) -> bool:
    # of several at once exactly one finds it unused
    using = update(sign_in_codes).where(
        sign_in_codes.c.id_sha256 == id_sha256, sign_in_codes.c.used.is_(None), sign_in_codes.c.expires > now
    )
    return bool(connection.execute(using.values(used=now)).rowcount)


def purge(connection: Connection, now: float) -> None:
    """Forget what has run out."""
    connection.execute(delete(sign_in_codes).where(sign_in_codes.c.expires < now))
