"""From a name to a verified record, with no single point of failure (decision 4).

Registrars are asked one after another (:mod:`seedkeep.registrar_chain`), then what is remembered. The first
that answers with something that *is* what was asked for wins; everything is verified against the name. Any of
them may mirror the record's home: the record is held to its home's pinned key. What was seen of a record is
never taken back: a mirror that lags, or pretends to, does not hide a revision or a withdrawal.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from seedkeep.core import identifiers
from seedkeep.core.errors import (
    Conflict,
    Error,
    InvalidInput,
    NotFound,
    Unreachable,
    VerificationFailed,
)
from seedkeep.core.identifiers import DIGESTS, Identifier, Kind
from seedkeep.core.manifest import Manifest
from seedkeep.core.metainfo import Metainfo, check_layers, info_v1, infohash_v1_of, read_metainfo
from seedkeep.core.near_names import typed_ark
from seedkeep.core.notes import Verifier
from seedkeep.core.paths import printable
from seedkeep.known import KnownRegistrars
from seedkeep.message_fields import usable_tracker, usable_web_seed
from seedkeep.record_cache import RecordCache, Saved
from seedkeep.record_document import Record
from seedkeep.record_manifest import check_manifest
from seedkeep.registrar_chain import RegistrarChain, nobody
from seedkeep.registrar_client import RegistrarClient
from seedkeep.registrar_http import TaintedRecord
from seedkeep.registrar_records import WithdrawnRecord
from seedkeep.versions import check_version

MAX_TORRENT_BYTES = 10_000_000
_MOST_MEANINGS = 20


@dataclass(frozen=True, slots=True)
class Resolved:
    """What a name means.

    Args:
        record: verified; None for a torrent file that no registrar knows.
        path: a file or directory in it, or "" for all.
        by_hash: the name was the md5 or SHA-256 of the file at ``path``.
        client: the registrar that answered; None when it comes from memory or a torrent file.
        registrar: the URL of the registrar that answered, now or when it was remembered; or "".
        torrent: the torrent file it came from, strictly read, and its bytes.
        keys: of the registrars that the record was held to.
        trackers, web_seeds, peers: where to get the bytes, all of them unverified hints.
    """

    record: Record | None
    path: str = ""
    by_hash: bool = False
    client: RegistrarClient | None = None
    registrar: str = ""
    torrent: tuple[Metainfo, bytes] | None = None
    keys: tuple[Verifier, ...] = ()
    trackers: tuple[str, ...] = ()
    web_seeds: tuple[str, ...] = ()
    peers: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Contents:
    """A record's three lists, verified against it and each other."""

    manifest: Manifest
    layers: bytes
    pieces_v1: bytes


def parse_name(text: str) -> Identifier:
    """Read a name as typed.

    Raises:
        NotFound: it is an ARK with a typing error, so nothing can have that name.
        InvalidInput, UsageError: it is no name.
    """
    try:
        return identifiers.parse(text)
    except InvalidInput as error:
        if "ark:" in text.lower():
            raise NotFound(error.what, hint=error.hint) from error
        raise


