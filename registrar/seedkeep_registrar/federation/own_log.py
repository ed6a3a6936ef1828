"""This registrar's own log as its mirrors have it: what an old backup has lost comes back from them.

It is looked at before anything is signed, so that a registrar that was set back gives no event the place of
another one that it has signed before. What comes back waits to be applied, and nothing is appended meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress

from sqlalchemy import Connection

from seedkeep.core.errors import Conflict, Error, InvalidInput, NotFound, VerificationFailed
from seedkeep.core.log.checkpoint import MAX_CHECKPOINT_BYTES, Checkpoint, bare
from seedkeep.core.log.evidence import Misbehaviour
from seedkeep.core.log.sync import Fetch, Recall, Store, Trust, follow
from seedkeep.core.log.tiles import Place, edge_of
from seedkeep.core.log.trusted_log import TrustedLog
from seedkeep.core.notes import Verifier
from seedkeep_registrar.database import Database
from seedkeep_registrar.federation.client import PeerClient
from seedkeep_registrar.federation.following import Ended, advance, fetch, recall
from seedkeep_registrar.store import events, mirrors, peers, trees
from seedkeep_registrar.store.events import OWN
from seedkeep_registrar.store.peers import Peer
from seedkeep_registrar.store.trees import Signed

_LOG = logging.getLogger(__name__)
#: how long one peer is waited for when the registrar starts, seconds
_PATIENCE_S = 4.0


def mirror_of(peer: Peer, origin: str) -> str:
    """The URL below which a peer has a mirror of a log."""
    return f"{peer.url}/mirror/{peers.name_of(origin)}"


class OwnLog:
    """
    Args:
        vkey: this registrar's.
    """

    def __init__(self, db: Database, vkey: Verifier, http: PeerClient, clock: Callable[[], float]) -> None:
        self._db = db
        self._vkey = vkey
        self._http = http
        self._clock = clock

    async def catch_up(self) -> None:
        """Ask all peers for the newest checkpoint of this registrar's log, and get what is lacking here.

        A peer that does not answer is not waited for long.

        Raises:
            Misbehaviour: this registrar has signed something else than it has now.
        """
        known = await self._db.read(peers.every, peers.ACTIVE, peers.PAUSED)
        if waited_for := [peer.origin for peer in known if peer.unheard and peer.state == peers.ACTIVE]:
            _LOG.warning(
                "federation: a backup was restored; nothing is registered before these registrars have said"
                " how far the log was: %s. If one is gone for good: seedkeep registrar peer pause NAME",
                ", ".join(waited_for),
            )
        notes = await asyncio.gather(*(self._newest(peer) for peer in known))
        offers = sorted(
            ((size, note, peer) for peer, (size, note) in zip(known, notes, strict=True) if note),
            key=lambda offer: offer[0],
        )
        for _, note, peer in reversed(offers):
            await self.offered(peer, note)

    async def _newest(self, peer: Peer) -> tuple[int, str]:
        url = f"{mirror_of(peer, self._vkey.name)}/checkpoint"
        try:
            got = await self._http.get(url, limit=MAX_CHECKPOINT_BYTES, patience=_PATIENCE_S)
            return Checkpoint.open(got.body, self._vkey).size, got.body.decode()
        except NotFound:
            return 0, ""
        except Error as error:
            _LOG.warning("federation: %s cannot say how long this registrar's log was: %s", peer.url, error)
            return 0, ""

    async def offered(self, peer: Peer, note: str | bytes) -> bool:
        """A peer shows a checkpoint of this registrar's own log.

        Returns:
            Whether all up to there is here; else it is to be shown again.

        Raises:
            Misbehaviour: it is not one of the log that is here; the evidence is kept.
        """
        try:
            lacking = await self._follow(mirror_of(peer, self._vkey.name), note)
        except Misbehaviour as caught:
            if await self._db.write(mirrors.convict, OWN, caught.evidence, now=self._clock()):
                _LOG.critical("federation: this registrar has signed two different logs: %s", caught.what)
            raise
        except Conflict:
            return False  # this log has gone on; another offer will tell
        except Error as error:
            await self._hold(note)
            _LOG.warning("federation: the mirror of this log at %s is of no use: %s", peer.url, error)
            return False
        if lacking:
            _LOG.warning("federation: %d lost events of this registrar came back from %s", lacking, peer.url)
        return True

    async def _hold(self, note: str | bytes) -> None:
        """What carries this registrar's signature has been there: wait for it, whoever has the entries."""
        with suppress(Conflict, InvalidInput, VerificationFailed):
            head = Checkpoint.open(note, self._vkey)
            text = note.decode() if isinstance(note, bytes) else note
            await self._db.write(_claim, None, bare(text, self._vkey), head, now=self._clock())

    async def _follow(self, prefix: str, note: str | bytes) -> int:
        trusted, stored, edge = await self._db.read(_own, self._vkey)
        first = stored
        steps = follow(trusted, note, stored, edge)
        answer: Sequence[bytes] | None = None
        while not isinstance(step := await asyncio.to_thread(advance, steps, answer), Ended):
            answer = None
            if isinstance(step, Fetch):
                answer = await fetch(self._http, prefix, step.tiles)
            elif isinstance(step, Recall):
                answer = await self._db.read(recall, OWN, step.tiles)
            elif isinstance(step, Trust):
                # once it is known how far this log was, nothing is appended before it is there again
                await self._db.write(_claim, step.before, step.note, trusted.checkpoint, now=self._clock())
            elif isinstance(step, Store):
                await self._db.write(mirrors.store_own, step, now=self._clock())
                stored += len(step.entries)
        return stored - first


def _own(connection: Connection, vkey: Verifier) -> tuple[TrustedLog, int, dict[Place, bytes]]:
    newest, size = trees.newest(connection, OWN), events.log_state(connection).size
    trusted = TrustedLog.restore(vkey, newest.note if newest else "")
    return trusted, size, trees.tiles(connection, OWN, edge_of(size))


def _claim(connection: Connection, before: str | None, note: str, head: Checkpoint, *, now: float) -> None:
    """Keep the newest checkpoint that this registrar has signed; ``before`` is what it replaces, None for
    whatever is smaller."""
    events.lock(connection)
    newest = trees.newest(connection, OWN)
    if before is None and newest is not None and newest.size >= head.size:
        return
    if before is not None and (newest.note if newest else "") != before:
        raise Conflict("this registrar's log has gone on meanwhile")
    trees.add_checkpoint(connection, OWN, Signed(head.size, head.root, note, cosigned=False), now)
