"""What a node must not forget: one small SQLite database, one connection, one thread.

Everything survives ``kill -9`` and loss of power at any moment: WAL with ``synchronous=FULL``, one
transaction per change, and every change on disk is announced here before it is made. A dataset's way:

    (offer) → RESERVED → CLAIMED → DOWNLOADING → VERIFYING → COMPLETE
                  │          │           ▲   │       │ ▲         │
                  │          │           └───┼───────┘ └─────────┤  bad bytes: fetched again
                  ▼          ▼               ▼                   ▼
                  └──────────┴──────────► REMOVING ◄─────────────┘ → (gone)

* RESERVED: its share of the pledge is taken. Nothing is on disk.
* CLAIMED: the registrar has granted a lease. Manifest and layers may be on disk, in part.
* DOWNLOADING: manifest and layers are on disk, whole and checked. Any of the files may be, in part.
* VERIFYING: the engine has had every piece; every file is being read once against the manifest.
* COMPLETE: all files were right, and are flushed to the disk. Attestations are in the outbox.
* REMOVING: it is not served any more, its files may be gone in part. After a crash the removal goes on.
  When its row goes, its receipts enter the outbox in the same transaction.

So after a crash each row says all that may be on disk, and its reservation covers it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from seedkeep.core.errors import Error, NoSpace
from seedkeep.storage.database import Acquaintance, Authority, Database, Loaded
from seedkeep.storage.model import Claim, Holding, Letter, Phase, SharedFolder

T = TypeVar("T")

MOVES: Mapping[Phase, frozenset[Phase]] = {
    Phase.RESERVED: frozenset({Phase.CLAIMED, Phase.REMOVING}),
    Phase.CLAIMED: frozenset({Phase.DOWNLOADING, Phase.REMOVING}),
    Phase.DOWNLOADING: frozenset({Phase.VERIFYING, Phase.REMOVING}),
    Phase.VERIFYING: frozenset({Phase.COMPLETE, Phase.DOWNLOADING, Phase.REMOVING}),
    Phase.COMPLETE: frozenset({Phase.DOWNLOADING, Phase.REMOVING}),
    Phase.REMOVING: frozenset(),
}


class State:
    """The database behind its thread, and a copy of its rows in memory that never runs ahead of the disk.

    Every method that changes something returns once it is durable. Reads are from memory, but for the
    outbox.

    Args:
        on_letter: called when something new is in the outbox.
        make_room: called, in a thread, when the disk is full; True when a second try may succeed.
    """

    def __init__(
        self,
        path: Path,
        *,
        on_letter: Callable[[], None] = lambda: None,
        make_room: Callable[[], bool] = lambda: False,
    ) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="state")
        self._path = path
        self._on_letter = on_letter
        self._make_room = make_room
        self._database: Database | None = None
        self._rows = Loaded()

    async def open(self) -> None:
        """Load everything. Raises Error when the database is not usable."""

        def work() -> tuple[Database, Loaded]:
            database = Database(self._path)
            return database, database.load()

        self._database, self._rows = await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def close(self) -> None:
        """Close the database and end its thread. Idempotent."""
        if self._database is not None:
            database, self._database = self._database, None
            await asyncio.get_running_loop().run_in_executor(self._thread, database.close)
        self._thread.shutdown(wait=False)

    async def _do(self, work: Callable[[Database], T], then: Callable[[], None] = lambda: None) -> T:
        if self._database is None:
            raise Error("the node's state is closed")
        job = asyncio.get_running_loop().run_in_executor(self._thread, self._try, work, self._database)
        try:
            result = await asyncio.shield(job)
        except asyncio.CancelledError:
            # The transaction goes on in its thread: memory must follow it all the same.
            await asyncio.wait([job])
            if not job.cancelled() and job.exception() is None:
                then()
            raise
        then()
        return result

    def _try(self, work: Callable[[Database], T], database: Database) -> T:
        try:
            return work(database)
        except NoSpace:
            if not self._make_room():
                raise
        return work(database)

    def _announce(self, letters: tuple[Letter, ...]) -> None:
        if letters:
            self._on_letter()

    @property
    def holdings(self) -> Mapping[str, Holding]:
        """All datasets, by content id."""
        return self._rows.holdings

    @property
    def registrars(self) -> Mapping[str, Acquaintance]:
        """Known registrars, by URL."""
        return self._rows.registrars

    @property
    def authorities(self) -> Mapping[str, Authority]:
        """Other registrars whose taints are heard, by origin."""
        return self._rows.authorities

    @property
    def shared(self) -> Mapping[str, SharedFolder]:
        """Folders seeded in place, by content id."""
        return self._rows.shared

    def fact(self, name: str, default: str = "") -> str:
        """One small thing by name."""
        return self._rows.facts.get(name, default)

    def claim(self, content_id: str, registrar: str) -> Claim | None:
        """One registrar's claim."""
        return self._rows.claims.get((content_id, registrar))

    def claims_on(self, content_id: str) -> list[Claim]:
        """All registrars' claims on one dataset."""
        return [c for url in self.registrar_urls() if (c := self._rows.claims.get((content_id, url)))]

    def claims_by(self, registrar: str) -> list[Claim]:
        """All claims of one registrar."""
        return [c for c in self._rows.claims.values() if c.registrar == registrar]

    def registrar_urls(self) -> list[str]:
        """URLs of all registrars that are known."""
        return list(self._rows.registrars)

    async def put_fact(self, name: str, value: str) -> None:
        """Remember one small thing by name."""
        await self._do(lambda db: db.put_fact(name, value), lambda: self._rows.facts.update({name: value}))

    async def reserve(self, holding: Holding, claim: Claim) -> None:
        """A new dataset, RESERVED, with the claim that is about to be asked for."""
        if holding.content_id in self.holdings or holding.phase is not Phase.RESERVED:
            raise Error(f"dataset {holding.content_id[:12]}… cannot be reserved")
        await self._put(holding, (claim,), ())

    async def move(
        self,
        content_id: str,
        phase: Phase,
        *,
        claims: Iterable[Claim] = (),
        letters: Iterable[Letter] = (),
        **changes: Any,
    ) -> Holding:
        """Take a dataset to its next phase, with all that belongs to that step.

        Raises:
            Error: it is not there, or there is no such move.
        """
        old = self.holdings.get(content_id)
        if old is None or phase not in MOVES[old.phase]:
            raise Error(
                f"dataset {content_id[:12]}… cannot become {phase}: {old.phase if old else 'unknown'}"
            )
        new = replace(old, phase=phase, **changes)
        await self._put(new, tuple(claims), tuple(letters))
        return new

    async def amend(self, content_id: str, *, letters: Iterable[Letter] = (), **changes: Any) -> Holding:
        """Change a dataset's row within its phase, with letters that belong to that step."""
        new = replace(self.holdings[content_id], **changes)
        await self._put(new, (), tuple(letters))
        return new

    async def _put(self, holding: Holding, claims: tuple[Claim, ...], letters: tuple[Letter, ...]) -> None:
        def then() -> None:
            self._rows.holdings[holding.content_id] = holding
            self._rows.claims.update({(c.content_id, c.registrar): c for c in claims})
            self._announce(letters)

        await self._do(lambda db: db.put_holding(holding, claims=claims, letters=letters), then)

    async def gone(self, content_id: str, *, letters: Iterable[Letter] = ()) -> None:
        """A dataset's files are removed: forget it and its claims, and put ``letters`` into the outbox.

        Raises:
            Error: it is not REMOVING.
        """
        if self.holdings[content_id].phase is not Phase.REMOVING:
            raise Error(f"dataset {content_id[:12]}… is not being removed")
        sent = tuple(letters)

        def then() -> None:
            self._rows.holdings.pop(content_id, None)
            for pair in [p for p in self._rows.claims if p[0] == content_id]:
                del self._rows.claims[pair]
            self._announce(sent)

        await self._do(lambda db: db.drop_holding(content_id, letters=sent), then)

    async def put_claims(self, claims: Iterable[Claim], *, letters: Iterable[Letter] = ()) -> None:
        """Add or renew claims on datasets that are there."""
        known = [c for c in claims if c.content_id in self.holdings]
        sent = tuple(letters)

        def then() -> None:
            self._rows.claims.update({(c.content_id, c.registrar): c for c in known})
            self._announce(sent)

        if known or sent:
            await self._do(lambda db: db.put_claims(known, letters=sent), then)

    async def drop_claim(self, content_id: str, registrar: str, *, letters: Iterable[Letter] = ()) -> None:
        """One registrar's claim is over; the dataset stays for the others."""
        sent = tuple(letters)

        def then() -> None:
            self._rows.claims.pop((content_id, registrar), None)
            self._announce(sent)

        await self._do(lambda db: db.drop_claim(content_id, registrar, letters=sent), then)

    async def put_registrar(self, registrar: Acquaintance) -> None:
        """Remember a registrar's key and taint head."""
        await self._do(
            lambda db: db.put_registrar(registrar),
            lambda: self._rows.registrars.update({registrar.url: registrar}),
        )

    async def put_authority(self, authority: Authority) -> None:
        """Remember another registrar's key and taint head."""
        await self._do(
            lambda db: db.put_authority(authority),
            lambda: self._rows.authorities.update({authority.origin: authority}),
        )

    async def drop_registrar(self, url: str) -> None:
        """Forget a registrar that has no claims any more."""
        await self._do(
            lambda db: db.drop_registrar(url), lambda: (self._rows.registrars.pop(url, None), None)[1]
        )

    async def put_shared(self, folder: SharedFolder) -> None:
        """Remember a folder that is seeded in place."""
        await self._do(
            lambda db: db.put_shared(folder), lambda: self._rows.shared.update({folder.content_id: folder})
        )

    async def drop_shared(self, content_id: str) -> None:
        """Forget a folder that was seeded in place."""

        def then() -> None:
            self._rows.shared.pop(content_id, None)

        await self._do(lambda db: db.drop_shared(content_id), then)

    async def post(self, *letters: Letter) -> None:
        """Put letters into the outbox."""
        await self._do(lambda db: db.post(letters), lambda: self._announce(letters))

    async def letters(self, registrar: str) -> list[Letter]:
        """The oldest letters to one registrar, at most 100."""
        return await self._do(lambda db: db.letters(registrar))

    async def delivered(self, number: int) -> None:
        """A letter has arrived, or never will."""
        await self._do(lambda db: db.delivered(number))
