"""Snapshots, restoring them, checking, and that no old database comes back unnoticed."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import hashlib
import json
import shutil
import sqlite3
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import Connection, func, select

from seedkeep.cli.main import cli
from seedkeep.core import jcs
from seedkeep.core.errors import UsageError
from seedkeep.core.keys import PrivateKey
from seedkeep_registrar.operations.snapshot import LEFT_OUT, Head, kept_tables
from seedkeep_registrar.store import peers
from seedkeep_registrar.store.search_tables import search_documents
from seedkeep_registrar.store.tables import metadata
from tests.support.federating import agree, commanded, known, poke, until
from tests.support.lying_registrar import lying_registrar
from tests.support.ports import free_port
from tests.support.registrar import RegistrarUnderTest, new_key, shareable, start_registrar


def run(*arguments: str, code: int = 0) -> Any:
    """A command of the registrar with ``--json``; its object."""
    found = CliRunner().invoke(cli, ["registrar", *arguments, "--json"])
    assert found.exit_code == code, (found.output, found.exception)
    assert "Traceback" not in found.output
    return json.loads(found.stdout)


@asynccontextmanager
async def at(port: int, data: Path, database_url: str = "") -> AsyncIterator[RegistrarUnderTest]:
    async with start_registrar(data, database_url=database_url, listen=f"127.0.0.1:{port}") as registrar:
        yield registrar


def where(data: Path, database_url: str) -> list[str]:
    return ["--data", str(data), *(["--database-url", database_url] if database_url else [])]


def test_every_table_is_in_a_snapshot_or_left_out_on_purpose() -> None:
    assert {table.name for table in kept_tables()} | LEFT_OUT >= set(metadata.tables)
    assert not {table.name for table in kept_tables()} & LEFT_OUT


async def test_a_snapshot_of_a_running_registrar_is_restored_into_the_other_kind_of_database(
    tmp_path: Path, database_url: str, request: pytest.FixtureRequest
) -> None:
    other = "" if database_url else str(request.getfixturevalue("postgres_url"))
    port, old, new = free_port(), tmp_path / "old", tmp_path / "new"
    async with at(port, old, database_url) as registrar:
        person = registrar.person()
        kept = await person.register(shareable("kept"))
        tainted = await person.register(shareable("tainted"))
        await registrar.curator.taint(f"content:{tainted['content_id']}")
        taken = await asyncio.to_thread(run, "backup", str(tmp_path / "snapshots"), *where(old, database_url))
        assert (taken["origin"], taken["events"]) == (registrar.context.origin, 3)
        later = await asyncio.to_thread(run, "check", *where(old, database_url))
        assert later["problems"] == []
    place = Path(taken["snapshot"])
    assert stat.S_IMODE((place / "registrar.pem").stat().st_mode) == 0o600
    back = await asyncio.to_thread(run, "restore", str(place), *where(new, other))
    assert back["events"] == 3
    async with at(port, new, other) as registrar:
        person = registrar.person()
        again = (await person.get(f"/api/v1/records/{kept['rid']}")).json
        assert (again["event"], again["proof"]) == (kept["event"], kept["proof"])
        assert (await person.get(f"/api/v1/records/{tainted['rid']}")).status == 451
        assert (await person.get(f"/torrents/{kept['content_id']}.torrent")).status == 200
        assert await registrar.context.db.read(_found_by_search) == 1
        more = await person.register(shareable("more"))
        assert more["index"] == 3
        assert (await asyncio.to_thread(run, "check", *where(new, other)))["problems"] == []


def _found_by_search(connection: Connection) -> int:
    return int(connection.execute(select(func.count()).select_from(search_documents)).scalar_one())


async def test_nothing_is_restored_over_what_is_there_or_from_an_old_snapshot(tmp_path: Path) -> None:
    port, data, place = free_port(), tmp_path / "data", tmp_path / "snapshots"
    async with at(port, data) as registrar:
        first = await asyncio.to_thread(run, "backup", str(place), "--data", str(data))
        await registrar.person().register(shareable())
        registrar.clock.offset += 5
    shutil.move(first["snapshot"], place / "20200101T000000Z")
    second = await asyncio.to_thread(run, "backup", str(place), "--data", str(data))
    over = run("restore", second["snapshot"], "--data", str(data), code=1)
    assert "holds a registrar already" in over["error"]["message"]
    older = run("restore", str(place / "20200101T000000Z"), "--data", str(tmp_path / "new"), code=1)
    assert "newer snapshot" in older["error"]["message"]
    assert not (tmp_path / "new" / "registrar.pem").exists()
    assert run("check", "--data", str(data))["problems"] == []


@pytest.mark.parametrize("what", ["a row", "a table", "an object", "the contents", "the note", "the key"])
async def test_a_damaged_snapshot_is_refused_and_leaves_nothing(tmp_path: Path, what: str) -> None:
    port, data, new = free_port(), tmp_path / "data", tmp_path / "new"
    async with at(port, data) as registrar:
        await registrar.person().register(shareable())
        taken = await asyncio.to_thread(run, "backup", str(tmp_path / "snapshots"), "--data", str(data))
    place = Path(taken["snapshot"])
    table = place / "tables" / "events.jsonl.gz"
    match what:
        case "a row":
            lines = gzip.decompress(table.read_bytes()).replace(b'"seq":0', b'"seq":1')
            table.write_bytes(gzip.compress(lines))
        case "a table":
            table.write_bytes(table.read_bytes()[:-9])
        case "an object":
            one = next(p for p in (tmp_path / "snapshots" / "objects").rglob("*") if p.is_file())
            one.write_bytes(one.read_bytes()[:-1] + b"!")
        case "the contents":
            path = place / "snapshot.json"
            path.write_bytes(path.read_bytes().replace(b'"size":1', b'"size":0'))
        case "the note":
            (place / "snapshot.note").unlink()
        case "the key":
            (place / "registrar.pem").write_bytes(new_key().to_pem())
    CliRunner().invoke(cli, ["registrar", "restore", str(place), "--data", str(new)])
    found = CliRunner().invoke(cli, ["registrar", "restore", str(place), "--data", str(new), "--json"])
    assert found.exit_code in (2, 5), found.output
    assert "Traceback" not in found.output
    assert not (new / "registrar.pem").exists()
    assert not (new / "objects").exists()
    new.mkdir(exist_ok=True)
    with contextlib.closing(sqlite3.connect(new / "registrar.sqlite")) as database:
        made = database.execute("SELECT count(*) FROM sqlite_master WHERE name = 'log'").fetchone()[0]
        assert not made or database.execute("SELECT count(*) FROM log").fetchone() == (0,)


async def test_a_snapshot_cannot_write_beside_the_data_folder(tmp_path: Path) -> None:
    port, data = free_port(), tmp_path / "data"
    async with at(port, data) as registrar:
        await registrar.person().register(shareable())
        taken = await asyncio.to_thread(run, "backup", str(tmp_path / "a" / "snapshots"), "--data", str(data))
    place = Path(taken["snapshot"])
    table, contents = place / "tables" / "objects.jsonl.gz", place / "snapshot.json"
    first, *others = gzip.decompress(table.read_bytes()).splitlines(keepends=True)
    row = {**json.loads(first), "sha256": "../../written"}
    rows = b"".join([json.dumps(row, separators=(",", ":")).encode() + b"\n", *others])
    table.write_bytes(gzip.compress(rows))
    said = json.loads(contents.read_bytes())
    said["tables"]["objects"]["sha256"] = hashlib.sha256(rows).hexdigest()
    contents.write_bytes(jcs.dumps(said))
    key = PrivateKey.from_pem((place / "registrar.pem").read_bytes())
    digest = hashlib.sha256(contents.read_bytes()).hexdigest()
    (place / "snapshot.note").write_text(Head(said["origin"], said["size"], said["root"], digest).sign(key))
    (tmp_path / "written").write_text("by somebody")
    new = tmp_path / "b" / "c" / "new"
    new.parent.mkdir(parents=True)
    refused = run("restore", str(place), "--data", str(new), code=5)
    assert "names an object" in refused["error"]["message"]
    assert not (tmp_path / "b" / "written").exists()


async def is_active(registrar: RegistrarUnderTest, origin: str) -> bool:
    return (await known(registrar, origin)).state == peers.ACTIVE


@pytest.mark.parametrize("way", ["heard", "paused"])
async def test_a_restored_registrar_takes_nothing_before_its_peers_were_heard(
    tmp_path: Path, way: str
) -> None:
    port, old, new = free_port(), tmp_path / "old", tmp_path / "new"
    async with lying_registrar() as peer:
        async with at(port, old) as registrar:
            await agree(registrar, peer.vkey, peer.url)
            await until(lambda: is_active(registrar, peer.origin))
            peer.mirrors[peers.name_of(registrar.context.origin)] = ([], "it cannot say")
        taken = await asyncio.to_thread(run, "backup", str(tmp_path / "snapshots"), *where(old, ""))
        back = await asyncio.to_thread(run, "restore", taken["snapshot"], *where(new, ""))
        assert back["waited_for"] == 1
        async with at(port, new) as registrar:
            person, what = registrar.person(), shareable()
            await person.upload(what)
            body = what.body().encode()
            await poke(registrar, peer.origin)
            refused = await person.submit(person.event(body), body)
            assert (refused.status, "restored from a backup" in refused.json["detail"]) == (503, True)
            if way == "paused":
                looked = await asyncio.to_thread(run, "doctor", *where(new, ""), code=1)
                (told,) = [found for found in looked["findings"] if peer.origin in found["about"]]
                assert "a backup was restored" in told["what"]
                await commanded(registrar, "pause", peer.origin)
                alone = where(tmp_path / "alone", "")
                back = await asyncio.to_thread(run, "restore", taken["snapshot"], *alone, "--alone")
                assert back["waited_for"] == 0
            else:
                peer.mirrors.clear()
                await poke(registrar, peer.origin)
            assert (await person.submit(person.event(body), body)).status == 201


async def test_a_database_older_than_the_last_answer_does_not_start(tmp_path: Path) -> None:
    port, data = free_port(), tmp_path / "data"
    async with at(port, data) as registrar:
        await registrar.person().register(shareable("one"))
    old = {path: path.read_bytes() for path in data.glob("registrar.sqlite*")}
    async with at(port, data) as registrar:
        await registrar.person().register(shareable("two"))
    for path in data.glob("registrar.sqlite*"):
        path.unlink()
    for path, content in old.items():
        path.write_bytes(content)
    with pytest.raises(UsageError, match="1 events that were acknowledged are missing"):
        async with at(port, data):
            pass


async def test_a_database_with_another_log_than_was_acknowledged_does_not_start(tmp_path: Path) -> None:
    port, data = free_port(), tmp_path / "data"
    async with at(port, data):
        pass
    empty = (data / "registrar.sqlite").read_bytes()
    async with at(port, data) as registrar:
        await registrar.person().register(shareable("one"))
    note = (data / "acknowledged.note").read_bytes()
    for path in data.glob("registrar.sqlite*"):
        path.unlink()
    (data / "acknowledged.note").unlink()
    (data / "registrar.sqlite").write_bytes(empty)
    async with at(port, data) as registrar:
        await registrar.person().register(shareable("another"))
    (data / "acknowledged.note").write_bytes(note)
    with pytest.raises(UsageError, match="its log is another one"):
        async with at(port, data):
            pass


async def test_events_that_have_no_tiles_yet_are_sealed_at_the_start(tmp_path: Path) -> None:
    port, data = free_port(), tmp_path / "data"
    async with at(port, data) as registrar:
        document = await registrar.person().register(shareable("one"))
    with contextlib.closing(sqlite3.connect(data / "registrar.sqlite")) as database:
        for table in ("log_tiles", "checkpoints"):
            database.execute(f"DELETE FROM {table}")
        database.commit()
    async with at(port, data) as registrar:
        again = (await registrar.person().get(f"/api/v1/records/{document['rid']}")).json
        assert again["proof"] == document["proof"]
    assert run("check", "--data", str(data))["problems"] == []


async def test_an_export_has_the_whole_log_and_grows_with_it(tmp_path: Path) -> None:
    data, copy = tmp_path / "data", tmp_path / "copy"
    where = [str(copy), "--data", str(data)]
    async with start_registrar(data) as registrar:
        person = registrar.person()
        first = await person.register(shareable("one"))
        told = await asyncio.to_thread(run, "export-log", *where)
        assert (told["events"], told["tiles"], told["bodies"]) == (1, 2, 1)
        await person.register(shareable("two"))
        await registrar.curator.taint(f"record:{first['rid']}")
        told = await asyncio.to_thread(run, "export-log", *where)
        assert (told["events"], told["bodies"]) == (3, 2)
        for path in ("checkpoint", "tile/0/000.p/3", "tile/entries/000.p/3"):
            assert (copy / "log" / path).read_bytes() == (await person.get(f"/log/{path}")).body
    assert not (copy / "objects" / first["event"]["body_sha256"]).exists()


async def test_check_finds_every_kind_of_damage(tmp_path: Path) -> None:
    port, data = free_port(), tmp_path / "data"
    async with at(port, data) as registrar:
        for name in ("one", "two"):
            await registrar.person().register(shareable(name))
    with contextlib.closing(sqlite3.connect(data / "registrar.sqlite")) as database:
        database.execute("UPDATE log_tiles SET data = zeroblob(64) WHERE level = 0")
        database.execute("UPDATE checkpoints SET root = zeroblob(32) WHERE size = 1")
        database.execute("UPDATE bodies SET body = x'7b7d' WHERE rowid = 2")
        database.execute("DELETE FROM files WHERE path = 'big.bin' AND manifest_id = 1")
        database.commit()
    objects = sorted(p for p in (data / "objects").rglob("*") if p.is_file())
    objects[0].unlink()
    objects[1].write_bytes(b"rotten")
    found = "\n".join(run("check", "--data", str(data), code=5)["problems"])
    damaged = ("tile/0/000 is not what", "checkpoint of size 1 is not what")
    for said in (*damaged, "of its 3 files are indexed", "No such file", "are damaged"):
        assert said in found
    assert "event 1" in found


async def test_the_doctor_says_what_to_mend(tmp_path: Path) -> None:
    port, data = free_port(), tmp_path / "data"
    async with at(port, data):
        config = tmp_path / "registrar.toml"
        config.write_text(f'public_url = "http://127.0.0.1:{port}"\ndata = "{data}"\n')
        good = await asyncio.to_thread(run, "doctor", "--config", str(config))
        found = {(f["about"], f["level"]) for f in good["findings"]}
        assert {("public_url", "ok"), ("database", "ok"), ("naan", "warning"), ("mail", "warning")} <= found
        assert ("log", "ok") in found
        (data / "registrar.pem").chmod(0o644)
        bad = await asyncio.to_thread(run, "doctor", "--config", str(config), code=1)
        assert any(f["level"] == "failure" and "chmod 600" in f["hint"] for f in bad["findings"])
    away = await asyncio.to_thread(run, "doctor", "--config", str(config), code=1)
    assert any(f["about"] == "public_url" and f["level"] == "failure" for f in away["findings"])


def test_commands_say_what_is_wrong_with_their_arguments(tmp_path: Path) -> None:
    for command in (["backup", str(tmp_path / "to")], ["check"]):
        said = run(*command, "--data", str(tmp_path / "nowhere"), code=2)
        assert "there is no registrar" in said["error"]["message"]
    said = run("restore", str(tmp_path / "nothing"), "--data", str(tmp_path / "new"), code=2)
    assert "no whole snapshot" in said["error"]["message"]
