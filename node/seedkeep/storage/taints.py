"""What the registrars of a node have tainted, remembered over restarts.

For each registrar there is one :class:`seedkeep.core.taints.trusted.TrustedTaints`. A list is on the disk, under its
digest, before the head that names it is stored; so head and list are always found together, and a head never
goes back, not even by a restart. Every registrar that a node serves binds it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from seedkeep.core.errors import Error, NoSpace, VerificationFailed
from seedkeep.core.notes import Verifier
from seedkeep.core.taints.body import SubjectKind
from seedkeep.core.taints.entry import Entry
from seedkeep.core.taints.head import Head
from seedkeep.core.taints.trusted import Freshness, TrustedTaints
from seedkeep.storage.database import Acquaintance
from seedkeep.storage.layout import Layout, write_durably
from seedkeep.storage.model import Registrar
from seedkeep.storage.pledge import Pledge
from seedkeep.storage.problems import Problems
from seedkeep.storage.state import State


@dataclass(frozen=True, slots=True)
class Taint:
    """A standing entry, and the registrar that has it."""

    registrar: str
    entry: Entry


class Taints:
    """All registrars' taints.

    Args:
        now: Unix seconds.
    """

    def __init__(
        self,
        state: State,
        layout: Layout,
        pledge: Pledge,
        problems: Problems,
        now: Callable[[], float],
    ) -> None:
        self._state = state
        self._layout = layout
        self._pledge = pledge
        self._problems = problems
        self._now = now
        self._trusted: dict[str, TrustedTaints] = {}
        self._damaged: dict[str, Head] = {}
        self._turn = asyncio.Lock()

    async def restore(self) -> None:
        """Take back what is stored; a list that is damaged is fetched again, its head is not forgotten."""
        for known in self._state.registrars.values():
            verifier = Verifier.parse(known.vkey)
            try:
                self._trusted[known.url] = await asyncio.to_thread(self._restored, verifier, known.taint_head)
            except (Error, OSError) as error:
                self._problems.tell(
                    f"taints of {known.url}", f"The stored taint list of {known.url} is damaged: {error}"
                )
                self._trusted[known.url] = TrustedTaints(verifier)
                with contextlib.suppress(Error):
                    self._damaged[known.url] = Head.open(known.taint_head, verifier)

    def _restored(self, verifier: Verifier, note: str) -> TrustedTaints:
        if not note:
            return TrustedTaints(verifier)
        # The head names its list in its fifth line; restore() checks the signature and the digest.
        return TrustedTaints.restore(
            verifier, note, self._layout.taint_list(note.split("\n")[4]).read_bytes()
        )

    async def meet(self, url: str, verifier: Verifier) -> None:
        """Start to trust a registrar's key, or check that it is still the same.

        Raises:
            VerificationFailed: it has another key than before.
        """
        known = self._state.registrars.get(url)
        if known is None:
            await self._state.put_registrar(Acquaintance(url, str(verifier)))
            self._trusted[url] = TrustedTaints(verifier)
        elif known.vkey != str(verifier):
            raise VerificationFailed(
                f"the registrar {url} shows another key than before",
                hint="Ask its operator; data and taints of the old key stay as they are.",
            )

    def version(self, url: str) -> tuple[int, int] | None:
        """(version, log size) of the trusted head."""
        trusted = self._trusted.get(url)
        return (trusted.head.version, trusted.head.log_size) if trusted and trusted.head else None

    async def take(self, client: Registrar, note: str) -> bool:
        """Take a head that a registrar sent; fetch its list if that has changed.

        Returns:
            Whether other things are tainted than before.

        Raises:
            Error: the head or list breaks a rule (what is trusted stays), or cannot be had.
        """
        async with self._turn:
            trusted = self._trusted[client.url]
            self._not_before(client.url, note)
            now = self._now()
            before = {e.id for e in trusted.entries if e.stands(now)}
            if trusted.load_head(note, now=now):
                _, sep, tail = note.partition("\n")
                digest = tail.split("\n")[3] if sep else ""
                data = await client.taint_list(digest)
                await asyncio.to_thread(trusted.load_list, data)
                await self._keep(client.url, trusted, data)
            elif trusted.dump()[0] != self._state.registrars[client.url].taint_head:
                await self._keep(client.url, trusted, None)
            return {e.id for e in trusted.entries if e.stands(now)} != before

    def _not_before(self, url: str, note: str) -> None:
        """Hold a registrar to the last stored head, even when the list that belongs to it was damaged."""
        last = self._damaged.get(url)
        if last is None:
            return
        head = Head.open(note, Verifier.parse(self._state.registrars[url].vkey))
        if head.version < last.version or head.log_size < last.log_size:
            raise VerificationFailed(
                f"the taint head of {url} went back from version {last.version} to {head.version}"
            )

    async def _keep(self, url: str, trusted: TrustedTaints, data: bytes | None) -> None:
        old = self._state.registrars[url]
        note, _ = trusted.dump()
        head = trusted.head
        if head is None:  # pragma: no cover - a head was just loaded
            return
        place = self._layout.taint_list(head.list_sha256)
        try:
            if data is not None or not place.exists():
                kept = trusted.dump()[1] if data is None else data
                async with self._pledge.turn:
                    size = len(kept) + 8192
                    await asyncio.to_thread(self._pledge.require, size, f"the taint list of {url}")
                    await asyncio.to_thread(write_durably, place, kept)
        except NoSpace as error:
            # It is obeyed all the same; only a restart would have to fetch it again.
            self._problems.tell(f"taints of {url}", f"A taint list cannot be stored: {error}")
            return
        await self._state.put_registrar(Acquaintance(url, old.vkey, note))
        self._damaged.pop(url, None)
        self._problems.clear(f"taints of {url}")
        await asyncio.to_thread(self._sweep)

    def _sweep(self) -> None:
        """Remove lists that no stored head names."""
        named = {r.taint_head.split("\n")[4] for r in list(self._state.registrars.values()) if r.taint_head}
        for path in (self._layout.root / "taints").iterdir():
            if path.name not in named:
                with contextlib.suppress(OSError):
                    path.unlink()

    def standing(self, content_id: str, rids: Iterable[str], roots: Iterable[str]) -> list[Taint]:
        """The taints in force on a dataset that forbid to pass it on, of all registrars."""
        rids, roots, now = list(rids), list(roots), self._now()
        return [
            Taint(url, entry)
            for url, trusted in self._trusted.items()
            for entry in trusted.standing(content_id=content_id, rids=rids, roots=roots, now=now)
            if entry.effect.withholds
        ]

    def roots(self) -> set[str]:
        """All pieces roots that a taint forbids to pass on."""
        now = self._now()
        return {
            entry.subject.value
            for trusted in self._trusted.values()
            for entry in trusted.entries
            if entry.subject.kind is SubjectKind.ROOT and entry.effect.withholds and entry.stands(now)
        }

    def freshness(self, url: str) -> Freshness:
        """What the age of a registrar's head still allows."""
        trusted = self._trusted.get(url)
        return trusted.freshness(now=self._now()) if trusted else Freshness.NO_CLAIMS

    def watch_age(self, url: str) -> Freshness:
        """The same, and say so when it is not fresh."""
        fresh = self.freshness(url)
        told = {
            Freshness.ALARM: "its taint head has expired; it may be withheld from this node",
            Freshness.NO_CLAIMS: "no valid taint head of it is at hand, so nothing new is taken from it",
            Freshness.NO_SERVING: "its taint head expired a week ago, so its datasets are not served",
        }.get(fresh)
        if told:
            self._problems.tell(f"freshness of {url}", f"Registrar {url}: {told}.")
        else:
            self._problems.clear(f"freshness of {url}")
        return fresh
