"""Editing, history, versions and withdrawal from the command line and the client, honest and hostile."""

from __future__ import annotations

import dataclasses
import json
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from seedkeep import keystore
from seedkeep.config import Places
from seedkeep.core import jcs
from seedkeep.core.errors import Error, InvalidInput, VerificationFailed
from seedkeep.core.events import sign_event
from seedkeep.core.identifiers import parse
from seedkeep.core.keys import PrivateKey
from seedkeep.core.metadata import Metadata
from seedkeep.core.revision import RecordState, RevisionBody, WithdrawalBody
from seedkeep.record_document import Record, lacks_chain
from seedkeep.registrar_client import RegistrarClient
from seedkeep.registrar_http import ToldWithdrawn
from seedkeep.registrar_records import WithdrawnRecord
from seedkeep.versions import check_version
from tests.node.test_cli import environment, seedkeep
from tests.support.datasets import dataset_of
from tests.support.registrar import Person, RegistrarUnderTest, new_key, shareable
from tests.support.registrar_simulator import RegistrarSimulator

NOW = "2026-01-31T12:00:00Z"


# --- what a registrar may say, and what not -------------------------------------------------------------


class Forger:
    """A registrar that makes documents of one record with any events after the first."""

    def __init__(self) -> None:
        self.sim = RegistrarSimulator(time.time)
        content_id = self.sim.register(dataset_of("a", {"a": b"x" * 10}))
        self.first = self.sim.records[self.sim.rid_of(content_id)]
        self.state = self.first.state
        self.entries: list[dict[str, Any]] = []

    def add(self, key: PrivateKey, body: bytes, kind: str = "revision", **changes: Any) -> None:
        """Append an event by anybody, to the log."""
        event = sign_event(
            key, type=kind, body=body, home=self.state.home, created=NOW, after=self.state.head
        )
        event = dataclasses.replace(event, **changes)
        entry = {"event": jcs.loads(event.leaf()), "body": jcs.loads(body)}
        self.entries.append({**entry, "proof": self.sim.log.append(event)})
        if kind == "revision":
            self.state = self.state.revised(event, RevisionBody.parse(body))
        else:
            self.state = self.state.ended(event, WithdrawalBody.parse(body))

    def document(self, **changes: Any) -> dict[str, Any]:
        """The record document; ``changes`` are lies in it."""
        honest = {
            **self.first.document,
            "seq": len(self.entries),
            "head": self.state.head.hash(),
            "metadata": self.state.metadata.encode(),
            "stewards": list(self.state.stewards),
            "withdrawn": {"reason": self.state.note} if self.state.withdrawn else None,
            "chain": self.entries,
        }
        return {**honest, **changes}

    def parsed(self, **changes: Any) -> Record:
        return Record.parse(self.document(**changes), self.sim.verifier)


def test_an_honest_chain_is_believed() -> None:
    forger = Forger()
    body = forger.state.revision(metadata=Metadata(title="better"), note="why").encode()
    forger.add(forger.sim.sharer, body)
    forger.add(forger.sim.key, forger.state.revision(copies=5).encode())
    record = forger.parsed()
    assert [s.head.seq for s in record.states] == [0, 1, 2]
    assert (record.state.metadata.title, record.state.copies) == ("better", 5)
    assert lacks_chain({"seq": 2})
    assert not lacks_chain(record.document)
    forger.add(forger.sim.sharer, WithdrawalBody("enough").encode(), "withdrawal")
    assert forger.parsed().state.withdrawn


def _invented(forger: Forger) -> dict[str, Any]:
    forger.add(new_key(), forger.state.revision(note="invented").encode())
    return forger.document()


def _by_a_former_steward(forger: Forger) -> dict[str, Any]:
    heir = new_key()
    forger.add(forger.sim.sharer, forger.state.revision(stewards=(str(heir.public),)).encode())
    forger.add(forger.sim.sharer, forger.state.revision(note="mine still").encode())
    return forger.document()


def _left_out(forger: Forger) -> dict[str, Any]:
    for n in range(3):
        forger.add(forger.sim.sharer, forger.state.revision(note=f"{n}").encode())
    return forger.document(chain=[forger.entries[0], forger.entries[2]])