class Resolver:
    """Asks registrars, remembers what they said.

    Args:
        connect: makes a client for a registrar's URL that holds it to its pinned key.
        cache: what was resolved earlier.
        first: registrars given by hand.
        configured: registrars from the settings.
        neighbours: finds registrars on the local network; only asked when nobody else knew.
        known: registrars met before, and the peers that they have named.
        locate: finds the URL of a registrar that was given as a domain alone.
        patience: seconds that one registrar has to answer before the next is asked.
    """

    def __init__(
        self,
        connect: Callable[[str], RegistrarClient],
        cache: RecordCache,
        *,
        first: Sequence[str] = (),
        configured: Sequence[str] = (),
        neighbours: Callable[[], Awaitable[Sequence[str]]] | None = None,
        known: KnownRegistrars | None = None,
        locate: Callable[[str], Awaitable[str]] | None = None,
        patience: float = 30.0,
    ) -> None:
        self._patience = patience
        self._cache = cache
        self._chain = RegistrarChain(
            connect,
            first=first,
            configured=configured,
            neighbours=neighbours,
            known=known,
            locate=locate,
            patience=patience,
        )

    async def registrar(self) -> RegistrarClient:
        """The registrar to write to: the first of given, configured, local network and peers that answers.

        Raises:
            Unreachable: none does. UsageError: none is known.
        """
        return await self._chain.to_write()

    @property
    def preferred(self) -> Sequence[str]:
        """The registrars that were given or configured."""
        return (*self._chain.first, *self._chain.configured)

    async def meet(self, url: str) -> None:
        """Have a registrar show its key, which is pinned, or followed from the pinned one.

        Raises:
            VerificationFailed: it shows another. Unreachable: it does not answer.
        """
        await self._chain.client(url).info()

    async def mirrors(self, client: RegistrarClient) -> list[RegistrarClient]:
        """The peers of a registrar, which know its records when it is down."""
        return await self._chain.mirrors(client)

    async def resolve(self, text: str) -> Resolved:
        """Find out what a name means.

        Raises:
            NotFound: every registrar that answered does not know it.
            WithdrawnRecord: it is offered no more.
            TaintedRecord: it is tainted.
            VerificationFailed: a registrar's answer is not what was asked for, and nobody gave a right one.
            Unreachable: nobody could be asked, and it is not remembered.
            UsageError, InvalidInput: it is no name.
        """
        try:
            return await self.resolve_name(parse_name(text))
        except NotFound as error:
            if isinstance(error, WithdrawnRecord) or not typed_ark(text):
                raise
            raise NotFound(error.what, hint=await self._suggestion(text) or error.hint) from error

    async def meanings(self, name: Identifier) -> list[Resolved]:
        """Every record that a name means to the first registrar that knows it, at most 20.

        The records are verified; in which of their files a digest is found is that registrar's word.

        Raises:
            NotFound, TaintedRecord, Unreachable, UsageError: as :meth:`resolve`.
        """
        failure: Error | None = None
        async for url in self._chain.everybody(name.registrar, name.trackers):
            client = self._chain.client(url)
            try:
                async with asyncio.timeout(self._patience):
                    matches = await client.resolve(str(name))
                    records = [(await client.record(m.rid), m.path) for m in matches[:_MOST_MEANINGS]]
            except TimeoutError:
                failure = failure or Unreachable(f"the registrar {url} did not answer in time")
                continue
            except TaintedRecord:
                raise
            except Error as error:
                failure = failure or error
                continue
            if records:
                return [Resolved(r, path, client=client, registrar=client.url) for r, path in records]
        raise failure or NotFound(f"{name} is not known to any registrar that could be asked")

    async def _suggestion(self, text: str) -> str:
        """What a registrar takes a mistyped ARK for, in words; "" when none has an idea."""
        async for url in self._chain.near("", ()):
            with suppress(Error, TimeoutError):
                async with asyncio.timeout(self._patience):
                    if told := await self._chain.client(url).suggestion(text):
                        return told
        return ""

    async def resolve_name(self, name: Identifier) -> Resolved:
        """:meth:`resolve` for a name that is parsed already."""
        failures: list[Error] = []
        absent: list[str] = []
        await self._chain.settle()
        # Others than these may be anybody: of their word against a dataset counts only the home's.
        chosen = {*self._chain.first, *self._chain.configured, name.registrar}
        hearsay: dict[str, TaintedRecord] = {}
        gone: WithdrawnRecord | None = None
        async for url in self._chain.everybody(name.registrar, name.trackers):
            client = self._chain.client(url)
            try:
                async with asyncio.timeout(self._patience):
                    found = await self._ask(client, name)
            except TimeoutError:
                failures.append(
                    Unreachable(f"the registrar {url} did not answer in time", hint="Try again later.")
                )
                continue
            except TaintedRecord as error:
                if url in chosen:
                    raise
                hearsay[(await client.info()).origin] = error
                continue
            except WithdrawnRecord as error:
                if name.kind in (Kind.ARK, Kind.RID):
                    raise
                gone = gone or error  # another record may offer it still
                continue
            except Conflict as error:  # several datasets claim the name: nobody is to guess which
                if url in chosen:
                    raise
                failures.append(error)
                continue
            except Error as error:
                if url in chosen or not isinstance(error, VerificationFailed):
                    failures.append(error)
                continue
            if found is not None:
                return _heed(found, hearsay)
            absent.append(url)
        for failure in failures:
            if isinstance(failure, VerificationFailed):
                raise failure
        if gone is not None:
            raise gone
        remembered = None if absent and not failures else await self._remembered(name)
        if remembered is not None:
            return _heed(remembered, hearsay)
        if hearsay:
            raise next(iter(hearsay.values()))
        if absent:
            silent = f"; {len(failures)} more could not be asked" if failures else ""
            raise NotFound(
                f"{name} is not known to {', '.join(absent[:5])}{silent}",
                hint="Check the name, or name the registrar that has it with --registrar.",
            )
        raise failures[0] if failures else nobody()

    async def resolve_torrent(self, path: Path) -> Resolved:
        """Read a torrent file strictly, and find its record if any registrar knows it.

        Raises:
            HostileMetainfo, InvalidInput: it is not fit to be used; says why.
            TaintedRecord: its content is tainted.
        """
        data = await asyncio.to_thread(_read, path)
        meta = await asyncio.to_thread(read_metainfo, data)
        kind = Kind.CONTENT_ID if meta.version == 2 else Kind.INFOHASH_V1
        hints = Identifier(
            kind, meta.info_hash, trackers=meta.trackers, web_seeds=tuple(s for s in meta.web_seeds)
        )
        try:
            found = await self.resolve_name(hints)
        except TaintedRecord:
            raise
        except Error:
            found = _with_hints(Resolved(None), hints)
        return replace(found, torrent=(meta, data))

    async def contents(self, found: Resolved) -> Contents:
        """The lists of a record, from memory or its registrar.

        Raises:
            VerificationFailed: one is not what the record says, or they contradict each other.
            Unreachable: they are not remembered and the registrar does not answer.
        """
        record = _record_of(found)
        manifest = await self.manifest(found)
        layers = await self._list(found, record.dataset.piece_layers, "layers")
        pieces = await self._list(found, record.dataset.pieces_v1, "pieces_v1")

        def check() -> None:
            check_layers(manifest, layers)
            # the length was checked when the info dictionary is made
            if infohash_v1_of(info_v1(manifest, pieces)) != record.dataset.infohash_v1:
                raise VerificationFailed(
                    f"the v1 pieces of {record.ark} do not give the v1 info-hash that its record says"
                )

        await asyncio.to_thread(check)
        return Contents(manifest, layers, pieces)

    async def manifest(self, found: Resolved) -> Manifest:
        """The manifest alone; raises as :meth:`contents`."""
        record = _record_of(found)
        data = await asyncio.to_thread(self._cache.object, record.dataset.manifest)
        if data is not None:
            return await asyncio.to_thread(check_manifest, record, data)
        manifest = await self._online(found).manifest(record)
        await asyncio.to_thread(lambda: self._cache.keep_object(manifest.encode()))
        return manifest

    async def _list(self, found: Resolved, sha256: str, what: str) -> bytes:
        data = await asyncio.to_thread(self._cache.object, sha256)
        if data is None:
            client, record = self._online(found), _record_of(found)
            data = await (client.layers(record) if what == "layers" else client.pieces_v1(record))
            await asyncio.to_thread(self._cache.keep_object, data)
        return data

    def _online(self, found: Resolved) -> RegistrarClient:
        if found.client is None:
            raise Unreachable(
                "no registrar could be asked, and this dataset's lists are not remembered here",
                hint="Try again later, or name another registrar with --registrar.",
            )
        return found.client

    # -------------------------------------------------------------------------------------------------

    async def _ask(self, client: RegistrarClient, name: Identifier) -> Resolved | None:
        try:
            matches = await client.resolve(str(replace(name, path="")))
        except WithdrawnRecord as error:
            error.record.check_name(name)
            await self._newest_seen(client, error.record)
            raise
        tainted: TaintedRecord | None = None
        for match in matches[:20]:
            try:
                record = await client.record(match.rid)
            except TaintedRecord as error:
                tainted = tainted or error
                continue
            if name.latest:
                await check_version(client, record, name)
            else:
                record.check_name(name)
            seen = await self._newest_seen(client, record)
            if seen.record.state.withdrawn:
                raise WithdrawnRecord(seen.record, seen.keys)
            found = Resolved(seen.record, name.path, client=client, registrar=client.url, keys=seen.keys)
            found = _with_hints(found, name)
            told = tuple(dict.fromkeys((*found.trackers, *record.trackers)))
            return await self._located(replace(found, trackers=told), name)
        if tainted is not None:
            raise tainted
        return None

    async def _newest_seen(self, client: RegistrarClient, record: Record) -> Saved:
        """The record as it is told, or as it was seen before if that is newer; it is remembered."""
        seen = await asyncio.to_thread(self._cache.record, record.rid)
        if seen is not None and seen.record.state.head.seq > record.state.head.seq:
            return seen
        saved = Saved(record, client.url, await client.chains.keys_of(record))
        await asyncio.to_thread(self._cache.keep, saved)
        return saved

    async def _located(self, found: Resolved, name: Identifier) -> Resolved:
        """Find a file's hash in the manifest: the registrar's word for it is not enough."""
        record = _record_of(found)
        if name.bare and name.value in (record.content_id, record.rid):
            return found
        kind = Kind.SHA256 if name.bare else name.kind
        if kind not in DIGESTS or (kind is Kind.SHA256 and record.dataset.manifest == name.value):
            return found
        manifest = await self.manifest(found)
        for file in manifest.files:
            if {Kind.SHA256: file.sha256, Kind.MD5: file.md5, Kind.ROOT: file.root}[kind] == name.value:
                return replace(found, path=file.path, by_hash=True)
        raise VerificationFailed(f"{record.ark} was given for {name}, but has no file with that hash")

    async def _remembered(self, name: Identifier) -> Resolved | None:
        if name.latest:  # nobody remembers what is newest
            return None
        for saved in await asyncio.to_thread(lambda: list(self._cache.find(name))):
            if saved.record.state.withdrawn:
                if name.kind in (Kind.ARK, Kind.RID):
                    raise WithdrawnRecord(saved.record, saved.keys)
                continue
            with suppress(Error):
                found = Resolved(saved.record, name.path, registrar=saved.registrar, keys=saved.keys)
                return await self._located(_with_hints(found, name), name)
        return None


