"""Drives :func:`seedkeep.core.log.sync.follow`: files come from a registrar or a mirror, and go into tables.

Several processes may do it at once: what one of them stores first counts, the other one notices and stops.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from seedkeep.core.errors import Conflict, Error, InvalidInput, NotFound, Unreachable, VerificationFailed
from seedkeep.core.log.checkpoint import bare, signed_by
from seedkeep.core.log.cosignature import cosign
from seedkeep.core.log.evidence import Evidence, Misbehaviour
from seedkeep.core.log.sync import Fetch, Following, Recall, Step, Store, Trust, follow
from seedkeep.core.log.tiles import Place, Tile, edge_of
from seedkeep.core.log.trusted_log import Relation, TrustedLog
from seedkeep.core.notes import Cosigner, Note, Verifier
from seedkeep_registrar.context import Registrar
from seedkeep_registrar.federation.client import PeerClient
from seedkeep_registrar.log.serving import read_tile
from seedkeep_registrar.store import key_rings, mirrors, peers, trees
from seedkeep_registrar.store.events import OWN
from seedkeep_registrar.store.peers import Peer
from seedkeep_registrar.store.trees import Signed

_LOG = logging.getLogger(__name__)
#: requests to one registrar at once
_AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class Ended:
    """A following has come to its end."""

    relation: Relation


def advance(steps: Following, answer: Sequence[bytes] | None) -> Step | Ended:
    """The next step; verifies what was answered, which takes its time."""
    try:
        return steps.send(answer)
    except StopIteration as end:
        return Ended(end.value)


async def fetch(http: PeerClient, prefix: str, tiles: Sequence[Tile]) -> list[bytes]:
    """Tiles of a log below a URL, in order.

    Raises:
        Unreachable, NotFound, InvalidInput: one of them cannot be had.
    """
    room = asyncio.Semaphore(_AT_ONCE)

    async def one(tile: Tile) -> bytes:
        async with room:
            got = await http.get(f"{prefix}/{tile.path}", limit=tile.max_bytes)
        return got.body

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(tile)) for tile in tiles]
    except BaseExceptionGroup as several:
        raise several.exceptions[0] from None
    return [task.result() for task in tasks]


class Follower:
    """Follows the logs of peers; one for the process."""

    def __init__(self, registrar: Registrar, http: PeerClient) -> None:
        self._registrar = registrar
        self._http = http
        self._locks: dict[int, asyncio.Lock] = {}
        self._since = registrar.clock()
        #: peers that were asked, since this process started, what they have seen of others' logs. Before that
        #: nothing is cosigned: a database that was set back has forgotten what it has cosigned
        self.heard: set[int] = set()

    async def follow(self, peer_id: int, note: str, prefixes: Sequence[str]) -> Relation | None:
        """Follow a peer's log up to an offered checkpoint, store it, and cosign it.

        Args:
            note: a checkpoint; of whom ever it was got.
            prefixes: URLs below which the log's tiles are asked for, one after the other.

        Returns:
            How it stood to what was trusted; None when the peer is followed no more, or another process has
            been faster.

        Raises:
            Error: with none of them it could be verified; the last reason.
            Misbehaviour: the log was caught; the evidence is kept, and the peer distrusted.
        """
        async with self._locks.setdefault(peer_id, asyncio.Lock()):
            failure: Error = Unreachable("there is nobody to ask for this log")
            for prefix in prefixes:
                try:
                    return await self._follow(peer_id, note, prefix)
                except Misbehaviour as caught:
                    await self.convict(peer_id, caught.evidence)
                    raise
                except Conflict:
                    return None
                except (Unreachable, NotFound, InvalidInput, VerificationFailed) as error:
                    failure = error
            raise failure

    async def convict(self, peer_id: int, shown: Evidence) -> None:
        """Keep evidence, end the trust, and tell the operator."""
        registrar = self._registrar
        if await registrar.db.write(mirrors.convict, peer_id, shown, now=registrar.clock()):
            _LOG.error("federation: %s The evidence is kept, see /federation.", shown.check())

    async def _follow(self, peer_id: int, note: str, prefix: str) -> Relation | None:
        registrar = self._registrar
        start = await registrar.db.read(_start, peer_id)
        if start is None:
            return None
        peer, edge, former = start
        trusted = TrustedLog.restore(peer.verifier, peer.note, former=former)
        steps = follow(trusted, note, peer.stored, edge)
        answer: Sequence[bytes] | None = None
        while not isinstance(step := await asyncio.to_thread(advance, steps, answer), Ended):
            answer = None
            if isinstance(step, Fetch):
                answer = await fetch(self._http, prefix, step.tiles)
            elif isinstance(step, Recall):
                answer = await registrar.db.read(recall, peer_id, step.tiles)
            elif isinstance(step, Trust):
                await registrar.db.write(mirrors.trust, peer_id, step.before, step.note)
            elif isinstance(step, Store):
                await registrar.db.write(mirrors.store, peer_id, step, now=registrar.clock())
        await self._cosign(peer, trusted, trusted.note if step.relation is Relation.OLDER else note)
        return step.relation

    async def _cosign(self, peer: Peer, trusted: TrustedLog, note: str) -> None:
        registrar, checkpoint = self._registrar, trusted.checkpoint
        if trusted.rotated:
            return  # its present key has signed nothing of that
        known = await registrar.db.read(mirrors.checkpoint, peer.id, checkpoint.size)
        if known is not None and known.note == note:
            return
        line = ""
        if known is None or not signed_by(known.note, peer.verifier):
            every = await registrar.db.read(peers.every, peers.ACTIVE)
            # only the leading process asks; the others see in the database when it has
            asked = all(
                one.id in self.heard if registrar.signals.leading else one.last_poll >= self._since
                for one in every
            )
            if not asked or any(one.unheard for one in every):
                return
            now = int(registrar.clock())
            line = cosign(Note.parse(note).text, registrar.origin, registrar.key, now)
        signed = Signed(checkpoint.size, checkpoint.root, bare(note, peer.verifier), cosigned=False)
        theirs = "".join(map(str, Note.parse(note).signatures))
        await registrar.db.write(keep_cosigned, registrar, peer.id, signed, theirs, line)


def _start(
    connection: Connection, peer_id: int
) -> tuple[Peer, Mapping[Place, bytes], tuple[Verifier, ...]] | None:
    peer = peers.by_id(connection, peer_id)
    if peer is None or peer.state != peers.ACTIVE:
        return None
    former = key_rings.former_of_peer(connection, peer_id)
    return peer, trees.tiles(connection, peer_id, edge_of(peer.stored)), former


def recall(connection: Connection, of: int, tiles: Sequence[Tile]) -> list[bytes]:
    """Tiles that are stored here."""
    return [read_tile(connection, of, tile) for tile in tiles]


def keep_cosigned(
    connection: Connection, registrar: Registrar, of: int, signed: Signed, theirs: str, line: str
) -> Signed:
    """Keep a checkpoint with all cosignatures of registrars that are followed here."""
    every = peers.every(connection, peers.ACTIVE)
    wanted = cosigners_wanted(registrar, len(every))
    cosigners = [peer.cosigner for peer in every if peer.id != of]
    log, newest = peers.by_id(connection, of), trees.newest(connection, of)
    if log is not None and newest is not None and not signed_by(newest.note, log.verifier):
        trees.forget_checkpoints(connection, of)  # as the log itself has done when it rotated its key
    if of != OWN:
        cosigners.append(Cosigner(registrar.origin, registrar.key.public))
    return mirrors.cosign(connection, of, signed, theirs, line, cosigners, wanted, now=registrar.clock())


def cosigners_wanted(registrar: Registrar, active: int) -> int:
    """How many cosignatures make a checkpoint cosigned, with so many peers."""
    return registrar.settings.cosigners_wanted or max(1, active // 2)
