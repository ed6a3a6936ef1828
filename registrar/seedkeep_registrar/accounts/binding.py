"""Binding a key to an account: the machine that has the key asks, its person confirms in a browser.

The machine proves the key by its signature and shows a short code; the person, signed in, types or opens the
code, compares the key and confirms. The machine waits for that meanwhile.
"""

from __future__ import annotations

import asyncio

from aiohttp import web
from sqlalchemy import Connection

from seedkeep.core.errors import NotFound
from seedkeep_registrar.accounts import codes
from seedkeep_registrar.context import Registrar
from seedkeep_registrar.store import account_keys
from seedkeep_registrar.store.account_keys import BOUND, REFUSED, WAITING, Binding

BINDING_S = 900.0
#: how soon a machine learns that another process of this registrar took the confirmation, in seconds
_LOOK_S = 1.0


class Confirmations:
    """Wakes those who wait for a binding in this process; used from the event loop only."""

    def __init__(self) -> None:
        self._waiting: dict[str, set[asyncio.Event]] = {}

    async def changed(self, binding_id: str, timeout_s: float) -> None:
        """Wait until something may have changed, at most this long."""
        event = asyncio.Event()
        self._waiting.setdefault(binding_id, set()).add(event)
        try:
            async with asyncio.timeout(timeout_s):
                await event.wait()
        except TimeoutError:
            pass
        finally:
            self._waiting[binding_id].discard(event)
            if not self._waiting[binding_id]:
                del self._waiting[binding_id]

    def wake(self, binding_id: str) -> None:
        """Let those look again who wait for this binding."""
        for event in self._waiting.get(binding_id, ()):
            event.set()


CONFIRMATIONS: web.AppKey[Confirmations] = web.AppKey("confirmations", Confirmations)


async def begin(registrar: Registrar, key: str, label: str) -> tuple[Binding, str]:
    """Let a key wait for its person; the binding, and the code to show."""
    code, now = codes.code(registrar.random(codes.CODE_BYTES)), registrar.clock()
    binding = Binding(
        id=registrar.random(16).hex(),
        key=key,
        label=label,
        state=WAITING,
        account_id=None,
        created=now,
        expires=now + BINDING_S,
    )
    await registrar.db.write(account_keys.begin_binding, binding, codes.digest(code))
    return binding, code


async def wait(
    registrar: Registrar, confirmations: Confirmations, binding_id: str, key: str, wait_s: float
) -> Binding:
    """A binding as soon as it no longer waits, or as it is after so many seconds.

    Raises:
        NotFound: this key has no such binding, or it has run out.
    """
    loop = asyncio.get_running_loop()
    until = loop.time() + wait_s
    while True:
        found = await registrar.db.read(account_keys.binding_by_id, binding_id)
        if (
            found is None
            or found.key != key
            or (found.state == WAITING and found.expires <= registrar.clock())
        ):
            raise NotFound("nobody confirmed this key in time", hint="Run `seedkeep login` again.")
        left = until - loop.time()
        if found.state != WAITING or left <= 0 or registrar.wakeups.closing:
            return found
        await confirmations.changed(binding_id, min(left, _LOOK_S))


async def waiting(registrar: Registrar, typed: str) -> Binding | None:
    """The binding that waits under a code that somebody typed."""
    code = codes.typed_code(typed)
    if not code:
        return None
    return await registrar.db.read(account_keys.binding_by_code, codes.digest(code), registrar.clock())


async def decide(
    registrar: Registrar, confirmations: Confirmations, typed: str, account_id: int, *, confirmed: bool
) -> Binding | None:
    """Confirm or refuse the key that waits under a code; None when none does (any more).

    Raises:
        Conflict: the key acts for another account.
    """
    code = codes.typed_code(typed)
    state = BOUND if confirmed else REFUSED
    ended = await registrar.db.write(_decide, codes.digest(code), account_id, state, registrar.clock())
    if ended is not None:
        confirmations.wake(ended.id)
    return ended


def _decide(
    connection: Connection, code_sha256: str, account_id: int, state: str, now: float
) -> Binding | None:
    found = account_keys.binding_by_code(connection, code_sha256, now)
    if found is None or not account_keys.end_binding(connection, found.id, state, account_id, now):
        return None
    if state == BOUND:
        account_keys.bind(connection, found.key, account_id, found.label, now)
    return found
