"""One round of questions to one peer: its log, its taints, and what it has seen of others' logs."""

from __future__ import annotations

import logging

from sqlalchemy import Connection

from seedkeep.core.errors import Error, InvalidInput, NotFound, Refused
from seedkeep.core.log.checkpoint import MAX_CHECKPOINT_BYTES
from seedkeep.core.log.evidence import Misbehaviour
from seedkeep.core.log.trusted_log import Relation
from seedkeep.core.taints.entry import MAX_LIST_BYTES
from seedkeep.core.taints.head import MAX_HEAD_BYTES, Head
from seedkeep.core.taints.trusted import TrustedTaints
from seedkeep_registrar import authorities
from seedkeep_registrar.context import Registrar
from seedkeep_registrar.federation.client import PeerClient
from seedkeep_registrar.federation.following import Follower
from seedkeep_registrar.federation.keys import follow_keys
from seedkeep_registrar.federation.own_log import OwnLog, mirror_of
from seedkeep_registrar.processes.signals import Kind, announce
from seedkeep_registrar.store import key_rings, peers, trees
from seedkeep_registrar.store.peers import Peer

_LOG = logging.getLogger(__name__)
CONSENT = "/api/v1/peers"


class Asking:
    """Asks one peer; keeps between two rounds what its answers were tagged with."""

    def __init__(self, registrar: Registrar, http: PeerClient, follower: Follower, own: OwnLog) -> None:
        self._registrar = registrar
        self._http = http
        self._follower = follower
        self._own = own
        self._etags: dict[str, str] = {}
        self._turn = 0
        self._agreed = False

    async def round(self, peer: Peer) -> str:
        """Ask for everything that may be new.

        Returns:
            What is wrong, in one sentence, or "".
        """
        try:
            refused = "" if self._agreed else await self._consent(peer)
            if peer.state != peers.ACTIVE:
                return refused
            peer = await follow_keys(self._registrar, self._http, peer)
            problem = await self._log(peer)
            await self._taints(peer)
            await self._mirrors(peer)
        except Error as error:
            return error.what
        return problem or refused

    async def _consent(self, peer: Peer) -> str:
        try:
            await self.consent(peer)
        except Refused as error:
            return error.what  # its log can be followed all the same
        return ""

    async def consent(self, peer: Peer) -> None:
        """Say that this registrar agrees to follow it, and hear whether it does.

        Raises:
            Refused: it does not.
            Unreachable, InvalidInput: it does not answer as a registrar.
        """
        registrar = self._registrar
        message = {"v": 1, "url": registrar.public_url, "naan": registrar.settings.naan}
        got = await self._http.send(peer.url + CONSENT, message)
        if got.status not in (200, 202):
            raise Refused(f"{peer.origin} does not agree: it answers {got.status}")
        self._agreed = got.status == 200
        if self._agreed and peer.state == peers.ASKED:
            await registrar.db.write(agreed, peer.id)

    async def _get(self, url: str) -> bytes | None:
        """A checkpoint that has changed since last time; who can do nothing with it forgets its tag."""
        got = await self._http.get(url, limit=MAX_CHECKPOINT_BYTES, etag=self._etags.get(url, ""))
        if got.status != 200:
            return None
        self._etags[url] = got.etag
        return got.body

    async def _log(self, peer: Peer) -> str:
        url = f"{peer.url}/log/checkpoint"
        note = await self._get(url)
        try:
            relation = await self._follow(peer, note, f"{peer.url}/log")
        except Error:
            self._etags.pop(url, None)
            raise
        if relation is Relation.OLDER:
            self._etags.pop(url, None)
            return f"{peer.origin} shows an older checkpoint than before: was it set back to an old backup?"
        return ""

    async def _follow(self, peer: Peer, note: bytes | None, prefix: str) -> Relation | None:
        registrar = self._registrar
        present = await registrar.db.read(peers.by_id, peer.id)
        if present is None:
            return None
        if note is None and not await registrar.db.read(_unfinished, present):
            return None
        text = present.note if note is None else _text(note)
        return await self._follower.follow(peer.id, text, [prefix])

    async def _taints(self, peer: Peer) -> None:
        registrar = self._registrar
        head = await self._http.get(f"{peer.url}/api/v1/taints/head", limit=MAX_HEAD_BYTES)
        note, known = await registrar.db.read(peers.taints_of, peer.id)
        if head.body == note.encode():
            return
        former = await registrar.db.read(key_rings.former_of_peer, peer.id)
        trusted = TrustedTaints.restore(peer.verifier, note, known, former=former)
        if trusted.load_head(head.body, now=registrar.clock()):
            digest = Head.open(head.body, peer.verifier).list_sha256
            url = f"{peer.url}/api/v1/taints/lists/{digest}"
            trusted.load_list((await self._http.get(url, limit=MAX_LIST_BYTES)).body)
        if trusted.dump()[0] != note:
            await registrar.db.write(_keep_taints, registrar, peer.id, note, *trusted.dump())

    async def _mirrors(self, peer: Peer) -> None:
        """What it has seen of this registrar's log, and of one other's, at first of all: two halves of a fork
        meet here."""
        registrar = self._registrar
        try:
            url = f"{mirror_of(peer, registrar.origin)}/checkpoint"
            note = await self._get(url)
            if note is None or await self._own.offered(peer, note):
                await self._heard(peer)
            else:
                self._etags.pop(url, None)
        except NotFound:
            await self._heard(peer)
        others = [p for p in await registrar.db.read(peers.every, peers.ACTIVE) if p.id != peer.id]
        if others and self._turn:
            others = [others[self._turn % len(others)]]
        self._turn += 1
        for other in others:
            await self._mirror(peer, other)

    async def _heard(self, peer: Peer) -> None:
        if peer.unheard:
            await self._registrar.db.write(peers.heard, peer.id)
            _LOG.info("federation: %s has said how far this registrar's log was", peer.origin)

    async def _mirror(self, peer: Peer, other: Peer) -> None:
        prefix = mirror_of(peer, other.origin)
        try:
            note = await self._get(f"{prefix}/checkpoint")
            if note is not None:
                await self._follower.follow(other.id, _text(note), [prefix, f"{other.url}/log"])
        except (NotFound, Misbehaviour):
            pass  # it has none; or the other one was caught, which is told already
        except Error as error:
            self._etags.pop(f"{prefix}/checkpoint", None)
            _LOG.info("federation: the mirror %s is of no use: %s", prefix, error.what)


