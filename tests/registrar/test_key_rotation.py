"""The key of a registrar: protected by recovery keys, rotated while it is stopped; clients follow."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from seedkeep.core.errors import UsageError, VerificationFailed
from seedkeep.core.keyring import KeyRing, TrustedKeys
from seedkeep.core.keys import PrivateKey
from seedkeep.core.taints.head import Head
from seedkeep.core.taints.trusted import TrustedTaints
from seedkeep.known import KnownRegistrars
from seedkeep_registrar import rotation
from seedkeep_registrar.cli import registrar as command
from seedkeep_registrar.operations.reading import reading
from seedkeep_registrar.operations.writing import writing
from tests.support.registrar import RegistrarUnderTest, new_key, shareable, start_registrar


async def run(data: Path, *arguments: str, fails: bool = False, database_url: str = "") -> Any:
    """``seedkeep registrar key …`` of the registrar in ``data``."""
    told = ["key", *arguments, "--data", str(data), "--json"]
    told += ["--database-url", database_url] if database_url else []
    result = await asyncio.to_thread(CliRunner().invoke, command, told)
    assert bool(result.exit_code) is fails, (result.output, result.exception)
    return result.exception if fails else json.loads(result.output)


def files(folder: Path, count: int) -> list[str]:
    """PEM files of that many recovery keys."""
    places = [folder / f"recovery-{n}.pem" for n in range(count)]
    for place in places:
        place.write_bytes(new_key().to_pem())
    return [str(place) for place in places]


async def head_of(running: RegistrarUnderTest, taints: TrustedTaints) -> None:
    person = running.person()
    note = (await person.get("/api/v1/taints/head")).body
    if taints.load_head(note, now=time.time()):
        digest = Head.open(note, running.context.vkey).list_sha256
        taints.load_list((await person.get(f"/api/v1/taints/lists/{digest}")).body)


async def test_a_protected_key_is_rotated_and_everybody_follows(tmp_path: Path) -> None:
    data, keys = tmp_path / "registrar", files(tmp_path, 3)
    known = KnownRegistrars(tmp_path / "known_registrars")
    async with start_registrar(data) as running:
        port = running.url.rpartition(":")[2]
        document = await running.person().register(shareable())
        await running.curator.taint("content:" + "ab" * 32)

        def client(pinned: KnownRegistrars, of: RegistrarUnderTest) -> Any:
            return pinned.client(of.url, key=None, session=of.session, now=time.time)

        first = (await client(known, running).info()).vkey
        taints = TrustedTaints(first)
        await head_of(running, taints)
        busy = await run(data, "rotate", fails=True)
        assert "another registrar is running" in str(busy)
    shown = await run(data, "protect", *keys, "--threshold", "2", "--sign", keys[0], "--sign", keys[1])
    assert (shown["version"], shown["protected"], shown["threshold"]) == (1, True, 2)
    few = await run(data, "rotate", "--sign", keys[2], fails=True)
    assert "signed by 1 of the 2 keys" in str(few)
    assert (await run(data, "show"))["vkey"] == str(first)
    rotated = await run(data, "rotate", "--sign", keys[1], "--sign", keys[2])
    assert (rotated["version"], rotated["vkey"] == str(first)) == (2, False)
    async with start_registrar(data, listen=f"127.0.0.1:{port}") as running:
        for pins in (known, KnownRegistrars(tmp_path / "new" / "known_registrars")):
            info = await client(pins, running).info()
            assert (str(info.vkey), info.former) == (rotated["vkey"], (first,))
            assert str(pins.verifier(running.url)) == rotated["vkey"]
            # what was recorded before is proved under the new key
            assert (await client(pins, running).record(document["rid"])).rid == document["rid"]
        with pytest.raises(VerificationFailed):
            await head_of(running, taints)
        taints.rotate(info.vkey)
        await head_of(running, taints)
        assert [e.subject.value for e in taints.entries] == ["ab" * 32]
        await running.person().register(shareable("another"))
    async with start_registrar(data, listen=f"127.0.0.1:{port}") as running:
        await client(known, running).info()


async def test_key_compromise_the_thief_is_refused_before_and_after_the_rotation(tmp_path: Path) -> None:
    data, keys = tmp_path / "registrar", files(tmp_path, 2)
    async with start_registrar(data) as running:
        origin, listen = running.context.origin, running.url.removeprefix("http://")
    await run(data, "protect", *keys, "--threshold", "2", *(f"--sign={key}" for key in keys))
    stolen = PrivateKey.from_pem((data / "registrar.pem").read_bytes())
    with reading(f"sqlite:///{data / 'registrar.sqlite'}") as connection:
        client = rotation.trusted_keys(connection, origin, stolen.public)
    mallory = new_key()
    for recovery, threshold in (((mallory.public,), 1), (client.ring.recovery, 2)):
        ring = KeyRing(origin, 2, mallory.public, recovery, threshold)
        with pytest.raises(VerificationFailed):
            client.load(ring.sign([stolen, mallory]))
    await run(data, "rotate", *(f"--sign={key}" for key in keys))
    async with start_registrar(data, listen=listen) as running:
        note = (await running.person().get("/.well-known/seedkeep/keys/2")).body
        assert (await running.person().get("/.well-known/seedkeep/keys/3")).status == 404
    client.load(note)
    with pytest.raises(VerificationFailed):
        client.check(client.former[0], 2)
    digest = hashlib.sha256(b"").hexdigest()
    forged = Head(origin, 1, 1, digest, int(time.time()) + 3600).sign(stolen)
    with pytest.raises(VerificationFailed):
        TrustedTaints(client.verifier).load_head(forged, now=time.time())


async def test_a_rotation_that_was_cut_off_is_finished_or_dropped(tmp_path: Path, database_url: str) -> None:
    data = tmp_path / "registrar"
    where: dict[str, Any] = {"database_url": database_url}
    async with start_registrar(data, **where) as running:
        listen = running.url.removeprefix("http://")
        await running.person().register(shareable())
        url = running.context.settings.sqlalchemy_url
    present = rotation.private_key(data / "registrar.pem")
    rotation.prepare(data, bytes(32))  # … and no more
    assert (await run(data, "finish", **where))["finished"] is False
    assert rotation.private_key(data / "registrar.pem").public == present.public
    online = rotation.prepare(data, b"n" * 32)
    with writing(url) as connection:
        trusted = TrustedKeys.pinned(running.context.vkey)
        how: dict[str, Any] = {"online": online, "recovery": (), "threshold": 0, "signers": (), "now": 1.0}
        rotation.advance(connection, trusted, present, **how)
    with pytest.raises(UsageError, match="is not the key that version 1") as caught:
        async with start_registrar(data, listen=listen, **where):
            pass
    assert "key finish" in caught.value.hint
    assert (await run(data, "finish", **where))["finished"] is True
    async with start_registrar(data, listen=listen, **where) as running:
        assert running.context.vkey == trusted.verifier
