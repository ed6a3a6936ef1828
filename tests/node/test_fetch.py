"""Fetching: exactly those bytes, whole or not at all, nothing of the person's overwritten."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from seedkeep import download, fetch
from seedkeep.core.errors import (
    NoSpace,
    NotFound,
    Refused,
    Tainted,
    Unreachable,
    VerificationFailed,
)
from seedkeep.core.manifest import Manifest
from seedkeep.core.metainfo import torrent_v1, torrent_v2
from seedkeep.fetch import FetchRequest
from seedkeep.proof_file import read_proof
from seedkeep.registrar_http import TaintedRecord
from tests.support.desk import Desk, right, seeding
from tests.support.registrar import RegistrarUnderTest, Shareable, shareable
from tests.support.web_seed_server import web_seed_server


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    """A person with an empty desk."""
    (tmp_path / "desk").mkdir()
    async with aiohttp.ClientSession() as session:
        yield Desk(tmp_path / "desk", session)


def leftovers(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.glob(".seedkeep-*"))


async def recorded(registrar: RegistrarUnderTest, what: Shareable, **changes: Any) -> str:
    """Register it; gives the ARK."""
    return str((await registrar.person().register(what, **changes))["ark"])


async def test_a_dataset_comes_from_a_peer_by_its_ark(
    desk: Desk, registrar: RegistrarUnderTest, tmp_path: Path
) -> None:
    what = shareable()
    ark = await recorded(registrar, what)
    async with seeding(desk.swarm, what, tmp_path / "peer"):
        result = await desk.fetch(ark, registrar.url)
    assert right(desk.path / "out", what)
    assert result.path == desk.path / "out" / "sample"
    assert (result.files, result.bytes) == (3, what.data.manifest.bytes)
    assert (result.peers_bytes, result.web_seed_bytes) == (what.data.manifest.bytes, 0)
    assert leftovers(desk.path / "out") == []


async def test_any_name_of_the_dataset_or_a_file_will_do(
    desk: Desk, registrar: RegistrarUnderTest, tmp_path: Path
) -> None:
    what = shareable()
    record = await registrar.person().register(what)
    small = what.data.content["sub/small.txt"]
    whole = [
        record["ark"],
        record["content_id"],
        f"rid:{record['rid']}",
        record["magnet"],
        record["landing_page"],
    ]
    one = [
        f"{record['ark']}/sub/small.txt",
        f"hash://sha256/{hashlib.sha256(small).hexdigest()}",
        f"md5:{hashlib.md5(small).hexdigest()}",
    ]
    async with seeding(desk.swarm, what, tmp_path / "peer"):
        for number, name in enumerate(whole):
            await desk.fetch(name, registrar.url, request=FetchRequest(desk.path / f"w{number}"))
            assert right(desk.path / f"w{number}", what), name
        for number, name in enumerate(one):
            out = desk.path / f"o{number}"
            result = await desk.fetch(name, registrar.url, request=FetchRequest(out))
            assert right(out, what, ["sub/small.txt"]), name
            assert result.path == out / "sample" / "sub" / "small.txt"


async def test_a_single_file_lands_as_that_file(
    desk: Desk, registrar: RegistrarUnderTest, tmp_path: Path
) -> None:
    what = shareable("genome.fa", {"genome.fa": b"ACGT" * 9000})
    ark = await recorded(registrar, what)
    async with seeding(desk.swarm, what, tmp_path / "peer"):
        result = await desk.fetch(ark, registrar.url)
    assert result.path.read_bytes() == b"ACGT" * 9000


async def test_patterns_choose_files(desk: Desk, registrar: RegistrarUnderTest, tmp_path: Path) -> None:
    what = shareable()
    ark = await recorded(registrar, what)
    async with seeding(desk.swarm, what, tmp_path / "peer"):
        result = await desk.fetch(ark, registrar.url, include=("sub/*",), exclude=("*empty",))
        assert right(desk.path / "out", what, ["sub/small.txt"])
        assert result.files == 1
        with pytest.raises(NotFound, match="no file"):
            await desk.fetch(ark, registrar.url, include=("*.bam",))
        with pytest.raises(NotFound, match="has no file"):
            await desk.fetch(f"{ark}/nothing.txt", registrar.url)


async def test_what_is_in_place_is_neither_fetched_nor_touched_again(
    desk: Desk, registrar: RegistrarUnderTest, tmp_path: Path
) -> None:
    what = shareable()
    ark = await recorded(registrar, what)
    async with seeding(desk.swarm, what, tmp_path / "peer"):
        await desk.fetch(ark, registrar.url)
        before = {p: p.stat().st_mtime_ns for p in (desk.path / "out").rglob("*") if p.is_file()}
        (desk.path / "out/sample/sub/small.txt").unlink()
        result = await desk.fetch(ark, registrar.url)
    assert result.peers_bytes == len(what.data.content["sub/small.txt"])
    assert (desk.path / "out/sample/big.bin").stat().st_mtime_ns == before[desk.path / "out/sample/big.bin"]
    assert right(desk.path / "out", what)


async def test_a_differing_file_is_refused_before_anything_is_fetched_and_replaced_with_force(
    desk: Desk, registrar: RegistrarUnderTest, tmp_path: Path
) -> None:
    what = shareable()
    ark = await recorded(registrar, what)
    mine = desk.path / "out/sample/sub/small.txt"
    mine.parent.mkdir(parents=True)
    mine.write_bytes(b"my own notes")
    # nobody seeds: were anything fetched, this would not end at once
    with pytest.raises(Refused, match=r"small\.txt.*nothing was changed"):
        await desk.fetch(ark, registrar.url)
    assert mine.read_bytes() == b"my own notes"
    assert not (desk.path / "out/sample/big.bin").exists()
    async with seeding(desk.swarm, what, tmp_path / "peer"):
        await desk.fetch(ark, registrar.url, force=True)
    assert right(desk.path / "out", what)


async def test_a_directory_in_the_way_is_left_alone_even_with_force(
    desk: Desk, registrar: RegistrarUnderTest
) -> None:
    ark = await recorded(registrar, shareable())
    (desk.path / "out/sample/big.bin/inner").mkdir(parents=True)
    for force in (False, True):
        with pytest.raises(Refused):
            await desk.fetch(ark, registrar.url, force=force)
    (desk.path / "out2").mkdir()
    (desk.path / "out2/sample").write_text("a file where the folder goes")
    with pytest.raises(Refused, match="in the way"):
        await desk.fetch(ark, registrar.url, request=FetchRequest(desk.path / "out2", force=True))


async def test_a_file_that_appears_while_fetching_is_not_overwritten(
    desk: Desk, registrar: RegistrarUnderTest, tmp_path: Path
) -> None:
    what = shareable()
    ark = await recorded(registrar, what)
    mine = desk.path / "out/sample/big.bin"

    def somebody_writes(at: Any) -> None:
        if at.phase == "placing" and not mine.exists():
            mine.parent.mkdir(parents=True)
            mine.write_bytes(b"from elsewhere")

    desk.on_progress = somebody_writes
    async with seeding(desk.swarm, what, tmp_path / "peer"):
        with pytest.raises(Refused, match="appeared meanwhile"):
            await desk.fetch(ark, registrar.url)
    assert mine.read_bytes() == b"from elsewhere"


async def test_an_interrupted_fetch_goes_on_where_it_was(
    desk: Desk, registrar: RegistrarUnderTest, tmp_path: Path
) -> None:
    what = shareable("parts", {f"{n:02}.bin": bytes([n]) * 20_000 for n in range(8)})
    ark = await recorded(registrar, what)
    async with seeding(desk.swarm, what, tmp_path / "peer"):
        work = asyncio.ensure_future(desk.fetch(ark, registrar.url))
        first_bytes = asyncio.Event()
        desk.on_progress = lambda at: first_bytes.set() if at.phase == "fetching" else None
        desk.swarm.hold()
        await asyncio.wait_for(first_bytes.wait(), 20)
        # two files pass, then the person presses Ctrl-C
        out = desk.path / "out"
        desk.swarm.go()
        async with asyncio.timeout(20):
            while not list(out.glob(".seedkeep-*/parts/*.bin")):
                await asyncio.sleep(0.001)
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work
        assert leftovers(out)
        assert not (out / "parts").exists()
        had = sum(p.stat().st_size for p in out.glob(".seedkeep-*/parts/*.bin"))
        result = await desk.fetch(ark, registrar.url)
    assert right(out, what)
    assert result.peers_bytes <= what.data.manifest.bytes
    assert had == 0 or result.peers_bytes < what.data.manifest.bytes


async def test_bytes_left_by_a_killed_fetch_are_believed_only_after_hashing(
    desk: Desk, registrar: RegistrarUnderTest, tmp_path: Path
) -> None:
    what = shareable()
    ark = await recorded(registrar, what)
    work = desk.path / f"out/.seedkeep-{what.dataset().content_id[:16]}/sample"
    work.mkdir(parents=True)
    (work / "big.bin").write_bytes(b"\0" * 100_000)
    async with seeding(desk.swarm, what, tmp_path / "peer"):
        result = await desk.fetch(ark, registrar.url)
    assert right(desk.path / "out", what)
    assert result.peers_bytes == what.data.manifest.bytes


async def test_two_fetches_into_one_place_do_not_disturb_each_other(
    desk: Desk, registrar: RegistrarUnderTest, tmp_path: Path
) -> None:
    what = shareable()
    ark = await recorded(registrar, what)
    async with seeding(desk.swarm, what, tmp_path / "peer"):
        desk.swarm.hold()
        waiting = asyncio.Event()
        desk.on_progress = lambda at: waiting.set() if at.phase == "fetching" else None
        first = asyncio.ensure_future(desk.fetch(ark, registrar.url))
        await asyncio.wait_for(waiting.wait(), 20)
        with pytest.raises(Refused, match="another"):
            await desk.fetch(ark, registrar.url)
        desk.swarm.go()
        await first
    assert right(desk.path / "out", what)


# --- sources ---


async def test_a_web_seed_alone_is_enough(desk: Desk, registrar: RegistrarUnderTest, tmp_path: Path) -> None:
    what = shareable()
    what.data.write(tmp_path / "www")
    async with web_seed_server(tmp_path / "www") as server:
        desk.swarm.web_seeds[server.base] = tmp_path / "www"
        ark = await recorded(registrar, what, web_seeds=(server.base,))
        result = await desk.fetch(ark, registrar.url, peers=False)
    assert right(desk.path / "out", what)
    assert (result.peers_bytes, result.web_seed_bytes) == (0, what.data.manifest.bytes)


async def test_without_peers_or_usable_web_seeds_it_says_so_at_once(
    desk: Desk, registrar: RegistrarUnderTest, tmp_path: Path
) -> None:
    what = shareable()
    bare = await recorded(registrar, what)
    with pytest.raises(Unreachable, match="no web seeds"):
        await desk.fetch(bare, registrar.url, peers=False)
    what.data.write(tmp_path / "www")
    async with web_seed_server(tmp_path / "www") as server:
        ark = await recorded(registrar, shareable(), web_seeds=(server.base,))
        server.status = 403
        with pytest.raises(Unreachable, match="403"):
            await desk.fetch(ark, registrar.url, peers=False)
        server.status, server.corrupt = None, lambda path: True
        with pytest.raises(VerificationFailed, match="wrong bytes"):
            await desk.fetch(ark, registrar.url, peers=False)
    assert not (desk.path / "out/sample").exists()


async def test_a_lying_web_seed_is_left_out_named_and_reported(
    desk: Desk, registrar: RegistrarUnderTest, tmp_path: Path
) -> None:
    what = shareable()
    what.data.write(tmp_path / "www")
    async with web_seed_server(tmp_path / "www") as server, seeding(desk.swarm, what, tmp_path / "peer"):
        server.corrupt = lambda path: True
        ark = await recorded(registrar, what, web_seeds=(server.base,))
        desk.swarm.hold()

        def go_on(at: Any) -> None:
            if desk.notes:
                desk.swarm.go()

        desk.on_progress = go_on
        result = await desk.fetch(ark, registrar.url)
    assert right(desk.path / "out", what)
    assert result.web_seed_bytes == 0
    assert any(server.base in note and "wrong bytes" in note for note in desk.notes)


async def test_a_peer_of_the_companion_alone_will_do_and_is_verified_by_the_v2_roots(
    desk: Desk, registrar: RegistrarUnderTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "_ALONE_S", 0.3)
    what = shareable()
    ark = await recorded(registrar, what)
    async with seeding(desk.swarm, what, tmp_path / "peer", 1):
        result = await desk.fetch(ark, registrar.url)
    assert right(desk.path / "out", what)
    assert result.peers_bytes == what.data.manifest.bytes
    assert any(at.phase == "verifying" for at in desk.progress)


@pytest.mark.parametrize(("files", "version"), [(12, 1), (2, 2)])
async def test_very_many_small_files_come_by_the_v1_companion_at_once(
    desk: Desk,
    registrar: RegistrarUnderTest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    files: int,
    version: int,
) -> None:
    """Only that road is seeded, and the fetch would give up before it tried the other one."""
    monkeypatch.setattr(fetch, "_MANY_PIECES", 10)
    what = shareable("tree", {f"{number}.txt": b"%d" % number for number in range(files)})
    ark = await recorded(registrar, what)
    async with seeding(desk.swarm, what, tmp_path / "peer", version):
        await desk.fetch(ark, registrar.url)
    assert right(desk.path / "out", what)


async def test_wrong_v1_pieces_in_a_record_never_put_wrong_bytes_in_place(
    desk: Desk, registrar: RegistrarUnderTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The v1 hashes are the sharer's claim: here they fit other bytes than the v2 roots do."""
    monkeypatch.setattr(download, "_ALONE_S", 0.3)
    honest, other = shareable(), shareable("sample", {**shareable().data.content, "big.bin": b"x" * 100_000})
    lying = Shareable(honest.data, other.pieces_v1)
    ark = await recorded(registrar, lying)
    liar = Shareable(dataclasses.replace(honest.data, content=other.data.content), other.pieces_v1)
    async with seeding(desk.swarm, liar, tmp_path / "peer", 1):
        with pytest.raises(VerificationFailed, match=r"big\.bin"):
            await desk.fetch(ark, registrar.url)
    assert not (desk.path / "out/sample").exists()