def _cut(forger: Forger) -> dict[str, Any]:
    for n in range(2):
        forger.add(forger.sim.sharer, forger.state.revision(note=f"{n}").encode())
    return forger.document(chain=forger.entries[:1])


def _fewer_than_said(forger: Forger) -> dict[str, Any]:
    forger.add(forger.sim.sharer, forger.state.revision(note="x").encode())
    return forger.document(seq=2)


def _not_logged(forger: Forger) -> dict[str, Any]:
    forger.add(forger.sim.sharer, forger.state.revision(note="x").encode())
    forger.entries[0]["proof"] = forger.first.proof.encode()
    return forger.document()


def _unsigned(forger: Forger) -> dict[str, Any]:
    forger.add(new_key(), forger.state.revision(note="x").encode(), by=str(forger.sim.sharer.public))
    return forger.document()


def _withdrawn_by_nobody(forger: Forger) -> dict[str, Any]:
    return forger.document(withdrawn={"reason": "because"})


def _other_metadata(forger: Forger) -> dict[str, Any]:
    forger.add(forger.sim.sharer, forger.state.revision(note="x").encode())
    return forger.document(metadata={"title": "not what was signed"})


def _not_withdrawn(forger: Forger) -> dict[str, Any]:
    forger.add(forger.sim.sharer, WithdrawalBody("enough").encode(), "withdrawal")
    return forger.document(withdrawn=None)


def _older_head(forger: Forger) -> dict[str, Any]:
    forger.add(forger.sim.sharer, forger.state.revision(note="x").encode())
    return forger.document(head=forger.first.rid)


@pytest.mark.parametrize(
    "lie",
    [
        _invented,
        _by_a_former_steward,
        _left_out,
        _cut,
        _fewer_than_said,
        _not_logged,
        _unsigned,
        _withdrawn_by_nobody,
        _other_metadata,
        _not_withdrawn,
        _older_head,
    ],
)
def test_a_registrar_that_invents_changes_is_not_believed(lie: Callable[[Forger], dict[str, Any]]) -> None:
    forger = Forger()
    document = lie(forger)
    with pytest.raises(VerificationFailed):
        Record.parse(document, forger.sim.verifier)


@pytest.mark.parametrize(
    "changes", [{"seq": -1}, {"seq": "1"}, {"chain": 5}, {"chain": [5]}, {"seq": 1, "chain": [{}]}]
)
def test_a_malformed_chain_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises((InvalidInput, VerificationFailed)):
        Forger().parsed(**changes)


# --- the client against a real registrar ----------------------------------------------------------------


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as one:
        yield one


def client_of(url: str, session: aiohttp.ClientSession, **more: Any) -> RegistrarClient:
    given: dict[str, Any] = {"key": new_key(), "session": session, "now": time.time, "pinned": None}
    return RegistrarClient(url, **{**given, **more})


async def revise(person: Person, state: RecordState, **changes: Any) -> RecordState:
    """Send a revision; the state after it."""
    body = state.revision(**changes).encode()
    event = person.event(body, "revision", after=state.head)
    assert (await person.submit(event, body)).status == 201
    return state.apply(event, body, home_key="")


async def test_a_client_reads_the_whole_chain(
    registrar: RegistrarUnderTest, session: aiohttp.ClientSession
) -> None:
    sharer, client = registrar.person(), client_of(registrar.url, session)
    rid = (await sharer.register(shareable(), metadata=Metadata(title="0")))["rid"]
    state = (await client.record(rid)).state
    for n in range(1, 4):
        state = await revise(sharer, state, metadata=Metadata(title=str(n)), note=f"note {n}")
        record = await client.record(rid)
        assert [s.metadata.title for s in record.states] == [str(i) for i in range(n + 1)]
        assert record.state == state


async def test_a_withdrawn_record_is_read_and_told_apart(
    registrar: RegistrarUnderTest, session: aiohttp.ClientSession
) -> None:
    sharer, client = registrar.person(), client_of(registrar.url, session)
    document = await sharer.register(shareable())
    state = (await client.record(document["rid"])).state
    body = WithdrawalBody("consent was withdrawn").encode()
    assert (await sharer.submit(sharer.event(body, "withdrawal", after=state.head), body)).status == 201
    for reading in (client.record(document["rid"]), client.record(document["content_id"])):
        with pytest.raises(WithdrawnRecord, match="consent was withdrawn") as caught:
            await reading
        assert caught.value.record.rid == document["rid"]
        assert caught.value.exit_code == 3
    with pytest.raises(WithdrawnRecord):
        await client.resolve(document["ark"])
    assert (await client.chains.read_even_withdrawn(document["rid"])).state.withdrawn


