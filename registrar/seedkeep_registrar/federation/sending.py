"""Sends this registrar's newest checkpoint to a peer, which answers with its cosignature (C2SP tlog-witness).

It is what tells a peer that there is something new, too: it fetches what it lacks before it cosigns.
"""

from __future__ import annotations

from sqlalchemy import Connection

from seedkeep.core.errors import Error, InvalidInput, NotFound, Refused, Unreachable
from seedkeep.core.log.checkpoint import parse_number
from seedkeep.core.log.tiles import Places, consistency_proof, tiles_of_consistency
from seedkeep.core.log.witness import AddCheckpoint
from seedkeep_registrar.context import Registrar
from seedkeep_registrar.federation.client import PeerClient
from seedkeep_registrar.federation.following import keep_cosigned
from seedkeep_registrar.store import mirrors, trees
from seedkeep_registrar.store.events import OWN
from seedkeep_registrar.store.peers import Peer
from seedkeep_registrar.store.trees import Signed

PATH = "/add-checkpoint"
#: the peer may have to fetch much before it answers, seconds
_PATIENCE_S = 30.0


class Sending:
    """To one peer; remembers how far it has cosigned."""

    def __init__(self, registrar: Registrar, http: PeerClient) -> None:
        self._registrar = registrar
        self._http = http
        self._cosigned: int | None = None

    async def send(self, peer: Peer) -> None:
        """Have the newest checkpoint cosigned, unless it is.

        Raises:
            Unreachable: no answer, or not now.
            NotFound: the peer does not follow this registrar.
            Refused, Error: it does not cosign.
        """
        newest = await self._registrar.db.read(trees.newest, OWN)
        if newest is None or newest.size == self._cosigned:
            return
        if self._cosigned is None or self._cosigned > newest.size:
            self._cosigned = 0
        for _ in range(2):
            request = await self._registrar.db.read(_request, self._cosigned, newest)
            got = await self._http.post(peer.url + PATH, request.encode().encode(), patience=_PATIENCE_S)
            if got.status == 200:
                await self._registrar.db.write(_merge, self._registrar, newest, got.body.decode())
                self._cosigned = newest.size
                return
            if got.status != 409:
                break
            size = parse_number("the size cosigned last", got.body.decode(errors="replace").strip())
            if size > newest.size:
                raise Refused(
                    f"{peer.origin} has cosigned {size} entries of this log, which has {newest.size}"
                )
            self._cosigned = size
        self._cosigned = None
        raise _refusal(peer, got.status, got.body)


def _refusal(peer: Peer, status: int, body: bytes) -> Error:
    said = "".join(c for c in body[:200].decode(errors="replace") if c.isprintable())
    if status == 404:
        return NotFound(f"{peer.origin} does not follow this registrar")
    if status >= 500 or status in (409, 429):
        return Unreachable(f"{peer.origin} cannot cosign now ({status})")
    return Refused(f"{peer.origin} does not cosign this registrar's checkpoint ({status}): {said}")


def _request(connection: Connection, old: int, newest: Signed) -> AddCheckpoint:
    wanted = tiles_of_consistency(old, newest.size)
    tiles = Places(trees.tiles(connection, OWN, [tile.place for tile in wanted]))
    try:
        return AddCheckpoint(old, tuple(consistency_proof(tiles, old, newest.size)), newest.note)
    except KeyError as error:
        raise InvalidInput("this registrar's log is not whole yet") from error


def _merge(connection: Connection, registrar: Registrar, newest: Signed, lines: str) -> None:
    # the one that is stored may have other cosignatures meanwhile
    if mirrors.checkpoint(connection, OWN, newest.size) is not None:
        keep_cosigned(connection, registrar, OWN, newest, "", lines)
