"""Nonces of signed requests, remembered until their requests have expired."""

from __future__ import annotations

from sqlalchemy import Connection, delete, insert
from sqlalchemy.exc import IntegrityError

from seedkeep.core.httpsig import Signed, Unauthenticated
from seedkeep_registrar.store.tables import nonces

_INSERT = insert(nonces)


def use(connection: Connection, signed: Signed) -> None:
    """Remember the request's nonce.

    Raises:
        Unauthenticated: it was used before.
    """
    use_once(connection, str(signed.key), signed.nonce, signed.expires)


def use_once(connection: Connection, key: str, nonce: str, expires: float) -> None:
    """Remember something that counts once.

    Args:
        key: whose it is, or what kind of thing.
        expires: when it counts no more anyway, Unix seconds.

    Raises:
        Unauthenticated: it was used before.
    """
    try:
        connection.execute(_INSERT, {"key": key, "nonce": nonce, "expires": expires})
    except IntegrityError as error:
        raise Unauthenticated(
            "this request was sent before (its nonce is used up)", hint="Sign it anew, then send it."
        ) from error


def purge(connection: Connection, now: float) -> int:
    """Forget the nonces of requests that have expired; how many."""
    return connection.execute(delete(nonces).where(nonces.c.expires < now)).rowcount
