"""How much one publisher may register: what the settings say, or what the operator granted them."""

from __future__ import annotations

from sqlalchemy import Connection

from seedkeep.core.errors import Refused
from seedkeep.core.units import print_size
from seedkeep_registrar.settings import Settings
from seedkeep_registrar.store import account_keys, accounts, quotas
from seedkeep_registrar.store.quotas import Quota


def publisher_of(connection: Connection, key: str) -> tuple[str, list[str]]:
    """Whose quota a key draws on: its account's, with all keys of that; or its own.

    Returns:
        The name under which quotas are granted, and the keys that draw on it.
    """
    account = accounts.by_key(connection, key)
    if account is None:
        return key, [key]
    return str(account.id), [found.key for found in account_keys.of_account(connection, account.id)]


def check(connection: Connection, settings: Settings, key: str, size: int) -> None:
    """Whether one more dataset may be registered; in the transaction that registers it.

    Args:
        key: who signed the record.
        size: of the dataset, in bytes.

    Raises:
        Refused: it would be one too many, or too large.
    """
    publisher, keys = publisher_of(connection, key)
    allowed = quotas.granted(connection, publisher) or Quota(settings.quota_datasets, settings.quota_bytes)
    if not allowed.datasets and not allowed.bytes:
        return
    used = quotas.used(connection, keys)
    hint = "Ask the registrar's operator for more."
    if allowed.datasets and used.datasets >= allowed.datasets:
        raise Refused(f"you have registered {used.datasets} datasets, which is all you may here", hint=hint)
    if allowed.bytes and used.bytes + size > allowed.bytes:
        raise Refused(
            f"with these {print_size(size)} you would have registered more than the "
            f"{print_size(allowed.bytes)} you may here ({print_size(used.bytes)} so far)",
            hint=hint,
        )
