"""By which other services somebody signs in, and that they no longer want to by one of them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from sqlalchemy import Connection

from seedkeep.core.errors import NotFound, Refused
from seedkeep_registrar.settings import Settings
from seedkeep_registrar.store import external_identities
from seedkeep_registrar.store.accounts import Account
from seedkeep_registrar.store.external_identities import ExternalIdentity


@dataclass(frozen=True, slots=True)
class Service:
    """One way to sign in.

    Args:
        id: names it, 16 hex digits; opens nothing.
        title: of the service, as people call it.
        offered: one can sign in with this service now.
    """

    id: str
    title: str
    identity: ExternalIdentity
    offered: bool


def of_account(connection: Connection, settings: Settings, account_id: int) -> list[Service]:
    """The other services by which somebody signs in, oldest first."""
    labels = {provider.issuer: provider.label for provider in settings.oidc}
    return [
        Service(_id(one), labels.get(one.issuer, one.issuer), one, one.issuer in labels)
        for one in external_identities.of_account(connection, account_id)
    ]


def unlink(connection: Connection, settings: Settings, account: Account, service_id: str) -> None:
    """Let one of them open the account no more.

    Raises:
        NotFound: the account has no such service.
        Refused: there would be no way left to sign in.
    """
    known = of_account(connection, settings, account.id)
    found = next((one for one in known if one.id == service_id), None)
    if found is None:
        raise NotFound("your account is not opened by this service")
    if not account.email and not any(one.offered for one in known if one is not found):
        raise Refused(
            "this is the only way in which you can sign in", hint="Give your account an e-mail address first."
        )
    external_identities.unlink(connection, found.identity)


def _id(identity: ExternalIdentity) -> str:
    return hashlib.sha256(f"{identity.issuer}\n{identity.subject}".encode()).hexdigest()[:16]
