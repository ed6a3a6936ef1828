"""Bad input and faults as a person meets them: the ``seedkeep`` command says what is wrong and what to do
next, with the exit code that is promised, or goes on; nothing of the person's is lost."""

from __future__ import annotations

import asyncio
import os
import random
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from seedkeep.core.bencode import encode
from seedkeep.core.metainfo import torrent_v2
from seedkeep.engine.model import TorrentSpec
from tests.node.test_cli import Ended, ended, seedkeep, start
from tests.node.test_fetch_for_real import SLOW, dataset, had_some, right
from tests.support.registrar import RegistrarUnderTest, shareable
from tests.support.require import require
from tests.support.torrents import engine
from tests.support.web_seed_server import WebSeedServer, web_seed_server

LONG = "x" * 10_000


def refused(told: Ended, code: int, *words: str) -> None:
    """It failed with this code, in words, with a next step, and not by a mistake of its own."""
    assert told.code == code, told
    assert all(word in told.err for word in words), told.err
    assert "unexpected" not in told.err, told.err
    assert len(told.err) < 3000, "nobody reads ten thousand characters"


# --- what cannot be shared, and names that cannot be ---


def _link(root: Path) -> None:
    (root / "link").symlink_to("/etc/passwd")


def _not_utf8(root: Path) -> None:
    (root / os.fsdecode(b"caf\xe9")).write_bytes(b"x")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda root: None, "contains no files"),
        (lambda root: (root / "empty").touch(), "all its files are empty"),
        (_link, "symbolic link"),
        (_not_utf8, "not UTF-8"),
    ],
    ids=["an empty directory", "only empty files", "a link out of the tree", "a name that is not UTF-8"],
)
async def test_what_cannot_be_shared_is_said_and_nothing_is_sent(
    registrar: RegistrarUnderTest, tmp_path: Path, make: Callable[[Path], None], words: str
) -> None:
    root = tmp_path / "data"
    root.mkdir()
    make(root)
    told = await seedkeep(tmp_path, "share", str(root), "--registrar", registrar.url)
    refused(told, 1, words, "hint:")
    assert (await registrar.person().get("/api/v1/records")).json["records"] == []


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["share", "/etc/hostname", "--dry-run", "--name", LONG], 1),
        (["share", "/etc/hostname", "--dry-run", "--title", LONG], 1),
        (["share", "/etc/hostname", "--dry-run", "--metadata", LONG], 2),
        (["share", f"/tmp/{LONG}", "--dry-run"], 2),
        (["fetch", LONG, "--registrar", "http://127.0.0.1:9"], 2),
        (["fetch", f"{LONG}.torrent", "--registrar", "http://127.0.0.1:9"], 1),
        (["fetch", "md5:" + "0" * 32, "--registrar", f"http://127.0.0.1:9/{LONG}"], 2),
        (["verify", f"/tmp/{LONG}"], 3),
        (["node", "up", "--data", f"/tmp/{LONG}", "--registrar", "http://127.0.0.1:9"], 1),
        (["node", "status", "--data", f"/tmp/{LONG}"], 2),
        (["node", "up", "--config", LONG], 2),
        (["taint", "lift", LONG, "--reason", "x", "--registrar", "http://127.0.0.1:9"], 1),
    ],
)
async def test_ten_thousand_characters_are_refused_in_a_few_words(
    tmp_path: Path, arguments: list[str], code: int
) -> None:
    refused(await seedkeep(tmp_path, *arguments), code, "error:")


async def test_a_directory_of_ten_thousand_characters_takes_no_fetch(
    registrar: RegistrarUnderTest, tmp_path: Path
) -> None:
    record = await registrar.person().register(shareable())
    out = str(tmp_path / LONG)
    told = await seedkeep(tmp_path, "fetch", record["ark"], "--registrar", registrar.url, "-o", out)
    refused(told, 1, "File name too long")


@pytest.mark.parametrize("name", ["../../escaped", "/tmp/escaped", "a\\b", "C:\0x"])
async def test_a_hostile_torrent_file_writes_nothing_anywhere(tmp_path: Path, name: str) -> None:
    info = {b"name": b"ok", b"piece length": 16384, b"pieces": bytes(20), b"length": 5}
    info[b"name"] = name.encode()
    hostile = tmp_path / "hostile.torrent"
    hostile.write_bytes(encode({b"info": info}))
    home, out = tmp_path / "home", tmp_path / "out"
    home.mkdir()
    told = await seedkeep(home, "fetch", str(hostile), "-o", str(out), "--registrar", "http://127.0.0.1:9")
    refused(told, 1, "error:")
    assert not out.exists()
    assert not list(tmp_path.rglob("escaped"))


# --- web seeds that misbehave ---


def _status(code: int) -> Callable[[WebSeedServer], None]:
    return lambda server: setattr(server, "status", code)


FAULTS: dict[str, tuple[Callable[[WebSeedServer], None], int, str]] = {
    "truncates": (lambda s: setattr(s, "truncate", 5000), 1, "truncates"),
    "corrupts": (lambda s: setattr(s, "corrupt", lambda path: True), 5, "wrong bytes"),
    "ignores Range": (lambda s: setattr(s, "ignore_range", True), 1, "ignores Range"),
    "403": (_status(403), 1, "403"),
    "404": (_status(404), 1, "404"),
    "429": (_status(429), 1, "429"),
    "500": (_status(500), 1, "500"),
}


