"""How much may lie here that no record names: objects are taken before the record that names them.

Their bytes are charged to the key or account that sends them and to its address (IPv6: the /64; loopback is
not counted) before they are read, until a record names them or they are dropped as orphans. So neither fresh
keys nor many uploads at once fill the disk.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from aiohttp import web
from sqlalchemy import Connection

from seedkeep.core.units import print_size
from seedkeep_registrar.accounts.principal import Principal
from seedkeep_registrar.client_address import address_of, parse_networks
from seedkeep_registrar.context import REGISTRAR, Registrar
from seedkeep_registrar.operations.limits import name_of
from seedkeep_registrar.operations.metrics import METRICS
from seedkeep_registrar.problems import TooLarge, TooManyRequests
from seedkeep_registrar.store import records, uploads

#: what an object costs at least, in bytes: empty ones take place, too
_LEAST = 4096
_LONGEST_WAIT_S = 3600


async def take(
    request: web.Request, principal: Principal, sha256: str, size: int | None, chunks: AsyncIterator[bytes]
) -> bool:
    """Take an object from somebody; see :meth:`seedkeep_registrar.objects.ObjectStore.put`.

    Args:
        size: of the object in bytes; None when that is not known, and it may have as many as objects can.

    Raises:
        TooLarge: nobody may leave so much here unnamed.
        TooManyRequests: with what they, or their address, have here unnamed it would be too much.
    """
    registrar = request.app[REGISTRAR]
    if not registrar.settings.unnamed_bytes:
        return await registrar.objects.put(sha256, chunks)
    who = f"account {principal.account.id}" if principal.account else f"key {principal.key}"
    address = name_of(address_of(request, parse_networks(registrar.settings.trusted_proxies)))
    senders = [name for name in (who, address) if name]
    most = registrar.settings.max_object_bytes if size is None else size
    try:
        await registrar.db.write(_charge, registrar, sha256, senders, most)
    except (TooLarge, TooManyRequests):
        request.app[METRICS].refused.labels("uploads").inc()
        raise
    taken = False
    try:
        new = await registrar.objects.put(sha256, chunks)
        taken = True
        if size is None:
            await registrar.db.write(_charge, registrar, sha256, senders, registrar.objects.size(sha256) or 0)
        return new
    finally:
        if not taken:
            await registrar.db.write(_forget, registrar, sha256)


def _charge(connection: Connection, registrar: Registrar, sha256: str, senders: list[str], size: int) -> None:
    settings, cost = registrar.settings, max(size, _LEAST)
    if records.is_named(connection, sha256):
        return
    most = settings.unnamed_bytes
    if cost > most:
        raise TooLarge(
            f"an object of {print_size(cost)} is more than the {print_size(most)} that may lie here before a "
            "record names them",
            hint="Ask the registrar's operator to raise unnamed_bytes.",
        )
    for sender, total in uploads.held(connection, senders, sha256).items():
        if total + cost > most:
            raise TooManyRequests(
                f"no record names {print_size(total)} of objects yet that {sender.partition(' ')[2]} sent; "
                f"{print_size(most)} may lie here so: register the datasets that they belong to",
                retry_after=max(1, round(min(settings.orphan_s, _LONGEST_WAIT_S))),
            )
    uploads.charge(connection, sha256, senders, cost, registrar.clock())


def _forget(connection: Connection, registrar: Registrar, sha256: str) -> None:
    if registrar.objects.size(sha256) is None:
        uploads.named(connection, [sha256])
