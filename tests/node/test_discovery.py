"""The local network: nodes are heard, and silence is no error."""

from __future__ import annotations

import pytest
from zeroconf.asyncio import AsyncZeroconf

from seedkeep import discovery
from seedkeep.discovery import Announcement, browse
from tests.support.registrar import new_key
from tests.support.require import require


async def test_a_node_that_announces_itself_is_found_with_its_port() -> None:
    key = str(new_key().public)
    announcement = Announcement(key=key, port=43210)
    await announcement.start()
    try:
        found = [n for n in await browse("node", seconds=5) if n.key == key]
        require(bool(found) or announcement._zeroconf is None, "multicast DNS does not work on this machine")
        assert [n.port for n in found] == [43210]
        assert found[0].addresses
        assert key not in [n.key for n in await browse("registrar", seconds=1)]
    finally:
        await announcement.close()
        await announcement.close()


async def test_without_multicast_nobody_is_found_and_nothing_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    class Deaf(AsyncZeroconf):
        def __init__(self, *_: object, **__: object) -> None:
            raise OSError("no multicast here")

    monkeypatch.setattr(discovery, "AsyncZeroconf", Deaf)
    assert await browse("node") == []
    announcement = Announcement(key=str(new_key().public), port=1)
    await announcement.start()
    await announcement.close()
