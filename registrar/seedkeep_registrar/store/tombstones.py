"""What is left of an account that its person has deleted: a number that signed events may go on to name.

Its keys stay with it, so that nobody counts by them again; everything that tells of the person goes.
"""

from __future__ import annotations

from sqlalchemy import Connection, delete, update

from seedkeep_registrar.store import accounts
from seedkeep_registrar.store.accounts import Account, Role
from seedkeep_registrar.store.accounts_tables import (
    account_keys,
    api_tokens,
    external_identities,
    group_members,
    key_bindings,
    sessions,
    sign_in_codes,
)
from seedkeep_registrar.store.curation_tables import mails
from seedkeep_registrar.store.mails import FAILED, WAITING
from seedkeep_registrar.store.operation_tables import journal, quotas

_EMPTY = {
    "email": None,
    "name": "",
    "orcid": "",
    "institution": "",
    "ror": "",
    "role": int(Role.VISITOR),
    "disabled": True,
    "queue_mails": False,
}


def bury(connection: Connection, account: Account, now: float) -> Account:
    """Delete an account; what is left of it."""
    for table in (sessions, api_tokens, external_identities, group_members, key_bindings):
        connection.execute(delete(table).where(table.c.account_id == account.id))
    connection.execute(delete(quotas).where(quotas.c.publisher == str(account.id)))
    connection.execute(update(account_keys).where(account_keys.c.account_id == account.id).values(label=""))
    connection.execute(delete(sign_in_codes).where(sign_in_codes.c.account_id == account.id))
    if account.email:
        connection.execute(delete(sign_in_codes).where(sign_in_codes.c.email == account.email))
        _forget_address(connection, account.email, now)
    # the journal names people by number and, for its readers, by name or address
    number = f"account {account.id}"
    named = journal.c.actor.startswith(f"{number} (", autoescape=True)
    connection.execute(update(journal).where(named).values(actor=number))
    left = accounts.change(connection, account.id, {**_EMPTY, "deleted": now})
    assert left is not None
    return left


def _forget_address(connection: Connection, email: str, now: float) -> None:
    """Mails about records stay, without whom they went to; what is not sent yet is not sent."""
    theirs = (mails.c.recipient == email, mails.c.about != "")
    gone = {"state": FAILED, "detail": "the account was deleted", "ended": now, "text": "", "html": ""}
    connection.execute(update(mails).where(*theirs, mails.c.state == WAITING).values(gone))
    connection.execute(update(mails).where(*theirs).values(recipient=""))