async def test_a_registrar_cannot_withdraw_by_a_word(
    registrar: RegistrarUnderTest, session: aiohttp.ClientSession
) -> None:
    sharer, client = registrar.person(), client_of(registrar.url, session)
    document = await sharer.register(shareable())
    with pytest.raises(VerificationFailed, match="nobody has signed"):
        await client.chains.withdrawn(ToldWithdrawn("gone", document=document))
    for nothing in ({}, {"status": 410}):
        with pytest.raises(InvalidInput):
            await client.chains.withdrawn(ToldWithdrawn("gone", document=nothing))


async def test_latest_must_descend_from_what_was_named(
    registrar: RegistrarUnderTest, session: aiohttp.ClientSession
) -> None:
    sharer, client = registrar.person(), client_of(registrar.url, session)
    rids = [(await sharer.register(shareable("v1")))["rid"]]
    for n in (2, 3):
        rids.append((await sharer.register(shareable(f"v{n}"), supersedes=rids[-1]))["rid"])
    stranger = await client.record((await sharer.register(shareable("other")))["rid"])
    one, two, three = [await client.record(rid) for rid in rids]
    for name in (one.ark, f"rid:{two.rid}", one.content_id, three.ark, f"urn:btmh:1220{two.content_id}"):
        named = dataclasses.replace(parse(name), latest=True)
        await check_version(client, three, named)
        with pytest.raises(VerificationFailed):
            await check_version(client, stranger, named)
    assert (one.latest, three.latest) == (three.rid, three.rid)


async def test_a_history_that_never_ends_is_not_read(session: aiohttp.ClientSession) -> None:
    """A registrar that pages for ever."""
    asked, forger = 0, Forger()

    async def answer(request: web.Request) -> web.Response:
        nonlocal asked
        if request.path.endswith("/revisions"):
            asked += 1
            entry: dict[str, Any] = {"event": {}, "body": {}, "proof": ""}
            return web.json_response({"revisions": [entry] * 100, "next": str(asked)})
        document = {name: value for name, value in forger.document(seq=2).items() if name != "chain"}
        return web.json_response(document)

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        client = client_of(f"http://127.0.0.1:{runner.addresses[0][1]}", session)

        async def info() -> Any:
            return None

        client.chains._info = info
        with pytest.raises(Error, match="history"):
            await client.chains.read(forger.first.rid)
        assert asked < 30
    finally:
        await runner.cleanup()


# --- the command line -----------------------------------------------------------------------------------


def key_of(home: Path) -> PrivateKey:
    """The key of the person with this home."""
    return keystore.load_or_create(Places.of(environment(home)).key)


async def test_a_steward_edits_and_everybody_sees_who_did(
    registrar: RegistrarUnderTest, tmp_path: Path
) -> None:
    home, ask = tmp_path / "home", ("--registrar", registrar.url)
    home.mkdir()
    sharer = registrar.person(key_of(home))
    document = await sharer.register(shareable(), metadata=Metadata(title="Fage"))
    ark = document["ark"]
    made = await seedkeep(
        home, "edit", ark, "--title", "Phage", "--creator", "Chase, M.", "--doi", "doi:10.5281/zenodo.7",
        "--note", "a typing error", "--json", *ask,
    )  # fmt: skip
    assert made.code == 0, made.err
    assert made.json["changes"] == [
        {"field": "title", "before": ["Fage"], "after": ["Phage"]},
        {"field": "creators", "before": [], "after": ["Chase, M."]},
        {"field": "dois", "before": [], "after": ["10.5281/zenodo.7"]},
    ]
    again = await seedkeep(home, "edit", ark, "--title", "Phage", *ask)
    assert (again.code, "nothing was changed" in again.out) == (0, True)
    told = await seedkeep(home, "history", "doi:10.5281/zenodo.7", *ask)
    lines = told.out.splitlines()
    assert lines[0].startswith("revision 1, ")
    assert lines[0].endswith(f" by {sharer}: a typing error")
    assert "  title: Fage → Phage" in lines
    assert lines[-1].startswith("recorded, ")
    shown = await seedkeep(home, "info", ark, *ask)
    assert "Phage" in shown.out
    assert "(revision 1)" in shown.out
    wrong = await seedkeep(home, "edit", ark, "--doi", "not a doi", *ask)
    assert wrong.code == 1
    nothing = await seedkeep(home, "edit", ark, "--json", *ask)
    assert nothing.code == 2


