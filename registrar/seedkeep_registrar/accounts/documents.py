"""What is told of accounts, keys, tokens and groups on the wire."""

from __future__ import annotations

from typing import Any

from seedkeep_registrar import times
from seedkeep_registrar.accounts.principal import Principal
from seedkeep_registrar.accounts.services import Service
from seedkeep_registrar.store.account_keys import BoundKey
from seedkeep_registrar.store.accounts import Account
from seedkeep_registrar.store.api_tokens import Token
from seedkeep_registrar.store.groups import Group, Member


def account_document(account: Account) -> dict[str, Any]:
    """Everything about one person, for themselves and for operators."""
    return {
        "id": account.id,
        "email": account.email,
        "name": account.name,
        "orcid": account.orcid,
        "institution": account.institution,
        "ror": account.ror,
        "role": account.role.word,
        "created": times.text(account.created),
        "last_seen": times.text(account.last_seen),
        "disabled": account.disabled,
        "queue_mails": account.queue_mails,
        "deleted": times.text(account.deleted) if account.deleted is not None else None,
    }


def principal_document(principal: Principal, groups: list[Group]) -> dict[str, Any]:
    """Who the sender of a request is."""
    return {
        "how": principal.how,
        "role": principal.role.word,
        "key": principal.key,
        "scopes": sorted(principal.scopes),
        "account": account_document(principal.account) if principal.account else None,
        "groups": [group.name for group in groups],
    }


def key_document(key: BoundKey) -> dict[str, Any]:
    """A key that acts for an account."""
    return {"key": key.key, "label": key.label, "bound": times.text(key.bound)}


def service_document(service: Service) -> dict[str, Any]:
    """A service by which somebody signs in."""
    return {
        "id": service.id,
        "title": service.title,
        "issuer": service.identity.issuer,
        "subject": service.identity.subject,
    }


def token_document(token: Token) -> dict[str, Any]:
    """A token, without its secret."""
    return {
        "id": token.id,
        "name": token.name,
        "scopes": list(token.scopes),
        "created": times.text(token.created),
        "expires": times.text(token.expires),
        "last_used": times.text(token.last_used) if token.last_used is not None else None,
    }


def group_document(group: Group) -> dict[str, Any]:
    """A group."""
    return {
        "name": group.name,
        "title": group.title,
        "created": times.text(group.created),
        "members": group.members,
    }


def member_document(member: Member) -> dict[str, Any]:
    """Somebody in a group, as the others in it see them."""
    return {
        "id": member.account.id,
        "name": member.account.name,
        "institution": member.account.institution,
        "manager": member.manager,
    }
