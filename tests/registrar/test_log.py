"""The log as others see it: checkpoint, tiles, entries and bodies, as C2SP tlog-tiles has them."""

from __future__ import annotations

import asyncio
import hashlib
import json

from sqlalchemy import Connection, delete
from sqlalchemy.exc import OperationalError

from seedkeep.core.errors import Conflict
from seedkeep.core.events import Event, sign_event
from seedkeep.core.keys import PrivateKey
from seedkeep.core.log.checkpoint import Checkpoint
from seedkeep.core.log.proof import LogProof
from seedkeep.core.log.tiles import parse_bundle
from seedkeep.core.log.tree import EMPTY_ROOT, leaf_hash, root_of_leaves
from seedkeep_registrar.operations.check import log_problems
from seedkeep_registrar.store import events
from seedkeep_registrar.store.tables import bodies
from tests.support.registrar import Person, RegistrarUnderTest, shareable

KEY = PrivateKey(b"l" * 32)


async def head(registrar: RegistrarUnderTest) -> Checkpoint:
    answer = await registrar.person().get("/log/checkpoint")
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    return Checkpoint.open(answer.body, registrar.context.vkey)


async def test_an_empty_log_has_a_signed_head(registrar: RegistrarUnderTest) -> None:
    checkpoint = await head(registrar)
    assert (checkpoint.size, checkpoint.root) == (0, EMPTY_ROOT)
    assert (await registrar.person().get("/log/tile/0/000.p/1")).status == 404


async def test_checkpoint_tile_and_entries_tell_the_same(any_registrar: RegistrarUnderTest) -> None:
    person = any_registrar.person()
    documents = await asyncio.gather(*(person.register(shareable(f"set {i}")) for i in range(5)))
    await any_registrar.curator.taint(f"content:{documents[0]['content_id']}")
    checkpoint = await head(any_registrar)
    assert checkpoint.size == 6
    tile = await person.get("/log/tile/0/000.p/6")
    hashes = [tile.body[at : at + 32] for at in range(0, len(tile.body), 32)]
    assert root_of_leaves(hashes) == checkpoint.root
    bundle = await person.get("/log/tile/entries/000.p/6", headers={"Accept-Encoding": "identity"})
    entries = parse_bundle(bundle.body, 6)
    assert [leaf_hash(entry) for entry in entries] == hashes
    assert [Event.parse(entry).type for entry in entries] == [*["record"] * 5, "taint"]
    for answer in (tile, bundle):
        assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
        assert answer.headers["Content-Type"] == "application/octet-stream"
    # what was served for a smaller tree goes on to be
    assert (await person.get("/log/tile/0/000.p/2")).body == tile.body[:64]
    assert parse_bundle((await person.get("/log/tile/entries/000.p/2")).body, 2) == entries[:2]


async def test_what_is_no_tile_of_this_log_is_not_found(registrar: RegistrarUnderTest) -> None:
    person = registrar.person()
    await person.register(shareable())
    for path in (
        *("0/000", "0/000.p/2", "0/001.p/1", "1/000.p/1", "entries/000", "entries/001.p/1"),
        *("0/000.p/0", "0/0", "0/000.p/256", "64/000.p/1", "-1/000.p/1", "0/x000/000.p/1", "0/000.p/01"),
    ):
        assert (await person.get(f"/log/tile/{path}")).status == 404, path
    assert (await person.get("/log/tile/0/000.p/1")).status == 200


async def test_the_checkpoint_is_asked_for_again_by_its_etag(registrar: RegistrarUnderTest) -> None:
    person = registrar.person()
    await person.register(shareable("one"))
    first = await person.get("/log/checkpoint")
    tag = {"If-None-Match": first.headers["ETag"]}
    assert (await person.get("/log/checkpoint", headers=tag)).status == 304
    await person.register(shareable("two"))
    assert (await person.get("/log/checkpoint", headers=tag)).status == 200


async def test_a_record_keeps_its_proof(any_registrar: RegistrarUnderTest) -> None:
    person = any_registrar.person()
    first = await person.register(shareable("first"))
    await person.register(shareable("second"))
    again = (await person.get(f"/api/v1/records/{first['rid']}")).json
    assert again["proof"] == first["proof"]
    proof, leaf = LogProof.parse(first["proof"]), Event.parse(first["event"]).leaf()
    assert proof.verify(leaf, any_registrar.context.vkey).size == 1