async def test_an_editor_opens_what_is_said(registrar: RegistrarUnderTest, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    sharer = registrar.person(key_of(home))
    ark = (await sharer.register(shareable(), metadata=Metadata(title="Fage")))["ark"]
    script = tmp_path / "editor.py"
    script.write_text(
        "import pathlib, sys\n"
        "p = pathlib.Path(sys.argv[1])\n"
        "p.write_text(p.read_text().replace('Fage', 'Phage'))\n"
    )
    command = f"{sys.executable} {script}"
    made = await seedkeep(
        home, "edit", ark, "--editor", "--json", "--registrar", registrar.url, EDITOR=command, VISUAL=command
    )
    assert made.code == 0, made.err
    assert made.json["changes"] == [{"field": "title", "before": ["Fage"], "after": ["Phage"]}]


async def test_who_is_no_steward_asks_the_registrar(registrar: RegistrarUnderTest, tmp_path: Path) -> None:
    stranger, curator = tmp_path / "stranger", tmp_path / "curator"
    for home in (stranger, curator):
        home.mkdir()
    place = Places.of(environment(curator)).key
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(registrar.curator.key.to_pem())
    place.chmod(0o600)
    ark = (await registrar.person().register(shareable(), metadata=Metadata(title="Fage")))["ark"]
    ask = ("edit", ark, "--title", "Phage", "--json", "--registrar", registrar.url)
    refused = await seedkeep(stranger, *ask)
    assert (refused.code, refused.json["error"]["code"]) == (1, "refused")
    made = await seedkeep(curator, *ask)
    assert made.code == 0, made.err
    assert (made.json["by"], made.json["editor"]) == (
        str(registrar.context.key.public),
        str(registrar.curator),
    )


async def test_a_new_version_is_shared_found_and_its_elder_withdrawn(
    registrar: RegistrarUnderTest, tmp_path: Path
) -> None:
    home, ask = tmp_path / "home", ("--registrar", registrar.url)
    home.mkdir()
    older = await registrar.person(key_of(home)).register(shareable("v1"))
    data = tmp_path / "v2"
    data.mkdir()
    (data / "more.txt").write_text("more\n")
    command = ("share", str(data), "--copies", "0", "--new-version-of", older["ark"], *ask)
    shared = await seedkeep(home, *command, "--json")
    assert shared.code == 0, shared.err
    assert shared.json["supersedes"] == older["rid"]
    assert older["ark"] in shared.err
    newest = await seedkeep(home, "info", f"{older['ark']}@latest", "--json", *ask)
    assert newest.json["rid"] == shared.json["rid"]
    shown = await seedkeep(home, "info", older["ark"], *ask)
    assert f"there is a newer version: {older['ark']}@latest" in shown.out
    (data / "more.txt").write_text("and more\n")
    branch = await seedkeep(home, *command, "--json")
    assert branch.json["error"]["code"] == "conflict"
    assert shared.json["ark"] in branch.json["error"]["message"]
    gone = await seedkeep(home, "withdraw", older["ark"], "--reason", "wrong sample", *ask)
    assert gone.code == 0, gone.err
    fetched = await seedkeep(home, "fetch", older["ark"], "-o", str(tmp_path / "out"), "--json", *ask)
    assert fetched.code == 3
    assert fetched.json["error"]["code"] == "withdrawn"
    assert "wrong sample" in fetched.json["error"]["message"]
    assert "@latest" in fetched.json["error"]["hint"]
    tombstone = await seedkeep(home, "info", older["ark"], *ask)
    assert (tombstone.code, "wrong sample" in tombstone.out) == (0, True)
    told = await seedkeep(home, "history", older["ark"], "--json", *ask)
    assert [step["type"] for step in told.json["history"]] == ["record", "withdrawal"]
    assert json.loads(told.out)["history"][1]["note"] == "wrong sample"
