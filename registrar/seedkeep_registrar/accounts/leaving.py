"""Deleting one's own account. What one has signed and published stays; whoever one was is forgotten."""

from __future__ import annotations

from sqlalchemy import Connection

from seedkeep.core.errors import Refused
from seedkeep_registrar.context import Registrar
from seedkeep_registrar.settings import Settings
from seedkeep_registrar.store import accounts, mails, tombstones
from seedkeep_registrar.store.accounts import Account, Role


async def delete(registrar: Registrar, account: Account) -> Account:
    """Delete somebody's account: sessions, tokens, keys and personal data; what is left of it.

    Raises:
        Refused: nobody else could operate this registrar.
    """
    left = await registrar.db.write(_delete, registrar, account.id)
    registrar.mailer.wake()
    return left


def _delete(connection: Connection, registrar: Registrar, account_id: int) -> Account:
    account = accounts.by_id(connection, account_id)
    assert account is not None
    if account.deleted is not None:
        return account
    if account.role >= Role.OPERATOR and not _others_operate(connection, registrar.settings, account_id):
        raise Refused(
            "you are the last operator of this registrar", hint="Make somebody else an operator first."
        )
    letter = registrar.mailer.write(account.email, "account_deleted", {}) if account.email else None
    left = tombstones.bury(connection, account, registrar.clock())
    if letter is not None:
        mails.add(connection, letter)
    return left


def _others_operate(connection: Connection, settings: Settings, account_id: int) -> bool:
    if set(accounts.operators(connection)) - {account_id}:
        return True
    bound = (accounts.by_key(connection, key) for key in settings.operators)
    return any(one is None or (one.id != account_id and not one.disabled) for one in bound)
