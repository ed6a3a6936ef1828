"""The page of the other registrars in a real Chromium."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection

from seedkeep.core.keys import PrivateKey
from seedkeep.core.log.checkpoint import Checkpoint
from seedkeep.core.log.evidence import Evidence, Kind
from seedkeep.core.notes import Verifier
from seedkeep_registrar.store import mirrors, peers
from seedkeep_registrar.store.events import OWN
from tests.registrar.page_world import HOSTILE, Shot, look
from tests.support.chromium import browsing
from tests.support.registrar import RegistrarUnderTest


def fork(name: str, key: PrivateKey) -> Evidence:
    """Two checkpoints of one size."""
    notes = tuple(Checkpoint(name, 48_112, bytes([n]) * 32).sign(key) for n in (1, 2))
    return Evidence(Kind.FORK, Verifier(name, key.public), notes)


def fill(connection: Connection, now: float) -> None:
    """One in every state; names and problems that hurt."""
    for number, (name, state, problem) in enumerate(
        (
            ("seeds.library.example.edu", peers.PAUSED, ""),
            (
                "127.0.0.1:9/a/path/that/goes/on/and/on/without/an/end/in/sight/or/a/place/to/break",
                peers.PAUSED,
                HOSTILE,
            ),
            ("registrar.meer.example.de", peers.REMOVED, ""),
            ("forked.example.org", peers.PAUSED, ""),
            ("twice.example.org", peers.PAUSED, ""),
        )
    ):
        key = PrivateKey(bytes([number + 1]) * 32)
        peer = peers.add(
            connection, Verifier(name, key.public), url=f"https://{name}", naan="99999", state=state, now=now
        )
        peers.polled(connection, peer.id, now=now, problem=problem[:400])
        if number in (3, 4):
            mirrors.convict(connection, peer.id, fork(name, key), now=now)


async def test_the_page_of_other_registrars_in_both_widths(
    chromium_port: int, registrar: RegistrarUnderTest, tmp_path: Path
) -> None:
    await registrar.context.db.write(fill, registrar.clock())
    await registrar.context.db.write(
        mirrors.convict, OWN, fork(registrar.context.origin, registrar.context.key), now=registrar.clock()
    )
    async with browsing(chromium_port) as tab:
        wrong = await look(tab, registrar, Shot("federation", lambda _: "/federation"), tmp_path)
    assert not wrong, "\n".join(wrong)
