"""Records of one registrar as the chains of events they are: read and verified, revised, withdrawn.

Whoever reads a record through here holds all its events; a record that is withdrawn is an error that brings
what is still said of it, and that is verified too: no registrar can call a record withdrawn by itself.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from seedkeep.core.errors import InvalidInput, VerificationFailed, Withdrawn
from seedkeep.core.events import Event
from seedkeep.core.notes import Verifier
from seedkeep.core.revision import MAX_REVISIONS
from seedkeep.record_document import Record, lacks_chain
from seedkeep.registrar_http import ToldWithdrawn, Transport
from seedkeep.registrar_messages import RegistrarInfo


class WithdrawnRecord(Withdrawn):
    """A record's data is offered no more, as its own events say.

    Args:
        record: what is still said of it.
        keys: of the registrars that it was held to.
    """

    def __init__(self, record: Record, keys: tuple[Verifier, ...]) -> None:
        state = record.state
        newer = f"There is a newer version of it: {record.ark}@latest."
        stays = f"What was said of it stays at {record.text('landing_page') or record.ark}."
        super().__init__(
            f"{record.ark} ({record.dataset.name}) was withdrawn on {state.head.created[:10]}: {state.note}",
            hint=stays if record.latest == record.rid else newer,
        )
        self.record = record
        self.keys = keys


class RegistrarRecords:
    """
    Args:
        http: requests to the registrar.
        info: what it says of itself, with the key it is held to.
        keys: of other registrars, whose records it may mirror.
    """

    def __init__(
        self,
        http: Transport,
        info: Callable[[], Awaitable[RegistrarInfo]],
        keys: Callable[[], Sequence[Verifier]] = tuple,
    ) -> None:
        self._http = http
        self._info = info
        self._keys = keys

    async def keys(self) -> tuple[Verifier, ...]:
        """The keys that its records are held to: its own, and those of other registrars that are known."""
        info = await self._info()
        own = info.vkey
        others = await asyncio.to_thread(self._keys)
        return own, *info.former, *(key for key in others if key.name != own.name)

    async def keys_of(self, record: Record) -> tuple[Verifier, ...]:
        """The keys that one of its records was held to."""
        homes = {state.head.home for state in record.states}
        return tuple(key for key in await self.keys() if key.name in homes)

    async def read(self, rid: str) -> Record:
        """The record with this rid.

        Raises:
            NotFound, TaintedRecord, Unreachable, InvalidInput.
            WithdrawnRecord: it is withdrawn.
            VerificationFailed: it is another record, or one that does not hold.
        """
        try:
            answer = await self._http.get(f"/api/v1/records/{quote(rid, safe='')}")
        except ToldWithdrawn as error:
            record = await self.withdrawn(error)
        else:
            record = await self.verified(await answer.read(dict))
        if record.rid != rid:
            raise VerificationFailed(f"{self._http.url} answered with another record than {rid[:12]}…")
        if record.state.withdrawn:
            raise WithdrawnRecord(record, await self.keys_of(record))
        return record

    async def read_even_withdrawn(self, rid: str) -> Record:
        """:meth:`read`, but a withdrawn record is as good as any."""
        try:
            return await self.read(rid)
        except WithdrawnRecord as error:
            return error.record

    async def withdrawn(self, told: ToldWithdrawn) -> Record:
        """What a registrar still says of a record that it calls withdrawn.

        Raises:
            VerificationFailed: the record is not withdrawn by anybody who might.
        """
        record = await self.verified(told.document)
        if not record.state.withdrawn:
            raise VerificationFailed(
                f"{self._http.url} calls {record.ark} withdrawn, which nobody has signed"
            )
        return record

    async def verified(self, document: Mapping[str, Any]) -> Record:
        """A record from its document; the events that this leaves out are fetched.

        Raises:
            InvalidInput, VerificationFailed: see :meth:`Record.parse`.
        """
        if lacks_chain(document):
            document = {**document, "chain": await self._chain(str(document.get("rid")))}
        return await asyncio.to_thread(Record.parse, document, *await self.keys())

    async def _chain(self, rid: str) -> list[dict[str, Any]]:
        """All events of a record but the first one, with bodies and proofs."""
        entries: list[dict[str, Any]] = []
        path = f"/api/v1/records/{quote(rid, safe='')}/revisions"
        cursor: Any = ""
        while cursor is not None:
            page = f"{path}?cursor={quote(cursor, safe='')}" if cursor else path
            answer = await (await self._http.get(page)).read(dict)
            found, cursor = answer.get("revisions"), answer.get("next")
            usable = isinstance(found, list) and isinstance(cursor, str | None)
            if not usable or not found or len(entries) > MAX_REVISIONS + 1:
                raise InvalidInput(f"{self._http.url} did not tell the history of record {rid[:12]}…")
            entries += [
                {name: entry.get(name) for name in ("event", "body", "proof")}
                for entry in found
                if isinstance(entry, dict)
            ]
        return entries[1:]

    # --- changes -------------------------------------------------------------------------------------

    async def add(self, event: Event, body: bytes) -> Record:
        """Send a signed revision or withdrawal; again with the same event changes nothing.

        Raises:
            Conflict: the record has changed meanwhile.
            Refused: the key may not.
        """
        fields = {"event": json.loads(event.leaf()), "body": json.loads(body)}
        record = await self._send("POST", "/api/v1/events", fields, {})
        if event not in {state.head for state in record.states}:
            raise VerificationFailed(f"{self._http.url} recorded another event than the one it was sent")
        return record

    async def edit(self, record: Record, fields: Mapping[str, Any]) -> Record:
        """Have the registrar sign a change.

        Args:
            record: as it is now.
            fields: ``metadata`` (all of it), and perhaps ``web_seeds``, ``copies``, ``stewards``, ``note``.

        Raises:
            Conflict: it has changed meanwhile.
            Refused: the key's owner may not.
        """
        path = f"/api/v1/records/{record.rid}/metadata"
        await self._request("PUT", path, fields, {"If-Match": f'"{record.state.head.hash()}"'})
        return await self.read(record.rid)

    async def withdraw(self, record: Record, reason: str) -> Record:
        """Have the registrar sign a withdrawal; raises as :meth:`edit`."""
        head = {"If-Match": f'"{record.state.head.hash()}"'}
        return await self._send("POST", f"/api/v1/records/{record.rid}/withdrawal", {"reason": reason}, head)

    async def _send(
        self, method: str, path: str, fields: Mapping[str, Any], headers: Mapping[str, str]
    ) -> Record:
        return await self.verified(await self._request(method, path, fields, headers))

    async def _request(
        self, method: str, path: str, fields: Mapping[str, Any], headers: Mapping[str, str]
    ) -> dict[str, Any]:
        base = (await self._info()).public_url
        answer = await self._http.send(method, base, path, fields, headers=headers, again=True)
        return await answer.read(dict)
