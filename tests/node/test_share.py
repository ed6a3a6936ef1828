"""Sharing: one read, one record, resumable everywhere, and leave only when others have it."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from sqlalchemy import Connection, update

from seedkeep.core.errors import (
    Error,
    InvalidInput,
    Refused,
    Tainted,
    Unreachable,
    UsageError,
    VerificationFailed,
)
from seedkeep.core.metadata import Creator, Metadata, Subject
from seedkeep.engine.lt import libtorrent_engine
from seedkeep.engine.memory import MemoryEngine
from seedkeep.fetch import FetchRequest
from seedkeep.ingest.run import Progress
from seedkeep.share import Prepared, Seeding, ShareRequest, ShareResult, prepare, read_metadata
from seedkeep_registrar.store.tables import claims
from tests.support.desk import Desk, right, seeding
from tests.support.registrar import RegistrarUnderTest, Shareable, shareable
from tests.support.web_seed_server import web_seed_server


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    (tmp_path / "desk").mkdir()
    async with aiohttp.ClientSession() as session:
        yield Desk(tmp_path / "desk", session)


async def read(desk: Desk, root: Path, **wishes: object) -> Prepared:
    request = ShareRequest(root, **{"copies": 1, **wishes})  # type: ignore[arg-type]
    return await prepare(
        request,
        checkpoint=desk.path / "checkpoint",
        session=desk.session,
        report=desk.progress.append,
        send=True,
    )


async def copy_appears(registrar: RegistrarUnderTest, what: Shareable) -> None:
    """A node takes it, attests it, and passes its audit."""
    node = registrar.person()
    await node.hold(what)

    def audited(connection: Connection) -> None:
        connection.execute(update(claims).values(audited=registrar.clock()))

    await registrar.context.db.write(audited)


async def test_a_folder_is_recorded_as_what_it_is(
    desk: Desk, registrar: RegistrarUnderTest, tmp_path: Path
) -> None:
    what = shareable()
    root = what.data.write(tmp_path)
    metadata = Metadata("A title", (Creator("Ada"),), (Subject("genomes"),), "long")
    prepared = await read(desk, root, metadata=metadata, license="CC-BY-4.0")
    assert prepared.dataset == what.dataset()
    record = await desk.sharer(registrar.url).register(prepared)
    result = ShareResult.of(record, 0)
    assert result.ark == record.ark
    assert (result.files, result.bytes) == (3, what.data.manifest.bytes)
    assert result.infohash_v1 in result.magnet
    assert result.content_id in result.magnet_v2
    assert result.landing_page == f"{registrar.url}/{record.ark}"
    assert record.body.metadata == metadata
    assert record.body.license == "CC-BY-4.0"
    assert record.event.by == str(desk.key.public)


async def test_the_same_folder_again_finds_its_record_and_reads_nothing(
    desk: Desk, registrar: RegistrarUnderTest, tmp_path: Path
) -> None:
    root = shareable().data.write(tmp_path)
    # a file that changed just now could change again within one tick of the clock: it is read again
    await asyncio.sleep(0.1)
    first = await desk.sharer(registrar.url).register(await read(desk, root))
    desk.progress.clear()
    prepared = await read(desk, root, metadata=Metadata("another title"))
    assert [p.bytes_kept for p in desk.progress if isinstance(p, Progress)][-1] == prepared.dataset.bytes
    again = await desk.sharer(registrar.url).register(prepared)
    assert again.rid == first.rid
    assert any("recorded by you already" in n for n in desk.notes)


async def test_somebody_elses_record_of_the_same_bytes_is_not_mine(
    desk: Desk, registrar: RegistrarUnderTest, tmp_path: Path
) -> None:
    what = shareable()
    theirs = await registrar.person().register(what)
    mine = await desk.sharer(registrar.url).register(await read(desk, what.data.write(tmp_path)))
    assert mine.rid != theirs["rid"]
    assert mine.content_id == theirs["content_id"]


async def test_another_name_makes_another_dataset_and_can_still_be_seeded(
    desk: Desk, registrar: RegistrarUnderTest, tmp_path: Path
) -> None:
    root = shareable().data.write(tmp_path)
    prepared = await read(desk, root, name="renamed")
    sharer = desk.sharer(registrar.url)
    record = await sharer.register(prepared)
    assert record.dataset.name == "renamed"
    seeding = asyncio.ensure_future(sharer.keep_until_copied(prepared, record, 1))
    result = await desk.fetch(record.ark, registrar.url, request=FetchRequest(desk.path / "out"))
    assert (result.path / "big.bin").read_bytes() == (root / "big.bin").read_bytes()
    seeding.cancel()
    with pytest.raises(asyncio.CancelledError):
        await seeding
    assert desk.swarm.engines == []


async def test_it_seeds_until_enough_audited_copies_exist(
    desk: Desk, registrar: RegistrarUnderTest, tmp_path: Path
) -> None:
    what = shareable()
    prepared = await read(desk, what.data.write(tmp_path))
    sharer = desk.sharer(registrar.url)
    record = await sharer.register(prepared)
    told = asyncio.Event()
    desk.on_progress = lambda at: told.set() if isinstance(at, Seeding) else None
    seeding = asyncio.ensure_future(sharer.keep_until_copied(prepared, record, 1))
    await asyncio.wait_for(told.wait(), 20)
    await desk.fetch(record.ark, registrar.url)
    assert right(desk.path / "out", what)
    assert not seeding.done(), "a fetch is not a copy that stays"
    await copy_appears(registrar, what)
    assert (await asyncio.wait_for(seeding, 20)).audited == 1
    assert desk.swarm.engines == []
    # enough copies: nothing to seed any more
    again = await sharer.register(prepared)
    assert (await sharer.keep_until_copied(prepared, again, 1)).audited == 1


async def test_it_stops_when_the_data_is_tainted_meanwhile(
    desk: Desk, registrar: RegistrarUnderTest, tmp_path: Path
) -> None:
    prepared = await read(desk, shareable().data.write(tmp_path))
    sharer = desk.sharer(registrar.url)
    record = await sharer.register(prepared)
    await registrar.curator.taint(f"content:{record.content_id}")
    with pytest.raises(Tainted):
        await sharer.keep_until_copied(prepared, record, 1)
    with pytest.raises(Tainted):
        await sharer.register(prepared)


async def test_the_local_node_seeds_when_it_runs_and_we_do_when_it_does_not(
    desk: Desk, registrar: RegistrarUnderTest, tmp_path: Path
) -> None:
    prepared = await read(desk, shareable().data.write(tmp_path))
    asked: list[str] = []

    async def runs(ingested: object, record: object) -> None:
        asked.append("node")

    async def is_down(ingested: object, record: object) -> None:
        raise Unreachable("no node listens")

    async def cannot_read(ingested: object, record: object) -> None:
        raise UsageError("the node cannot read it")

    record = await desk.sharer(registrar.url).register(prepared)
    assert await desk.sharer(registrar.url, runs).hand_over(prepared, record)
    assert asked == ["node"]
    for node in (None, is_down, cannot_read):
        assert not await desk.sharer(registrar.url, node).hand_over(prepared, record)


async def test_a_web_seed_is_probed_before_it_is_recorded(
    desk: Desk, registrar: RegistrarUnderTest, tmp_path: Path
) -> None:
    what = shareable()
    root = what.data.write(tmp_path / "www")
    async with web_seed_server(tmp_path / "www") as server:
        prepared = await read(desk, root, web_seeds=(server.base,))
        record = await desk.sharer(registrar.url).register(prepared)
        assert record.web_seeds == (server.base,)
        server.corrupt = lambda path: True
        with pytest.raises(VerificationFailed, match="wrong bytes"):
            await read(desk, root, web_seeds=(server.base,))
        server.corrupt, server.ignore_range = (lambda path: False), True
        with pytest.raises(Refused, match="ignores Range"):
            await read(desk, root, web_seeds=(server.base,))
    with pytest.raises(InvalidInput, match="web seed"):
        await read(desk, root, web_seeds=("http://user:secret@example.org/",))


async def test_an_interrupted_upload_of_the_lists_sends_only_what_lacks(
    desk: Desk, registrar: RegistrarUnderTest, tmp_path: Path
) -> None:
    what = shareable()
    person = registrar.person(desk.key)
    sha256, data = next(iter(what.objects.items()))
    await person.send("PUT", f"/api/v1/objects/{sha256}", data)
    record = await desk.sharer(registrar.url).register(await read(desk, what.data.write(tmp_path)))
    assert record.content_id == what.dataset().content_id


async def test_an_object_over_the_registrars_limit_is_said_before_it_is_sent(
    desk: Desk, registrar: RegistrarUnderTest, tmp_path: Path
) -> None:
    prepared = await read(desk, shareable().data.write(tmp_path))
    sharer = desk.sharer(registrar.url)
    info = await sharer.client.info()
    sharer.client._info = dataclasses.replace(info, max_object_bytes=10)
    with pytest.raises(InvalidInput, match="at most 10"):
        await sharer.register(prepared)


async def test_what_cannot_be_shared_is_named(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    with pytest.raises(InvalidInput, match="contains no files"):
        await read(desk, tmp_path / "d")
    (tmp_path / "d/link").symlink_to("/etc/passwd")
    with pytest.raises(InvalidInput, match="link"):
        await read(desk, tmp_path / "d")


def test_metadata_comes_from_json_or_toml(tmp_path: Path) -> None:
    fields = {"title": "T", "creators": ["A", "B"], "subjects": ["s"], "description": "d", "license": "MIT"}
    (tmp_path / "m.json").write_text(json.dumps(fields))
    (tmp_path / "m.toml").write_text(
        'title="T"\ncreators=["A","B"]\nsubjects=["s"]\ndescription="d"\nlicense="MIT"\n'
    )
    expected = (Metadata("T", (Creator("A"), Creator("B")), (Subject("s"),), "d"), "MIT")
    assert read_metadata(tmp_path / "m.json") == expected
    assert read_metadata(tmp_path / "m.toml") == expected
    (tmp_path / "m.json").write_text('{"titel": "T"}')
    with pytest.raises(InvalidInput, match="titel"):
        read_metadata(tmp_path / "m.json")
    for bad in ("[1]", '{"license": 3}'):
        (tmp_path / "m.json").write_text(bad)
        with pytest.raises(UsageError):
            read_metadata(tmp_path / "m.json")
    with pytest.raises(UsageError, match="cannot be read"):
        read_metadata(tmp_path / "none.json")


async def test_a_memory_engine_left_over_would_be_seen(desk: Desk) -> None:
    """The control of the leak checks above: an engine that is not closed stays in the swarm."""
    engine = MemoryEngine(desk.swarm)
    await engine.start()
    assert desk.swarm.engines == [engine]
    await engine.close()
    assert desk.swarm.engines == []


async def test_a_file_that_the_sharer_edits_before_the_seeding_begins_is_not_put_back(
    desk: Desk, registrar: RegistrarUnderTest, tmp_path: Path
) -> None:
    """An upload may take hours between the hashing and the seeding; others may have the old bytes by then."""
    what = shareable()
    root = what.data.write(tmp_path)
    prepared = await read(desk, root)
    sharer = desk.sharer(registrar.url)
    record = await sharer.register(prepared)
    edited, removed = root / "big.bin", root / "sub" / "small.txt"
    edited.write_bytes(b"my new version")
    removed.unlink()
    async with seeding(desk.swarm, what, tmp_path / "peer", 1, 2):
        with pytest.raises(Error, match="changed"):
            await asyncio.wait_for(sharer.keep_until_copied(prepared, record, 1), 60)
    assert edited.read_bytes() == b"my new version"
    assert not removed.exists()


async def test_a_folder_below_a_name_that_is_not_utf8_is_seeded_from_here(
    desk: Desk, registrar: RegistrarUnderTest, tmp_path: Path
) -> None:
    what = shareable()
    home = tmp_path / os.fsdecode(b"M\xfcller")
    home.mkdir()
    prepared = await read(desk, what.data.write(home))

    async def node(ingested: object, record: object) -> None:
        raise AssertionError("a node cannot be told of it")

    sharer = desk.sharer(registrar.url, node)
    record = await sharer.register(prepared)
    seeds = asyncio.ensure_future(sharer.keep_until_copied(prepared, record, 1))
    result = await desk.fetch(record.ark, registrar.url)
    seeds.cancel()
    await asyncio.gather(seeds, return_exceptions=True)
    assert right(result.path.parent, what)
    with pytest.raises(UsageError, match="not UTF-8"):
        await desk.fetch(record.ark, registrar.url, request=FetchRequest(home / "out"))


async def test_a_folder_below_a_name_that_is_not_utf8_can_be_given_to_libtorrent(
    desk: Desk, registrar: RegistrarUnderTest, tmp_path: Path
) -> None:
    what = shareable()
    home = tmp_path / os.fsdecode(b"M\xfcller")
    home.mkdir()
    prepared = await read(desk, what.data.write(home))
    started = asyncio.Event()
    desk.on_progress = lambda at: started.set() if isinstance(at, Seeding) else None
    settings = dataclasses.replace(desk.settings, listen="127.0.0.1")
    sharer = dataclasses.replace(desk.sharer(registrar.url), engine=libtorrent_engine, settings=settings)
    record = await sharer.register(prepared)
    seeds = asyncio.ensure_future(sharer.keep_until_copied(prepared, record, 1))
    waiting = asyncio.ensure_future(started.wait())
    await asyncio.wait([seeds, waiting], timeout=20, return_when=asyncio.FIRST_COMPLETED)
    assert not seeds.done(), seeds.exception()
    seeds.cancel()
    await asyncio.gather(seeds, waiting, return_exceptions=True)
    assert started.is_set()
