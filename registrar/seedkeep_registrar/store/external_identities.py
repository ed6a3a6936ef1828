"""Who somebody with an account is at another service (OpenID Connect)."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, delete, insert, select
from sqlalchemy.exc import IntegrityError

from seedkeep.core.errors import Conflict
from seedkeep_registrar.store.accounts import Account, account_of
from seedkeep_registrar.store.accounts_tables import accounts, external_identities


@dataclass(frozen=True, slots=True)
class ExternalIdentity:
    """A service and who somebody is there."""

    issuer: str
    subject: str


def account(connection: Connection, identity: ExternalIdentity) -> Account | None:
    """Whose identity it is."""
    joined = accounts.join(external_identities, external_identities.c.account_id == accounts.c.id)
    row = connection.execute(
        select(accounts)
        .select_from(joined)
        .where(
            external_identities.c.issuer == identity.issuer,
            external_identities.c.subject == identity.subject,
        )
    ).first()
    return account_of(row) if row else None


def link(connection: Connection, identity: ExternalIdentity, account_id: int, now: float) -> None:
    """Let an identity open an account.

    Raises:
        Conflict: it opens one already.
    """
    values = {
        "issuer": identity.issuer,
        "subject": identity.subject,
        "account_id": account_id,
        "created": now,
    }
    savepoint = connection.begin_nested()
    try:
        connection.execute(insert(external_identities).values(values))
    except IntegrityError as error:
        savepoint.rollback()
        raise Conflict("this identity opens an account already") from error
    savepoint.commit()


def unlink(connection: Connection, identity: ExternalIdentity) -> None:
    """Let an identity open no account."""
    connection.execute(
        delete(external_identities).where(
            external_identities.c.issuer == identity.issuer,
            external_identities.c.subject == identity.subject,
        )
    )


def of_account(connection: Connection, account_id: int) -> list[ExternalIdentity]:
    """By which identities an account is opened."""
    rows = connection.execute(
        select(external_identities.c.issuer, external_identities.c.subject)
        .where(external_identities.c.account_id == account_id)
        .order_by(external_identities.c.created)
    )
    return [ExternalIdentity(row.issuer, row.subject) for row in rows]