def _text(note: bytes) -> str:
    try:
        return note.decode()
    except UnicodeDecodeError as error:
        raise InvalidInput("a checkpoint is not text") from error


def _unfinished(connection: Connection, peer: Peer) -> bool:
    """Whether more is trusted than is stored."""
    newest = trees.newest(connection, peer.id)
    return bool(peer.note) and (newest is None or newest.size < peer.stored or peer.note != newest.note)


def agreed(connection: Connection, id_: int) -> None:
    """A peer has agreed: it is followed from now on."""
    peer = peers.by_id(connection, id_)
    if peer is not None and peer.state in (peers.ASKED, peers.PROPOSED):
        peers.set_state(connection, id_, peers.ACTIVE)
        announce(connection, Kind.FEDERATION, str(id_))


def _keep_taints(
    connection: Connection, registrar: Registrar, id_: int, before: str, note: str, list_: bytes
) -> None:
    now, (present, known) = registrar.clock(), peers.taints_of(connection, id_)
    if present != before:
        return  # the process that leads now has been faster, and may know more
    peers.put_taints(connection, id_, note, list_, now=now)
    peer = peers.by_id(connection, id_)
    if peer is not None and list_ != known:
        authorities.take(connection, registrar.settings, peer, now=now)
    announce(connection, Kind.PEER_TAINTS, str(id_))
