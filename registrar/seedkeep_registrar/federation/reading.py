"""What is shown of federation: the peers that count, what waits, and the evidence."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from sqlalchemy import Connection

from seedkeep.core.keys import PublicKey
from seedkeep_registrar.store import mirrors, peers
from seedkeep_registrar.store.mirrors import Kept
from seedkeep_registrar.store.peers import Peer


def fingerprint(key: PublicKey) -> str:
    """What two operators read to each other: the first half of the key's SHA-256, in groups."""
    digest = hashlib.sha256(key.raw).hexdigest()
    return " ".join(digest[at : at + 4] for at in range(0, 32, 4))


@dataclass(frozen=True, slots=True)
class Seen:
    """
    Args:
        peers: without those that nobody here has agreed to.
        waiting: events that wait to be applied, by log.
        evidence: all of it, newest first.
    """

    peers: list[Peer]
    waiting: dict[int, int]
    evidence: list[Kept]


def overview(connection: Connection) -> Seen:
    """All of it, at one moment."""
    shown = peers.every(connection, *peers.MIRRORED)
    return Seen(shown, mirrors.waiting(connection), mirrors.evidence_kept(connection))