async def test_no_size_is_signed_twice_and_idle_writes_sign_nothing(registrar: RegistrarUnderTest) -> None:
    person = registrar.person()
    await person.register(shareable())
    before = (await person.get("/log/checkpoint")).body
    await registrar.context.db.write(lambda connection: None)
    await registrar.context.taint_head.refresh()
    assert (await person.get("/log/checkpoint")).body == before


def _append(connection: Connection, registrar: RegistrarUnderTest, number: int, fail: bool) -> None:
    body = b"%d" % number
    home, created = registrar.context.origin, "2026-01-31T12:00:00Z"
    event = sign_event(KEY, type="record", body=body, home=home, created=created)
    events.append(connection, events.lock(connection), event, body, now=1.0)
    if fail:
        raise Conflict("on purpose")


def _problems(connection: Connection, registrar: RegistrarUnderTest) -> list[str]:
    return list(log_problems(connection, registrar.context.vkey, lambda what, done: None))


async def test_what_fails_leaves_no_trace_in_the_tree(any_registrar: RegistrarUnderTest) -> None:
    db = any_registrar.context.db
    work = (db.write(_append, any_registrar, n, n % 3 == 0) for n in range(60))
    done = await asyncio.gather(*work, return_exceptions=True)
    assert sum(isinstance(one, Conflict) for one in done) == 20
    assert (await head(any_registrar)).size == 40
    assert await db.read(_problems, any_registrar) == []


async def test_a_transaction_that_comes_to_nothing_signs_nothing(registrar: RegistrarUnderTest) -> None:
    db, failures = registrar.context.db, [OperationalError("COMMIT", {}, Exception("disk full"))]
    seal = db._before_commit

    def seal_and_fail_once(connection: Connection) -> None:
        seal(connection)
        if failures:
            raise failures.pop()

    await db.write(_append, registrar, 0, False)
    db.before_commit(seal_and_fail_once)
    await asyncio.gather(*(db.write(_append, registrar, n, False) for n in range(1, 9)))
    db.before_commit(seal)
    await db.write(_append, registrar, 9, False)
    assert failures == []
    assert (await head(registrar)).size == 10
    assert await db.read(_problems, registrar) == []


async def test_bodies_and_objects_are_found_by_their_digest(any_registrar: RegistrarUnderTest) -> None:
    person, what = any_registrar.person(), shareable()
    document = await person.register(what)
    digest = document["event"]["body_sha256"]
    body = await person.get(f"/objects/{digest}")
    assert (body.status, hashlib.sha256(body.body).hexdigest()) == (200, digest)
    assert json.loads(body.body) == document["body"]
    manifest = await person.get(f"/objects/{what.dataset().manifest}")
    assert manifest.body == what.data.manifest.encode()
    assert (await person.get(f"/objects/{'0' * 64}")).status == 404
    assert (await person.get("/objects/x")).status == 400
    await any_registrar.curator.taint(f"record:{document['rid']}")
    for name in (digest, what.dataset().manifest):
        assert (await person.get(f"/objects/{name}")).status == 451


async def test_the_log_stays_whole_without_a_body(registrar: RegistrarUnderTest) -> None:
    person = registrar.person()
    document = await person.register(shareable())

    def drop(connection: Connection) -> None:
        connection.execute(delete(bodies))

    await registrar.context.db.write(drop)
    assert (await person.get(f"/objects/{document['event']['body_sha256']}")).status == 404
    assert (await person.get("/log/tile/entries/000.p/1")).status == 200


async def test_entries_come_packed_to_who_takes_that(registrar: RegistrarUnderTest) -> None:
    person: Person = registrar.person()
    await person.register(shareable())
    plain = await person.get("/log/tile/entries/000.p/1", headers={"Accept-Encoding": "identity"})
    packed = await person.get("/log/tile/entries/000.p/1", headers={"Accept-Encoding": "gzip"})
    assert packed.headers["Content-Encoding"] == "gzip"
    assert packed.headers["Vary"] == plain.headers["Vary"] == "Accept-Encoding"
    assert packed.body == plain.body  # unpacked on the way


async def test_the_well_known_document_leads_to_the_log(registrar: RegistrarUnderTest) -> None:
    known = (await registrar.person().get("/.well-known/seedkeep")).json
    assert known["log"]["url"] == f"{registrar.url}/log"
    assert known["log"]["vkey"] == known["vkey"]
    assert known["log"]["cosigner"].startswith(known["origin"] + "+")
