"""Quotas of single publishers: what an operator grants, and how much of it is used."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from seedkeep.core.errors import InvalidInput, NotFound
from seedkeep.core.keys import PublicKey
from seedkeep.core.units import print_size
from seedkeep_registrar.accounts.sign_in import normal_email
from seedkeep_registrar.operations.quota import keys_of
from seedkeep_registrar.settings import Settings
from seedkeep_registrar.store import accounts, quotas
from seedkeep_registrar.store.quotas import Quota

#: datasets or bytes that can be granted
MOST = 2**53 - 1


@dataclass(frozen=True, slots=True)
class Granted:
    """What one publisher may register, and has registered.

    Args:
        publisher: number of an account, or a key that acts for none.
        name: of the account, as operators see it; "" for a key.
        quota: 0 = no limit.
    """

    publisher: str
    name: str
    quota: Quota
    used: Quota

    def document(self) -> dict[str, Any]:
        """As it is told on the wire."""
        return {
            "publisher": self.publisher,
            "name": self.name,
            "datasets": self.quota.datasets,
            "bytes": self.quota.bytes,
            "used_datasets": self.used.datasets,
            "used_bytes": self.used.bytes,
        }


def words(quota: Quota) -> str:
    """For people: ``50 datasets, 1 TB``."""
    if not quota.datasets and not quota.bytes:
        return "no limit"
    datasets = f"{quota.datasets} datasets" if quota.datasets else "any number of datasets"
    return f"{datasets}, {print_size(quota.bytes) if quota.bytes else 'any size'}"


def publisher_of(connection: Connection, text: str) -> str:
    """Whom an operator means: the number of an account or a key, as quotas are counted.

    Args:
        text: number or e-mail address of an account, or a key; one that acts for an account stands for it.

    Raises:
        InvalidInput: it is none of these.
        NotFound: there is no such account.
    """
    text = text.strip()
    if text.startswith("ed25519:"):
        key = str(PublicKey.parse(text))
        bound = accounts.by_key(connection, key)
        return str(bound.id) if bound else key
    if text.isascii() and text.isdigit() and len(text) <= 15:
        found = accounts.by_id(connection, int(text))
    elif "@" in text:
        found = accounts.by_email(connection, normal_email(text))
    else:
        raise InvalidInput(
            f"{text[:60]!r} names no publisher",
            hint="Write the number or e-mail address of an account, or a key.",
        )
    if found is None or found.deleted is not None:
        raise NotFound(f"there is no account {text[:254]}")
    return str(found.id)


def usual(settings: Settings) -> Quota:
    """What everybody may who was granted nothing else."""
    return Quota(settings.quota_datasets, settings.quota_bytes)


def read(connection: Connection, settings: Settings, publisher: str) -> Granted:
    """What one publisher may now, granted or not."""
    return _granted(connection, publisher, quotas.granted(connection, publisher) or usual(settings))


def page(connection: Connection, *, after: str, limit: int) -> list[Granted]:
    """Those who were granted something, by publisher."""
    found = quotas.every(connection, after=after, limit=limit)
    return [_granted(connection, publisher, quota) for publisher, quota in found]


def _granted(connection: Connection, publisher: str, quota: Quota) -> Granted:
    account = "" if publisher.startswith("ed25519:") else publisher
    person = accounts.by_id(connection, int(account)) if account else None
    used = quotas.used(connection, keys_of(connection, publisher, account), account)
    return Granted(publisher, (person.name or person.email) if person else "", quota, used)


def grant(connection: Connection, settings: Settings, who: str, quota: Quota) -> Granted:
    """Grant somebody a quota of their own, above or below the usual one.

    Args:
        who: see :func:`publisher_of`.

    Raises:
        InvalidInput, NotFound: see :func:`publisher_of`.
    """
    publisher = publisher_of(connection, who)
    quotas.grant(connection, publisher, quota)
    return read(connection, settings, publisher)


def clear(connection: Connection, who: str) -> str:
    """Let the usual quota hold again for somebody; who that is.

    Args:
        who: see :func:`publisher_of`.

    Raises:
        InvalidInput, NotFound: see :func:`publisher_of`.
        NotFound: they have no quota of their own.
    """
    publisher = publisher_of(connection, who)
    if quotas.granted(connection, publisher) is None:
        raise NotFound(f"{who[:254]} has no quota of their own")
    quotas.grant(connection, publisher, None)
    return publisher
