"""Large torrents are built once for all who ask, and leave when others need the room."""

from __future__ import annotations

import asyncio
import time

import pytest

from seedkeep_registrar.built import Built
from tests.support.registrar import RegistrarUnderTest, shareable


class Builder:
    def __init__(self) -> None:
        self.built: list[str] = []

    async def make(self, name: str, size: int) -> bytes:
        self.built.append(name)
        await asyncio.sleep(0)
        return name.encode() * size


async def test_what_many_ask_for_at_once_is_built_once() -> None:
    built, builder = Built(), Builder()
    found = await asyncio.gather(*(built.get("a", lambda: builder.make("a", 5)) for _ in range(20)))
    assert set(found) == {b"aaaaa"}
    assert builder.built == ["a"]


async def test_the_one_not_asked_for_longest_goes_first() -> None:
    built, builder = Built(limit=10), Builder()
    for name in ("a", "b", "a", "c", "a", "b"):
        await built.get(name, lambda name=name: builder.make(name, 5))  # type: ignore[misc]
    assert builder.built == ["a", "b", "c", "b"]


async def test_what_is_too_large_is_built_each_time() -> None:
    built, builder = Built(limit=10), Builder()
    for _ in range(2):
        assert len(await built.get("a", lambda: builder.make("a", 11))) == 11
    assert builder.built == ["a", "a"]


async def test_a_failure_is_not_kept() -> None:
    built, builder = Built(), Builder()

    async def fail() -> bytes:
        raise OSError

    with pytest.raises(OSError):
        await built.get("a", fail)
    assert await built.get("a", lambda: builder.make("a", 1)) == b"a"


async def test_the_second_who_asks_for_a_large_torrent_has_it_at_once(registrar: RegistrarUnderTest) -> None:
    files = {f"d{i // 100}/f{i}": b"%d" % i for i in range(4000)}
    document = await registrar.person().register(shareable("many", files))
    path = f"/torrents/{document['content_id']}.torrent"
    asked = time.monotonic()
    first = await registrar.person().get(path)
    built = time.monotonic()
    assert (await registrar.person().get(path)).body == first.body
    assert time.monotonic() - built < built - asked
    companion = await registrar.person().get(path.replace(".torrent", ".v1.torrent"))
    assert companion.body != first.body
    await registrar.curator.taint(f"content:{document['content_id']}")
    assert (await registrar.person().get(path)).status == 451
