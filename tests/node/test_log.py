"""A registrar's log checked from outside, and the proof of a record kept beside the data."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from seedkeep.core.errors import Error, InvalidInput, VerificationFailed
from seedkeep.core.events import Event, sign_event, sign_second
from seedkeep.core.keys import PrivateKey
from seedkeep.core.log.evidence import Misbehaviour
from seedkeep.core.log.proof import LogProof
from seedkeep.core.notes import Cosigner, Verifier
from seedkeep.log_checking import Checked, check_log
from seedkeep.proof_file import SUFFIX, ProofFile, leave_proof, place_of, read_proof
from seedkeep.record_document import Record
from tests.node.test_cli import inside, seedkeep
from tests.support.datasets import dataset_of
from tests.support.event_log import EventLog
from tests.support.registrar import new_key, shareable, start_registrar
from tests.support.registrar_simulator import RegistrarSimulator

KEY, SIGNER = PrivateKey(b"r" * 32), PrivateKey(b"s" * 32)
LOG = Verifier("r.example", KEY.public)
NOW = "2026-01-31T12:00:00Z"


def event(number: int, home: str = "r.example") -> Event:
    return sign_event(SIGNER, type="record", body=b"%d" % number, home=home, created=NOW)


def revision(first: str) -> Event:
    return sign_second(SIGNER, type="revision", body=b"x", home="r.example", created=NOW, first=first)


def log_of(events: list[Event]) -> EventLog:
    log = EventLog("r.example", KEY)
    for one in events:
        log.append(one)
    return log


async def checked(log: EventLog, bend: Callable[[str, bytes], bytes] = lambda path, data: data) -> Checked:
    async def get(path: str, limit: int) -> bytes:
        return bend(path, log.file(path))[:limit]

    return await check_log(get, LOG, advance=lambda done, of, size: None)


async def test_an_honest_log_holds() -> None:
    events = [event(n) for n in range(600)]
    events.append(revision(events[3].hash()))
    found = await checked(log_of(events))
    assert found.kinds == {"record": 600, "revision": 1}
    assert found.checkpoint.size == 601
    assert found.bytes == sum(len(one.leaf()) for one in events)
    assert (await checked(log_of([]))).checkpoint.size == 0


def _flip(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


@pytest.mark.parametrize("what", ["checkpoint", "tile/0/", "tile/1/", "tile/entries/"])
async def test_a_file_with_other_bytes_is_found(what: str) -> None:
    log = log_of([event(n) for n in range(300)])
    # of a note the last byte is a newline, so one in the middle
    bend = lambda path, data: data[:20] + _flip(data[20:21]) + data[21:] if path.startswith(what) else data  # noqa: E731
    with pytest.raises((InvalidInput, VerificationFailed)):
        await checked(log, bend)


async def test_what_the_registrar_itself_has_signed_wrongly_is_found() -> None:
    first = event(1)
    unsigned = dataclasses.replace(event(2), sig=event(3).sig)
    stray = revision("0" * 64)
    second = revision(first.hash())
    for events, error in (
        ([first, unsigned], Misbehaviour),
        ([first, event(2, home="other.example")], Misbehaviour),
        ([first, stray], VerificationFailed),
        ([first, first], VerificationFailed),
        ([first, second, dataclasses.replace(second)], VerificationFailed),
    ):
        with pytest.raises(error):
            await checked(log_of(events))


# --- the proof beside the data --------------------------------------------------------------------------


def recorded() -> tuple[RegistrarSimulator, Record]:
    simulator = RegistrarSimulator(time.time)
    rid = simulator.rid_of(simulator.register(dataset_of("a", {"a": b"x" * 10})))
    return simulator, simulator.records[rid]


def test_a_proof_file_is_read_back_and_holds(tmp_path: Path) -> None:
    simulator, record = recorded()
    leave_proof(tmp_path, record)
    found = read_proof(place_of(tmp_path / "a"))
    assert found is not None
    assert found.verify(simulator.verifier).size == 1
    assert (found.event, found.body) == (record.event, record.body)
    assert LogProof.parse((tmp_path / f"a{SUFFIX}").read_bytes()).index == 0
    dataset = dataset_of("a", {"a": b"y" * 10})
    with pytest.raises(VerificationFailed, match="not the dataset"):
        found.check_data(dataset.manifest, b"\x00" * 20)


def test_a_proof_file_that_was_tampered_with_is_not_believed() -> None:
    simulator, record = recorded()
    good = ProofFile.of(record)
    other = recorded()[1]
    for bent in (
        dataclasses.replace(good, body_bytes=good.body_bytes.replace(b"CC0-1.0", b"MIT")),
        dataclasses.replace(good, event=dataclasses.replace(good.event, created=NOW)),
        dataclasses.replace(good, proof=dataclasses.replace(good.proof, index=1)),
        dataclasses.replace(good, event=event(1)),
    ):
        with pytest.raises(VerificationFailed):
            ProofFile.parse(bent.encode()).verify(simulator.verifier)
    with pytest.raises(VerificationFailed):
        ProofFile.of(other).verify(Verifier(simulator.verifier.name, new_key().public))
    for text in ("", "c2sp.org/tlog-proof@v1\nindex 0\n\n", good.proof.encode()):
        with pytest.raises(Error):
            ProofFile.parse(text)


def test_a_file_of_the_persons_own_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / f"a{SUFFIX}").write_text("mine")
    leave_proof(tmp_path, recorded()[1])
    assert (tmp_path / f"a{SUFFIX}").read_text() == "mine"


async def test_the_commands_check_a_real_registrars_log(tmp_path: Path) -> None:
    home, data, what = tmp_path / "home", tmp_path / "registrar", shareable("reads")
    home.mkdir()
    async with start_registrar(data) as registrar:
        document = await registrar.person().register(what)
        await registrar.person().register(shareable("other"))
        vkey = str(registrar.context.vkey)
        told = await seedkeep(home, "log", "verify", registrar.url, "--json")
        assert (told.code, told.json["size"], told.json["events"]) == (0, 2, {"record": 2}), told
        what.data.write(tmp_path)
        place = tmp_path / "reads.tlog-proof"
        told = await seedkeep(
            home, "proof", document["ark"], "-o", str(place), "--registrar", registrar.url, "--json"
        )
        assert (told.code, told.json["index"]) == (0, 0), told
    exported = inside(home, "registrar", "export-log", str(tmp_path / "copy"), "--data", str(data), "--json")
    assert json.loads(exported.stdout)["events"] == 2
    assert (tmp_path / "copy" / "objects" / document["event"]["body_sha256"]).is_file()
    # from here on nobody answers
    copy = str(tmp_path / "copy" / "log")
    assert (await seedkeep(home, "log", "verify", copy, "--vkey", vkey)).code == 0
    told = await seedkeep(home, "verify", str(tmp_path / "reads"), "--offline", "--json")
    assert (told.code, told.json["log"]["index"], told.json["ok"]) == (0, 0, True), told
    assert told.json["countersigned"] == {"by": [], "of": []}
    policy, settings = tmp_path / "policy", home / ".config" / "seedkeep" / "client.toml"
    policy.write_text(f"witness w {Cosigner('witness.test', KEY.public)}\nquorum w\n")
    settings.write_text(f'policy = "{policy}"\n')
    told = await seedkeep(home, "verify", str(tmp_path / "reads"), "--offline", "--json")
    assert told.code == 5, told
    assert "witness.test" in str(told.json["error"]), told
    settings.unlink()
    (tmp_path / "reads" / "sub" / "small.txt").write_text("something else")
    told = await seedkeep(home, "verify", str(tmp_path / "reads"), "--offline")
    assert told.code == 5, told