async def test_a_manifest_that_lies_about_md5_is_found_out_until_a_node_has_attested(
    desk: Desk, registrar: RegistrarUnderTest, tmp_path: Path
) -> None:
    honest = shareable()
    files = tuple(
        dataclasses.replace(f, md5="0" * 32) if f.path == "big.bin" else f for f in honest.data.manifest.files
    )
    m = honest.data.manifest
    lying = Shareable(
        dataclasses.replace(honest.data, manifest=Manifest(m.name, m.piece_length, files)), honest.pieces_v1
    )
    ark = await recorded(registrar, lying)
    async with seeding(desk.swarm, honest, tmp_path / "peer"):
        with pytest.raises(VerificationFailed, match=r"big\.bin.*md5"):
            await desk.fetch(ark, registrar.url)
    assert not (desk.path / "out/sample").exists()


async def test_nobody_to_give_the_bytes_ends_with_a_reason_and_keeps_what_came(
    desk: Desk, registrar: RegistrarUnderTest
) -> None:
    desk.settings = dataclasses.replace(desk.settings, stall=0.6)
    ark = await recorded(registrar, shareable())
    with pytest.raises(Unreachable, match="nobody has given a byte"):
        await desk.fetch(ark, registrar.url)
    assert leftovers(desk.path / "out")


