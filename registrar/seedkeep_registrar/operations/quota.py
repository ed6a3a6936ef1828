"""How much one publisher may register: what the settings say, or what the operator granted them."""

from __future__ import annotations

from sqlalchemy import Connection

from seedkeep.core.errors import Refused
from seedkeep.core.units import print_size
from seedkeep_registrar.settings import Settings
from seedkeep_registrar.store import account_keys, accounts, quotas
from seedkeep_registrar.store.quotas import Quota


def check(connection: Connection, settings: Settings, key: str, account: str, size: int) -> None:
    """Whether one more dataset may be registered; in the transaction that registers it.

    An account has one quota for all that was recorded for it and for its keys, any other key its own.

    Args:
        key: who signed the record.
        account: for whose account (its id) the registrar signed, or "".
        size: of the dataset, in bytes.

    Raises:
        Refused: it would be one too many, or too large.
    """
    bound = accounts.by_key(connection, key)
    account = account or (str(bound.id) if bound else "")
    usual = Quota(settings.quota_datasets, settings.quota_bytes)
    allowed = quotas.granted(connection, account or key) or usual
    if not allowed.datasets and not allowed.bytes:
        return
    used = quotas.used(connection, keys_of(connection, key, account), account)
    hint = "Ask the registrar's operator for more."
    if allowed.datasets and used.datasets >= allowed.datasets:
        raise Refused(f"you have registered {used.datasets} datasets, which is all you may here", hint=hint)
    if allowed.bytes and used.bytes + size > allowed.bytes:
        raise Refused(
            f"with these {print_size(size)} you would have registered more than the "
            f"{print_size(allowed.bytes)} you may here ({print_size(used.bytes)} so far)",
            hint=hint,
        )


def keys_of(connection: Connection, key: str, account: str) -> list[str]:
    """The keys whose records count as one publisher's: those of the account, or the one key."""
    return [k.key for k in account_keys.of_account(connection, int(account))] if account else [key]