def _heed(found: Resolved, told: Mapping[str, TaintedRecord]) -> Resolved:
    """``found``, unless the registrar that recorded it is among those that say it is tainted."""
    home = found.record.event.home if found.record else ""
    if home in told:
        raise told[home]
    return found


def _with_hints(found: Resolved, name: Identifier) -> Resolved:
    """Add what record and name say about where the bytes are; malformed hints are left out."""
    record = found.record
    trackers = [*(record.trackers if record else ()), *filter(usable_tracker, name.trackers)]
    seeds = [*(record.web_seeds if record else ()), *filter(usable_web_seed, name.web_seeds)]
    return replace(
        found,
        trackers=tuple(dict.fromkeys(trackers))[:50],
        web_seeds=tuple(dict.fromkeys(seeds))[:50],
        peers=tuple((h, p) for h, p in name.peers[:50] if _is_address(h)),
    )


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _record_of(found: Resolved) -> Record:
    if found.record is None:
        raise NotFound("no registrar knows this torrent")
    return found.record


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_TORRENT_BYTES + 1)
    except OSError as error:
        raise InvalidInput(f"{printable(str(path))} cannot be read: {error.strerror}") from error
    if len(data) > MAX_TORRENT_BYTES:
        raise InvalidInput(f"{printable(str(path))} is larger than a torrent file may be (10 MB)")
    return data
