"""Who tells a sharer how many copies there are: the registrar that took the dataset, or its mirrors."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

from seedkeep.core.errors import Error, Unreachable
from seedkeep.record_document import Record
from seedkeep.registrar_client import RegistrarClient


class CopiesWatch:
    """Asks for a record as it is now, and goes on asking elsewhere while its registrar is down.

    Args:
        client: the registrar that took it.
        mirrors: finds the registrars that mirror it.
        note: is told when it falls silent, and who answers instead.
    """

    def __init__(
        self,
        client: RegistrarClient,
        mirrors: Callable[[RegistrarClient], Awaitable[Sequence[RegistrarClient]]],
        note: Callable[[str], None],
    ) -> None:
        self._client = client
        self._mirrors = mirrors
        self._note = note
        self._said = ""

    async def ask(self, rid: str) -> Record | None:
        """The record with its copies; None while nobody answers.

        Raises:
            TaintedRecord, WithdrawnRecord: as its own registrar says.
        """
        try:
            record = await self._client.record(rid)
        except Unreachable as error:
            return await self._ask_mirrors(rid, error)
        self._said = ""
        return record

    async def _ask_mirrors(self, rid: str, failure: Unreachable) -> Record | None:
        for mirror in await self._mirrors(self._client):
            with suppress(Error):
                record = await mirror.record(rid)
                self._say(f"{failure.what}; its mirror {mirror.url} tells of the copies")
                return record
        self._say(f"{failure.what}; seeding goes on")
        return None

    def _say(self, what: str) -> None:
        if what != self._said:
            self._note(what)
        self._said = what
