"""Whom the registrar names when it signs for somebody. What is named stands in the log for ever.

The name is what they call themselves here. An ORCID iD is named only if they have signed in with it: one
that was typed into a profile may be anybody's.
"""

from __future__ import annotations

from sqlalchemy import Connection

from seedkeep.core.errors import InvalidInput
from seedkeep.core.metadata import orcid
from seedkeep.core.record import Editor
from seedkeep_registrar.accounts.principal import Account, Principal
from seedkeep_registrar.settings import Settings
from seedkeep_registrar.store import external_identities


def editor_of(connection: Connection, settings: Settings, principal: Principal) -> Editor:
    """How events name this sender: by their account, or by the key that acts for none."""
    account = principal.account
    if account is None:
        return Editor(principal.key)
    return Editor(str(account.id), account.name, _proven_orcid(connection, settings, account))


def _proven_orcid(connection: Connection, settings: Settings, account: Account) -> str:
    if not account.orcid:
        return ""
    issuers = {provider.issuer for provider in settings.oidc if provider.is_orcid}
    said = orcid(account.orcid)
    for identity in external_identities.of_account(connection, account.id):
        try:
            if identity.issuer in issuers and orcid(identity.subject) == said:
                return said
        except InvalidInput:
            continue
    return ""
