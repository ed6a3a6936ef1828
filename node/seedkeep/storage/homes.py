"""Whose a dataset is now, asked when a registrar that is not known as its home orders to withhold it.

The steward of a record may have given it another home since it was claimed. So those that the node serves,
and mirrors that stand in, are asked for the record:

* a record document proves by its signed events whose it is; that is kept with the claims;
* a refusal that names this very entry is as good: who refuses could order the same itself.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import replace

from seedkeep.core.errors import Error, Unreachable
from seedkeep.core.taints.duty import Told
from seedkeep.record_document import Record
from seedkeep.registrar_http import TaintedRecord
from seedkeep.registrar_records import WithdrawnRecord
from seedkeep.storage.model import Claim, Registrar
from seedkeep.storage.rooms import Rooms
from seedkeep.storage.state import State

#: datasets asked about in one look
_AT_ONCE = 20


async def keep_home(state: State, record: Record) -> bool:
    """Keep the home that a verified record has now with all claims on it; whether that is news."""
    home, claims = record.state.home, state.claims_on(record.content_id)
    news = [replace(c, home=home) for c in claims if c.rid == record.rid and c.home != home]
    if news:
        await state.put_claims(news)
    return bool(news)


class Homes:
    """
    Args:
        on_news: is called when other orders bind than before.
    """

    def __init__(self, rooms: Rooms, on_news: Callable[[], Awaitable[None]]) -> None:
        self._rooms = rooms
        self._on_news = on_news
        self._advised: dict[str, tuple[Told, ...]] = {}
        self._asked: dict[tuple[str, str, str], float] = {}

    def advised(self, cid: str, advice: tuple[Told, ...]) -> None:
        """These entries are about a dataset that is held, and do not bind."""
        if withholding := tuple(t for t in advice if t.entry.effect.withholds):
            self._advised[cid] = withholding
        else:
            self._advised.pop(cid, None)

    async def look_after(self) -> None:
        """Ask about what nobody has been asked about for a while."""
        now, again = time.monotonic(), self._rooms.patience.retry_most
        self._asked = {one: at for one, at in self._asked.items() if now - at < again}
        news, asked = False, 0
        for cid, told in list(self._advised.items()):
            for claim in {c.rid: c for c in self._rooms.state.claims_on(cid) if c.rid}.values():
                open_ = [t for t in told if (claim.rid, t.origin, t.entry.id) not in self._asked]
                if open_ and asked < _AT_ONCE:
                    asked += 1
                    news |= await self._ask(claim, open_)
        if news:
            await self._on_news()

    async def _ask(self, claim: Claim, told: list[Told]) -> bool:
        news = False
        for client in list(self._rooms.clients.values()):
            try:
                news |= await self._ask_one(client, claim, told)
            except Unreachable:
                continue
            except Error:
                pass  # such as one that never had it
            self._asked |= {(claim.rid, t.origin, t.entry.id): time.monotonic() for t in told}
        return news

    async def _ask_one(self, client: Registrar, claim: Claim, told: list[Told]) -> bool:
        try:
            record = await client.record(claim.rid)
        except WithdrawnRecord as error:
            record = error.record
        except TaintedRecord as error:
            named = {(reason.get("authority", ""), reason.get("id", "")) for reason in error.reasons}
            agreed = [t for t in told if (t.origin, t.entry.id) in named]
            return await self._rooms.taints.agree(agreed)
        return record.content_id == claim.content_id and await keep_home(self._rooms.state, record)
