"""Whose account somebody opens who was named by another service.

* An identity that is linked opens its account.
* Whoever is signed in while they bring a new one links it to their account.
* Where the service's verified addresses are trusted, it opens the account of that address, made if need be.
* Anybody else gets an account of their own without an address, unless ``sign_up = "closed"``: an address that
  a service merely tells opens nothing.
"""

from __future__ import annotations

from sqlalchemy import Connection

from seedkeep.core.errors import Conflict, InvalidInput, Refused
from seedkeep.core.metadata import orcid
from seedkeep_registrar.accounts import sign_in
from seedkeep_registrar.accounts.oidc import Identity
from seedkeep_registrar.accounts.oidc_provider import OidcProvider
from seedkeep_registrar.settings import CLOSED, Settings
from seedkeep_registrar.store import accounts, external_identities
from seedkeep_registrar.store.accounts import Account
from seedkeep_registrar.store.external_identities import ExternalIdentity


def arrive(
    connection: Connection,
    settings: Settings,
    provider: OidcProvider,
    identity: Identity,
    here: Account | None,
    now: float,
) -> Account:
    """The account that somebody opens.

    Args:
        here: the account that their browser is signed in to already, if it is.

    Raises:
        Refused: the account is disabled, or there is none and may be none.
        Conflict: the identity opens another account than the one they are signed in to.
    """
    known = ExternalIdentity(identity.issuer, identity.subject)
    account = external_identities.account(connection, known)
    if account is not None and here is not None and account.id != here.id:
        raise Conflict(
            f"this {provider.label} identity opens another account",
            hint="Sign out first, to use that account.",
        )
    if account is None:
        account = here or _of_address(connection, settings, provider, identity, now)
        if account is None:
            if settings.sign_up == CLOSED:
                raise Refused("there is no account for you here", hint="Ask the registrar's operator.")
            role = sign_in.first_role(settings, "")
            account = accounts.create(connection, email="", role=role, now=now, name=identity.name)
        external_identities.link(connection, known, account.id, now)
    if account.disabled:
        raise Refused("this account is disabled", hint="Ask the registrar's operator.")
    values: dict[str, object] = {"last_seen": now}
    if provider.is_orcid:
        values["orcid"] = _orcid(identity.subject)
    if not account.name and identity.name:
        values["name"] = identity.name
    changed = accounts.change(connection, account.id, values)
    assert changed is not None
    return changed


def _of_address(
    connection: Connection, settings: Settings, provider: OidcProvider, identity: Identity, now: float
) -> Account | None:
    if not provider.trust_email or not identity.email:
        return None
    try:
        email = sign_in.normal_email(identity.email)
    except InvalidInput:
        return None
    account = sign_in.arrive(connection, settings, email, now, identity.name)
    if account is None:
        raise Refused("there is no account for you here", hint="Ask the registrar's operator.")
    return account


def _orcid(subject: str) -> str:
    try:
        return orcid(subject)
    except InvalidInput as error:
        raise Refused("the service named no ORCID iD", hint="Tell the registrar's operator.") from error
