"""No size of a log is ever signed twice, whatever becomes of the database."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import Connection, create_engine

from seedkeep.core.events import sign_event
from seedkeep.core.keys import PrivateKey
from seedkeep_registrar.database import Unavailable
from seedkeep_registrar.log.sealing import Sealer
from seedkeep_registrar.migrations import upgrade
from seedkeep_registrar.processes import signals
from seedkeep_registrar.processes.signals import Signal
from seedkeep_registrar.store import events

KEY = PrivateKey(b"s" * 32)
Sealing = Callable[[Sealer, str], list[Signal]]


@pytest.fixture
def lost() -> Iterator[Sealing]:
    """Appends and seals in a transaction of which the database knows nothing afterwards."""
    engine = create_engine("sqlite://")
    upgrade(engine)

    def seal(connection: Connection, sealer: Sealer, text: str) -> list[Signal]:
        events.begin(connection, "home.test")
        body = f'{{"text":"{text}"}}'.encode()
        event = sign_event(KEY, type="record", body=body, home="home.test", created="2026-01-01T00:00:00Z")
        events.append(connection, events.lock(connection), event, body, now=0)
        sealer.seal(connection)
        return signals.take(connection)

    with engine.connect() as connection:

        def sealing(sealer: Sealer, text: str) -> list[Signal]:
            try:
                return seal(connection, sealer, text)
            finally:
                connection.rollback()

        yield sealing


def test_a_database_that_has_lost_what_was_durable_gets_nothing_more(lost: Sealing) -> None:
    sealer, other = (Sealer("home.test", KEY, lambda: 0.0) for _ in range(2))
    told = lost(sealer, "first")
    assert [batch for batch in map(sealer.durable, told) if batch]
    with pytest.raises(Unavailable, match="the log had 1, it knows 0"):
        lost(sealer, "second")
    # another process of the same registrar has heard it
    for signal in told:
        other.heard(signal.text)
    with pytest.raises(Unavailable):
        lost(other, "second")


def test_what_was_never_durable_may_be_sealed_otherwise(lost: Sealing) -> None:
    sealer = Sealer("home.test", KEY, lambda: 0.0)
    assert lost(sealer, "first") != lost(sealer, "second")
