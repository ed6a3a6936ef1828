"""A peer's key is another one than before: followed when its key rings say so, refused otherwise.

What was trusted at the first contact is kept, so that nobody who has the peer's site, and not its keys, can
make up another history of them later. What former keys have signed stays.
"""

from __future__ import annotations

import logging
from dataclasses import replace

from sqlalchemy import Connection

from seedkeep.core import jcs
from seedkeep.core.errors import InvalidInput, VerificationFailed
from seedkeep.core.keyring import MAX_RING_BYTES, MAX_VERSION, TrustedKeys
from seedkeep_registrar.context import Registrar
from seedkeep_registrar.federation.client import MAX_DOCUMENT, PeerClient, introduced
from seedkeep_registrar.store import key_rings, peers
from seedkeep_registrar.store.peers import Peer

_LOG = logging.getLogger(__name__)


async def follow_keys(registrar: Registrar, http: PeerClient, peer: Peer) -> Peer:
    """The peer with the key that it has now.

    Raises:
        VerificationFailed: it shows another key, and too few of those that decide have signed that.
        Unreachable, NotFound, InvalidInput: it does not say which one it has.
    """
    place = f"{peer.url}/.well-known/seedkeep"
    document = (await http.get(place, limit=MAX_DOCUMENT)).body
    shown, version = introduced(peer.url, document).verifier, _version(document)
    keys = await registrar.db.read(key_rings.of_peer, peer.id)
    first = keys is None
    if keys is None:
        keys = TrustedKeys.pinned(peer.verifier)
        if version and shown == peer.verifier:  # it was rotated before it was met
            keys = TrustedKeys.begin((await http.get(f"{place}/keys/0", limit=MAX_RING_BYTES)).body)
    known = keys.ring.version
    for number in range(known + 1, version + 1):
        keys.load((await http.get(f"{place}/keys/{number}", limit=MAX_RING_BYTES)).body)
    if keys.ring.origin != peer.origin:
        raise VerificationFailed(f"{peer.origin} shows the keys of {keys.ring.origin}")
    keys.check(shown, version)
    if first or keys.ring.version > known:
        await registrar.db.write(_keep, peer, keys)
    return replace(peer, vkey=str(keys.verifier))


def _version(document: bytes) -> int:
    said = jcs.loads(document, limit=MAX_DOCUMENT)
    version = said.get("key_version", 0) if isinstance(said, dict) else 0
    if not isinstance(version, int) or isinstance(version, bool) or not 0 <= version <= MAX_VERSION:
        raise InvalidInput("a registrar says that its keys have an impossible version")
    return version


def _keep(connection: Connection, peer: Peer, keys: TrustedKeys) -> None:
    key_rings.put_of_peer(connection, peer.id, keys)
    if str(keys.verifier) != peer.vkey:
        peers.set_key(connection, peer.id, keys.verifier)
        _LOG.warning("federation: %s has rotated its key: it is %s now", peer.origin, keys.verifier)