async def test_a_full_disk_is_said_before_anything_is_fetched(
    desk: Desk, registrar: RegistrarUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    real = shutil.disk_usage("/")
    monkeypatch.setattr("shutil.disk_usage", lambda path: real._replace(free=1000))
    ark = await recorded(registrar, shareable())
    with pytest.raises(NoSpace, match="free"):
        await desk.fetch(ark, registrar.url)


# --- faults of registrars ---


async def test_with_the_registrar_down_a_fetch_goes_on_from_what_is_remembered(
    desk: Desk, registrar: RegistrarUnderTest, tmp_path: Path
) -> None:
    what = shareable()
    record = await registrar.person().register(what)
    async with seeding(desk.swarm, what, tmp_path / "peer"):
        await desk.fetch(record["ark"], registrar.url)
        nobody = "http://127.0.0.1:9"
        for number, name in enumerate([record["ark"], record["content_id"], record["magnet"]]):
            out = desk.path / f"later{number}"
            await desk.fetch(name, nobody, request=FetchRequest(out))
            assert right(out, what), name
        small = hashlib.md5(what.data.content["sub/small.txt"]).hexdigest()
        await desk.fetch(f"md5:{small}", nobody, request=FetchRequest(desk.path / "one"))
        assert right(desk.path / "one", what, ["sub/small.txt"])
        with pytest.raises(Unreachable):
            await desk.fetch(f"md5:{'0' * 32}", nobody)


@pytest.mark.parametrize("version", [1, 2])
async def test_a_torrent_file_works_without_any_registrar(desk: Desk, tmp_path: Path, version: int) -> None:
    what = shareable()
    m = what.data.manifest
    data = torrent_v2(m, what.data.layers) if version == 2 else torrent_v1(m, what.pieces_v1)
    (tmp_path / "sample.torrent").write_bytes(data)
    resolver = desk.resolver()
    found = await resolver.resolve_torrent(tmp_path / "sample.torrent")
    async with seeding(desk.swarm, what, tmp_path / "peer", version):
        await desk.fetcher(resolver).fetch(found, FetchRequest(desk.path / "out"))
        assert right(desk.path / "out", what)
        again = await desk.fetcher(resolver).fetch(found, FetchRequest(desk.path / "out"))
        assert again.peers_bytes == 0
        (desk.path / "out/sample/big.bin").write_bytes(b"x" * 100_000)
        with pytest.raises(Refused):
            await desk.fetcher(resolver).fetch(found, FetchRequest(desk.path / "out"))
        await desk.fetcher(resolver).fetch(found, FetchRequest(desk.path / "out", force=True))
    assert right(desk.path / "out", what)


async def test_a_tainted_dataset_is_refused_with_the_reason(
    desk: Desk, registrar: RegistrarUnderTest
) -> None:
    record = await registrar.person().register(shareable())
    assert (await registrar.curator.taint(f"content:{record['content_id']}")).status == 201
    with pytest.raises(Tainted, match="a court said so") as caught:
        await desk.fetch(record["ark"], registrar.url)
    assert isinstance(caught.value, TaintedRecord)
    assert caught.value.reasons[0]["category"] == "court-order"


# --- others who may write to the same directory ---


@pytest.mark.parametrize("trick", ["a link to a directory", "a directory open to others"])
async def test_a_working_directory_laid_by_somebody_else_is_not_written_through(
    desk: Desk, registrar: RegistrarUnderTest, tmp_path: Path, trick: str
) -> None:
    what = shareable()
    ark = await recorded(registrar, what)
    precious = tmp_path / "precious" / "sample"
    precious.mkdir(parents=True)
    (precious / "big.bin").write_bytes(b"precious")
    work = desk.path / f"out/.seedkeep-{what.dataset().content_id[:16]}"
    work.parent.mkdir()
    if trick == "a link to a directory":
        work.symlink_to(precious.parent)
    else:
        work.mkdir()
        work.chmod(0o777)
        (work / "sample").symlink_to(precious)
    async with seeding(desk.swarm, what, tmp_path / "peer"):
        with pytest.raises(Refused, match="only you may write to"):
            await desk.fetch(ark, registrar.url)
    assert {p.name: p.read_bytes() for p in precious.iterdir()} == {"big.bin": b"precious"}


async def test_a_dataset_named_like_a_working_directory_is_refused(
    desk: Desk, registrar: RegistrarUnderTest, tmp_path: Path
) -> None:
    """It could bring resume data for the next fetch, which would then believe wrong bytes."""
    other = shareable()
    name = f".seedkeep-{other.dataset().content_id[:16]}"
    what = shareable(
        name, {"sample/big.bin": bytes(100_000), f"{other.dataset().content_id[:40]}.resume": b"x"}
    )
    ark = await recorded(registrar, what)
    async with seeding(desk.swarm, what, tmp_path / "peer"):
        with pytest.raises(Refused, match="fetches work in"):
            await desk.fetch(ark, registrar.url)
    assert not (desk.path / "out" / name).exists()


async def test_the_note_beside_the_data_replaces_no_file_and_writes_through_no_link(
    desk: Desk, registrar: RegistrarUnderTest, tmp_path: Path
) -> None:
    what = shareable()
    ark = await recorded(registrar, what)
    note = desk.path / "out" / ".sample.seedkeep"
    note.parent.mkdir()
    note.write_bytes(b"a file of mine")
    async with seeding(desk.swarm, what, tmp_path / "peer"):
        await desk.fetch(ark, registrar.url)
        assert note.read_bytes() == b"a file of mine"
        note.unlink()
        note.symlink_to(tmp_path / "nothing there")
        await desk.fetch(ark, registrar.url)
        assert not (tmp_path / "nothing there").exists()
        note.unlink()
        await desk.fetch(ark, registrar.url)
        first = note.read_bytes()
        await desk.fetch(ark, registrar.url)
    assert ark.encode() in first
    proof = read_proof(desk.path / "out" / "sample.tlog-proof")
    assert proof is not None
    assert proof.verify(registrar.context.vkey).origin == registrar.context.origin
    assert [p.name for p in note.parent.glob(".*.seedkeep")] == [note.name]