@pytest.mark.parametrize(("fault", "code", "words"), FAULTS.values(), ids=FAULTS.keys())
async def test_a_bad_web_seed_is_named_and_costs_nothing_while_a_peer_has_the_data(
    registrar: RegistrarUnderTest,
    tmp_path: Path,
    fault: Callable[[WebSeedServer], None],
    code: int,
    words: str,
) -> None:
    what = dataset()
    folder = tmp_path / "folder"
    folder.mkdir()
    what.data.write(folder)
    async with web_seed_server(folder) as server, engine() as seed:
        fault(server)
        record = await registrar.person().register(what, web_seeds=(server.base,))
        base = ("fetch", record["ark"], "--registrar", registrar.url, "--json", "-o")
        alone = await start(tmp_path, *base, str(tmp_path / "alone"), "--no-peers")
        both = await start(tmp_path, *base, str(tmp_path / "both"))
        trackers = tuple(record["trackers"])
        torrent = torrent_v2(what.data.manifest, what.data.layers)
        key = what.dataset().content_id
        told = await ended(alone)
        # nobody has the data until the web seed has been found out
        await seed.add(TorrentSpec(torrent, folder, key, trackers=trackers, complete=True))
        went_on = await ended(both)
    assert told.code == code, told
    assert words in told.json["error"]["message"]
    assert server.base in told.json["error"]["message"]
    assert not (tmp_path / "alone" / "reads").exists()
    assert went_on.code == 0, went_on
    assert f"the web seed {server.base} is not used" in went_on.err
    assert went_on.json["web_seed_bytes"] == 0
    assert right(tmp_path / "both", what)


# --- the machine ---


async def test_a_clock_ten_minutes_off_is_named(registrar: RegistrarUnderTest, tmp_path: Path) -> None:
    registrar.clock.offset = 600.0
    root = shareable().data.write(tmp_path)
    told = await seedkeep(tmp_path, "share", str(root), "--registrar", registrar.url, "--copies", "0")
    refused(told, 1, "clock")
    registrar.clock.offset = 0.0
    assert (
        await seedkeep(tmp_path, "share", str(root), "--registrar", registrar.url, "--copies", "0")
    ).code == 0


async def test_a_pledge_too_small_says_how_much_it_takes(
    registrar: RegistrarUnderTest, tmp_path: Path
) -> None:
    node = ("node", "up", "--registrar", registrar.url, "--data", str(tmp_path / "node"))
    refused(await seedkeep(tmp_path, *node, "--pledge", "100kB"), 2, "too small", "Pledge at least")


async def test_a_port_that_is_taken_is_named(registrar: RegistrarUnderTest, tmp_path: Path) -> None:
    record = await registrar.person().register(shareable())
    root = shareable("mine").data.write(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        commands = [
            ("node", "up", "--registrar", registrar.url, "--data", str(tmp_path / "node")),
            ("fetch", record["ark"], "--registrar", registrar.url, "-o", str(tmp_path / "out")),
            ("share", str(root), "--registrar", registrar.url),
        ]
        told = await asyncio.gather(
            *(seedkeep(tmp_path, *c, SEEDKEEP_NODE_PORT=port, SEEDKEEP_CLIENT_PORT=port) for c in commands)
        )
    for each in told:
        refused(each, 1, port, "hint:")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 20 MiB."""
    require(os.geteuid() == 0, "needs root to mount a small tmpfs")
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=20m", "tmpfs", place], check=False)
    require(mounted.returncode == 0, "this machine allows no tmpfs mounts")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", place], check=True)


async def test_a_disk_that_fills_up_under_a_fetch_ends_it_and_it_goes_on_when_there_is_room(
    registrar: RegistrarUnderTest, tmp_path: Path, small_disk: Path
) -> None:
    what = dataset()
    peer = tmp_path / "peer"
    peer.mkdir()
    what.data.write(peer)
    record = await registrar.person().register(what)
    out = small_disk / "out"
    async with engine(up_limit=SLOW) as seed:
        torrent = torrent_v2(what.data.manifest, what.data.layers)
        key = what.dataset().content_id
        await seed.add(TorrentSpec(torrent, peer, key, trackers=tuple(record["trackers"]), complete=True))
        fetch = ("fetch", record["ark"], "-o", str(out), "--registrar", registrar.url, "--json")
        first = await start(tmp_path, *fetch)
        await had_some(out, 500_000)
        ballast = small_disk / "somebody else's"
        await asyncio.to_thread(_fill, ballast)
        seed.set_limits(up=0)
        told = await ended(first)
        assert told.code == 1, told
        assert "No room" in told.json["error"]["message"]
        assert not (out / "reads").exists()
        ballast.unlink()
        assert (await seedkeep(tmp_path, *fetch)).code == 0
    assert right(out, what)


def _fill(place: Path) -> None:
    """Take all room there is."""
    block = random.Random(1).randbytes(1 << 16)
    with place.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(block)
        except OSError:
            return
