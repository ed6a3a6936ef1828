"""What registrars have tainted, remembered over restarts.

For each there is one :class:`~seedkeep.core.taints.trusted.TrustedTaints`. A list is on the disk, under its
digest, before the head that names it is stored; so head and list are always found together, and a head never
goes back, not even by a restart.

Besides the registrars that a node serves it hears others, by the heads that those pass on: each must be
signed by a key that was pinned before, and its list may come from anyone who has it, for the head names its
digest. Whom a taint binds is :mod:`seedkeep.core.taints.duty`'s business.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable, Collection, Iterable

from seedkeep.core.errors import Error, NoSpace, VerificationFailed
from seedkeep.core.notes import Verifier
from seedkeep.core.taints.body import Subject, SubjectKind
from seedkeep.core.taints.duty import NONE, Duty, Told, duty
from seedkeep.core.taints.head import Head
from seedkeep.core.taints.trusted import Freshness, TrustedTaints
from seedkeep.storage.database import Acquaintance, Authority
from seedkeep.storage.layout import Layout, write_durably
from seedkeep.storage.model import Claim, Registrar
from seedkeep.storage.pledge import Pledge
from seedkeep.storage.problems import Problems
from seedkeep.storage.state import State

#: registrars whose taints are heard besides those that are served
MOST_AUTHORITIES = 64
_AGREED = "agreed taints"


class Taints:
    """All registrars' taints.

    Args:
        served: URLs of the registrars that the node serves, and of mirrors that stand in for one of them.
        agreement: how many authorities must agree on what neither a served one nor a home orders.
        now: Unix seconds.
    """

    def __init__(
        self,
        state: State,
        layout: Layout,
        pledge: Pledge,
        problems: Problems,
        now: Callable[[], float],
        *,
        served: Collection[str] = (),
        agreement: int = 2,
    ) -> None:
        self._state = state
        self._layout = layout
        self._pledge = pledge
        self._problems = problems
        self._now = now
        self._served = served
        self._agreement = agreement
        self._verifiers: dict[str, Verifier] = {}
        self._trusted: dict[str, TrustedTaints] = {}
        self._damaged: dict[str, Head] = {}
        self._origins: dict[str, str] = {}
        self._told: dict[str, frozenset[str]] = {}
        self._about: dict[Subject, list[Told]] = {}
        self._roots: frozenset[str] = frozenset()
        self._agreed: set[tuple[str, str]] = set()
        self._turn = asyncio.Lock()

    async def restore(self) -> None:
        """Take back what is stored; a list that is damaged is fetched again, its head is not forgotten."""
        self._agreed = {(origin, entry) for origin, entry in json.loads(self._state.fact(_AGREED, "[]"))}
        known = [(a.vkey, a.taint_head) for a in self._state.authorities.values()]
        for one in self._state.registrars.values():
            self._origins[one.url] = Verifier.parse(one.vkey).name
            known.append((one.vkey, one.taint_head))
        for vkey, note in known:
            verifier = Verifier.parse(vkey)
            origin = verifier.name
            self._verifiers[origin] = verifier
            try:
                self._trusted[origin] = await asyncio.to_thread(self._restored, verifier, note)
            except (Error, OSError) as error:
                self._problems.tell(
                    f"taints of {origin}", f"The stored taint list of {origin} is damaged: {error}"
                )
                self._trusted[origin] = TrustedTaints(verifier)
                with contextlib.suppress(Error):
                    self._damaged[origin] = Head.open(note, verifier)
            # What stands at the start is obeyed at the start; to be told is what differs from it.
            entries, now = self._trusted[origin].entries, self._now()
            self._told[origin] = frozenset(e.id for e in entries if e.stands(now))
        await self._sort()

    def _restored(self, verifier: Verifier, note: str) -> TrustedTaints:
        if not note:
            return TrustedTaints(verifier)
        # The head names its list in its fifth line; restore() checks the signature and the digest.
        return TrustedTaints.restore(
            verifier, note, self._layout.taint_list(note.split("\n")[4]).read_bytes()
        )

    async def meet(self, url: str, verifier: Verifier, *, former: Collection[Verifier] = ()) -> None:
        """Start to trust a registrar's key, or check that it is still the same.

        Args:
            former: keys that it had before and has replaced, as the client has verified.

        Raises:
            VerificationFailed: it has another key than before.
        """
        known, origin = self._state.registrars.get(url), verifier.name
        if known is None:
            heard = self._state.authorities.get(origin)
            same = heard is not None and heard.vkey == str(verifier)
            note = heard.taint_head if heard and same else ""
            await self._state.put_registrar(Acquaintance(url, str(verifier), note))
            # What it shows itself counts more than what another registrar has told of it.
            if not same:
                self._trusted[origin] = TrustedTaints(verifier)
            self._origins[url], self._verifiers[origin] = origin, verifier
        elif known.vkey != str(verifier) and known.vkey in map(str, former):
            # Stored with the first head under the new key; until then each start finds the old one.
            self._trusted[origin].rotate(verifier)
            self._damaged.pop(origin, None)
            self._verifiers[origin] = verifier
        elif known.vkey != str(verifier):
            raise VerificationFailed(
                f"the registrar {url} shows another key than before",
                hint="Ask its operator; data and taints of the old key stay as they are.",
            )

    async def pin(self, verifiers: Iterable[Verifier]) -> None:
        """Hear the taints of these registrars too; a key that was pinned before stays."""
        for verifier in verifiers:
            origin = verifier.name
            pinned = self._verifiers.get(origin)
            if pinned is None and len(self._state.authorities) < MOST_AUTHORITIES:
                await self._state.put_authority(Authority(origin, str(verifier)))
                self._verifiers[origin], self._trusted[origin] = verifier, TrustedTaints(verifier)
            elif pinned is not None and pinned != verifier:
                what = f"{origin} is said to have another key than before; the first one counts."
                self._problems.tell(f"key of {origin}", what)

    def version(self, url: str) -> tuple[int, int] | None:
        """(version, log size) of the trusted head."""
        trusted = self._trusted.get(self._origins.get(url, ""))
        return (trusted.head.version, trusted.head.log_size) if trusted and trusted.head else None

    async def hear(self, client: Registrar, notes: Iterable[str]) -> bool:
        """Take the heads of other registrars that ``client`` passes on; what is no news is passed over.

        Returns:
            Whether other things are tainted than before.
        """
        changed = False
        for note in list(notes)[:MOST_AUTHORITIES]:
            origin = _line(note, 1)
            if origin not in self._trusted:
                continue
            try:
                changed |= await self._hear(client, origin, note)
            except Error as error:
                self._problems.tell(f"head of {origin}", f"A taint head was not taken: {error}")
            else:
                self._problems.clear(f"head of {origin}")
        return changed

    async def _hear(self, client: Registrar, origin: str, note: str) -> bool:
        head, known = Head.open(note, self._verifiers[origin]), self._trusted[origin].head
        # A mirror may lag behind, and what it has of a registrar that is down grows old.
        if head.expires <= self._now() or (
            known is not None and _age(head) <= _age(known) and head.list_sha256 == known.list_sha256
        ):
            return False
        if known is not None and (head.version, head.log_size) < (known.version, known.log_size):
            return False
        return await self._take(client, origin, note)

    async def take(self, client: Registrar, note: str) -> bool:
        """Take a head that a registrar sent; fetch its list if that has changed.

        Returns:
            Whether other things are tainted than before.

        Raises:
            Error: the head or list breaks a rule (what is trusted stays), or cannot be had.
        """
        return await self._take(client, self._origins[client.url], note)

    async def _take(self, client: Registrar, origin: str, note: str) -> bool:
        async with self._turn:
            trusted = self._trusted[origin]
            self._not_before(origin, note)
            now = self._now()
            if trusted.load_head(note, now=now):
                data = await client.taint_list(_line(note, 4))
                await asyncio.to_thread(trusted.load_list, data)
                await self._sort()
                await self._keep(origin, trusted, data)
            elif trusted.dump()[0] not in self._stored(origin):
                await self._keep(origin, trusted, None)
            # Not told yet is also what was taken but could not be stored at once.
            standing = frozenset(e.id for e in trusted.entries if e.stands(now))
            before, self._told[origin] = self._told.get(origin, frozenset()), standing
            return standing != before

    def _not_before(self, origin: str, note: str) -> None:
        """Hold a registrar to the last stored head, even when the list that belongs to it was damaged."""
        last = self._damaged.get(origin)
        if last is None:
            return
        head = Head.open(note, self._verifiers[origin])
        if head.version < last.version or head.log_size < last.log_size:
            raise VerificationFailed(
                f"the taint head of {origin} went back from version {last.version} to {head.version}"
            )

    async def _sort(self) -> None:
        """Find entries by what they are about, however many there are."""

        def work() -> dict[Subject, list[Told]]:
            about: dict[Subject, list[Told]] = {}
            for origin, trusted in self._trusted.items():
                for entry in trusted.entries:
                    if not entry.lifted:
                        about.setdefault(entry.subject, []).append(Told(origin, entry))
            return about

        self._about = await asyncio.to_thread(work)
        self._roots = frozenset(s.value for s in self._about if s.kind is SubjectKind.ROOT)

    def _stored(self, origin: str) -> set[str]:
        """The notes that are stored of a registrar."""
        notes = {r.taint_head for url, r in self._state.registrars.items() if self._origins[url] == origin}
        other = self._state.authorities.get(origin)
        return notes if notes or other is None else {other.taint_head}

    async def _keep(self, origin: str, trusted: TrustedTaints, data: bytes | None) -> None:
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
                    await asyncio.to_thread(self._pledge.require, size, f"the taint list of {origin}")
                    await asyncio.to_thread(write_durably, place, kept)
        except NoSpace as error:
            # It is obeyed all the same; only a restart would have to fetch it again.
            self._problems.tell(f"taints of {origin}", f"A taint list cannot be stored: {error}")
            return
        vkey = str(self._verifiers[origin])
        for url, known in self._origins.items():
            if known == origin:
                await self._state.put_registrar(Acquaintance(url, vkey, note))
        if origin in self._state.authorities:
            await self._state.put_authority(Authority(origin, vkey, note))
        self._damaged.pop(origin, None)
        self._problems.clear(f"taints of {origin}")
        await asyncio.to_thread(self._sweep)

    def _sweep(self) -> None:
        """Remove lists that no stored head names."""
        notes = [r.taint_head for r in list(self._state.registrars.values())]
        notes += [a.taint_head for a in list(self._state.authorities.values())]
        named = {_line(note, 4) for note in notes}
        for path in (self._layout.root / "taints").iterdir():
            if path.name not in named:
                with contextlib.suppress(OSError):
                    path.unlink()

    async def agree(self, told: Collection[Told]) -> bool:
        """A registrar that is served, or stands in, obeys these entries of others: so does this node.

        Returns:
            Whether that is news.
        """
        new = {(t.origin, t.entry.id) for t in told} - self._agreed
        if new:
            heard = {(t.origin, t.entry.id) for about in self._about.values() for t in about}
            self._agreed = (self._agreed & heard) | new
            await self._state.put_fact(_AGREED, json.dumps(sorted(self._agreed)))
        return bool(new)

    def duty(
        self,
        content_id: str,
        *,
        rids: Iterable[str] = (),
        claims: Collection[Claim] = (),
        marked: Iterable[str] = (),
        roots: int = 0,
    ) -> Duty:
        """What is to be done with a dataset.

        Args:
            rids: of its records, besides those of the claims.
            claims: of any registrar; what they were made for may order as well.
            marked: its pieces roots, or those of them that are in :attr:`roots`.
            roots: how many different ones it has; 0 while that is not known.
        """
        if not self._about:
            return NONE
        subjects = {Subject(SubjectKind.CONTENT, content_id)}
        subjects |= {Subject(SubjectKind.RECORD, rid) for rid in (*rids, *(c.rid for c in claims)) if rid}
        subjects |= {Subject(SubjectKind.ROOT, root) for root in marked if root}
        told = [t for subject in subjects for t in self._about.get(subject, ())]
        if not told:
            return NONE
        homes = {c.home for c in claims} | {self._origins.get(c.registrar, "") for c in claims}
        homes |= {t.origin for t in told if (t.origin, t.entry.id) in self._agreed}
        served = {self._origins.get(url, "") for url in self._served}
        now = self._now()
        return duty(told, now=now, served=served, homes=homes, agreement=self._agreement, roots=roots)

    @property
    def roots(self) -> frozenset[str]:
        """All pieces roots that any authority's taint is about."""
        return self._roots

    def receivers(self, origin: str, claims: Iterable[Claim]) -> list[str]:
        """URLs of the registrars that are told how this registrar's taint was obeyed: itself, or those that
        the dataset is held for when this node does not serve it."""
        own = [url for url in self._served if self._origins.get(url) == origin]
        return own or [c.registrar for c in claims if c.registrar in self._served]

    def freshness(self, url: str) -> Freshness:
        """What the age of a registrar's head still allows."""
        trusted = self._trusted.get(self._origins.get(url, ""))
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


def _line(note: str, number: int) -> str:
    """A line of a note, from 0; "" when there is none."""
    lines = note.split("\n", number + 1)
    return lines[number] if len(lines) > number else ""


def _age(head: Head) -> tuple[int, int, int]:
    return head.version, head.log_size, head.expires
