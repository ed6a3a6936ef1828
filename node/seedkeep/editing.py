"""Changing what is said of a record, withdrawing, moving it: by its steward's signature, or the registrar's.

A steward signs with the key of this machine, so that nobody has to trust a registrar that it was them.
Everybody else (curators, people whose account may) asks the record's registrar, which decides, signs and
names them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from seedkeep.core.errors import Conflict, Refused, UsageError
from seedkeep.core.events import sign_event
from seedkeep.core.keys import PrivateKey
from seedkeep.core.revision import (
    REHOME,
    REVISION,
    WITHDRAWAL,
    RecordState,
    RehomeBody,
    RevisionBody,
    WithdrawalBody,
)
from seedkeep.message_fields import utc
from seedkeep.record_document import Record
from seedkeep.registrar_client import RegistrarClient
from seedkeep.resolve import Resolved


@dataclass(frozen=True, slots=True)
class Step:
    """One event of a record, for people."""

    seq: int
    type: str
    created: str
    by: str
    editor: str
    note: str
    changes: list[dict[str, Any]]


def history(record: Record) -> list[Step]:
    """What happened to a record, from its verified events, oldest first."""
    before = [None, *record.states[:-1]]
    return [_step(state, last) for state, last in zip(record.states, before, strict=True)]


def _step(state: RecordState, before: RecordState | None) -> Step:
    event, editor = state.head, state.editor
    return Step(
        seq=event.seq,
        type=event.type,
        created=event.created,
        by=event.by,
        editor=(editor.name or editor.account) if editor else "",
        note=state.note,
        changes=[asdict(change) for change in state.changes_since(before)] if before else [],
    )


@dataclass(frozen=True)
class Editing:
    """What editing needs of the world.

    Args:
        key: this machine's.
        now: Unix seconds.
    """

    key: PrivateKey
    now: Callable[[], float]

    async def revise(
        self, found: Resolved, change: Callable[[RecordState], dict[str, Any]], note: str
    ) -> Record:
        """Make a revision; the record as it is then. What changes nothing makes none.

        Args:
            change: from the present state to new values of ``metadata``, ``web_seeds``, ``copies``,
                ``stewards``.

        Raises:
            InvalidInput: what is to be said is malformed.
            Conflict: the record has changed meanwhile.
            Refused: this key's owner may not change it.
        """
        client, record = await _at_home(found)
        state = record.state
        body = state.revision(note=note, **await asyncio.to_thread(change, state))
        body = RevisionBody.parse(body.encode())
        if body == state.revision(note=note):
            return record
        if self._is_steward(state):
            return await self._sign(client, state, REVISION, body.encode())
        fields: dict[str, Any] = {
            "metadata": body.metadata.encode(),
            "web_seeds": list(body.web_seeds),
            "copies": body.copies,
            "stewards": list(body.stewards),
            "note": note,
        }
        return await client.chains.edit(record, fields)

    async def withdraw(self, found: Resolved, reason: str) -> Record:
        """Withdraw a record, for good; raises as :meth:`revise`."""
        client, record = await _at_home(found)
        body = WithdrawalBody.parse(WithdrawalBody(reason).encode())
        if self._is_steward(record.state):
            return await self._sign(client, record.state, WITHDRAWAL, body.encode())
        return await client.chains.withdraw(record, reason)

    async def rehome(self, found: Resolved, to: RegistrarClient, reason: str) -> Record:
        """Make another registrar a record's home, where it is changed from now on.

        Args:
            to: that one; it must mirror the record already.

        Raises:
            NotFound: it does not.
            Conflict: it does not know of the last changes yet.
            Refused: this key is no steward's, or the registrar takes no records of this one.
        """
        if found.record is None:
            raise UsageError("no registrar knows this torrent, so nothing can be moved")
        record = await to.chains.read(found.record.rid)
        state, origin = record.state, (await to.info()).origin
        if state.home == origin:
            return record
        if state.head.seq < found.record.state.head.seq:
            raise Conflict(
                f"{to.url} does not know of the last changes of {record.ark} yet",
                hint="Try again in a minute.",
            )
        if not self._is_steward(state):
            raise Refused(
                f"only a steward can give {record.ark} another home, and this machine's key is none",
                hint="Do it on the machine from which it was shared, or ask its steward.",
            )
        body = RehomeBody(state.home, origin, reason).encode()
        created = utc(self.now())
        event = sign_event(self.key, type=REHOME, body=body, home=origin, created=created, after=state.head)
        return await to.chains.add(event, body)

    def _is_steward(self, state: RecordState) -> bool:
        return str(self.key.public) in state.stewards

    async def _sign(self, client: RegistrarClient, state: RecordState, kind: str, body: bytes) -> Record:
        created = utc(self.now())
        event = sign_event(self.key, type=kind, body=body, home=state.home, created=created, after=state.head)
        return await client.chains.add(event, body)


async def _at_home(found: Resolved) -> tuple[RegistrarClient, Record]:
    """The record with a client of its own registrar, which alone takes changes.

    Raises:
        UsageError: no registrar answered. Refused: another one did.
    """
    if found.record is None or found.client is None:
        raise UsageError(
            "only a record of a registrar that answers can be changed",
            hint="Try again later, or name its registrar with --registrar.",
        )
    if (await found.client.info()).origin != found.record.state.home:
        raise Refused(
            f"{found.record.ark} belongs to {found.record.state.home}, not to {found.client.url}",
            hint="Name its own registrar with --registrar.",
        )
    return found.client, found.record
