"""Both operators agree before two registrars follow each other.

Each side asks the other by a request that its registrar's key has signed for exactly that URL. Whoever is
asked fetches nothing: it notes the name and key, and waits for its own operator.
"""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import Connection

from seedkeep.core.errors import Refused
from seedkeep.core.notes import Verifier
from seedkeep_registrar.processes.signals import Kind, announce
from seedkeep_registrar.store import peers
from seedkeep_registrar.store.peers import ACTIVE, ASKED, DISTRUSTED, PAUSED, PROPOSED, REMOVED, Peer

#: proposals that wait for an operator; the oldest one makes room
MAX_PROPOSALS = 100


def asked_by(connection: Connection, verifier: Verifier, *, url: str, naan: str, now: float) -> Peer:
    """Another registrar agrees to this one.

    Returns:
        It, as it stands here now: active when this registrar's operator has agreed too.

    Raises:
        Refused: it is known under another key, or was caught lying.
    """
    known = peers.by_origin(connection, verifier.name)
    if known is None:
        waiting = peers.every(connection, PROPOSED)
        if len(waiting) >= MAX_PROPOSALS:
            peers.drop(connection, min(waiting, key=lambda peer: peer.added).id)
        return peers.add(connection, verifier, url=url, naan=naan, state=PROPOSED, now=now)
    if known.vkey != str(verifier):
        if known.state != PROPOSED:
            raise Refused(
                f"{known.origin} is known here with another key", hint="Ask this registrar's operator."
            )
        peers.drop(connection, known.id)
        return peers.add(connection, verifier, url=url, naan=naan, state=PROPOSED, now=now)
    if known.state == DISTRUSTED:
        raise Refused(f"{known.origin} has been caught signing what cannot be", hint="See /federation there.")
    if known.state == ASKED:
        peers.set_state(connection, known.id, ACTIVE)
        announce(connection, Kind.FEDERATION, str(known.id))
        return replace(known, state=ACTIVE)
    return known


def wanted_by_operator(
    connection: Connection, verifier: Verifier, *, url: str, naan: str, now: float
) -> Peer:
    """This registrar's operator agrees to another one, whose key they have compared.

    Raises:
        Refused: another key was pinned before.
    """
    known = peers.by_origin(connection, verifier.name)
    if known is None:
        found = peers.add(connection, verifier, url=url, naan=naan, state=ASKED, now=now)
    elif known.vkey != str(verifier):
        if known.state not in (PROPOSED, ASKED):
            raise Refused(
                f"{known.origin} is pinned with another key",
                hint="If it was rotated: `peer resume` follows it from there; else somebody is in between.",
            )
        peers.drop(connection, known.id)
        found = peers.add(connection, verifier, url=url, naan=naan, state=ASKED, now=now)
    else:
        if known.state == DISTRUSTED:
            raise Refused(f"{known.origin} was caught lying", hint="To follow it again: peer trust.")
        state = {PROPOSED: ACTIVE, REMOVED: ASKED, PAUSED: ACTIVE}.get(known.state, known.state)
        peers.set_state(connection, known.id, state)
        found = replace(known, state=state)
    announce(connection, Kind.FEDERATION, str(found.id))
    return found
