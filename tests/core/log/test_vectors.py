"""Vectors that others have published; where each comes from stands beside it in ``vectors.json``."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from seedkeep.core.errors import VerificationFailed
from seedkeep.core.keys import PublicKey
from seedkeep.core.log.checkpoint import Checkpoint
from seedkeep.core.log.cosignature import cosignatures
from seedkeep.core.log.tiles import Places, consistency_proof, grow, root_of_tiles
from seedkeep.core.log.tree import leaf_hash, root_of_leaves, verify_consistency, verify_inclusion
from seedkeep.core.log.witness import Accepted, AddCheckpoint, decide
from seedkeep.core.notes import Cosigner, Note, Verifier, open_note

VECTORS: dict[str, Any] = json.loads((Path(__file__).parent / "vectors.json").read_text(encoding="utf-8"))


def b64(text: str) -> bytes:
    return base64.b64decode(text)


@pytest.mark.parametrize("case", VECTORS["inclusion"]["cases"])
def test_inclusion_proofs(case: dict[str, Any]) -> None:
    proof = [b64(h) for h in case["proof"]]
    leaf, root = b64(case["leaf"]), b64(case["root"])
    verify_inclusion(leaf, case["index"], case["size"], proof, root)
    # as in the same collection: one step to the side, a size doubled, garbage before and after
    for index, size, spoilt in (
        (case["index"] + 1, case["size"], proof),
        (case["index"] ^ 2, case["size"], proof),
        (case["index"], case["size"] * 2, proof),
        (case["index"], case["size"], [bytes(32), *proof]),
        (case["index"], case["size"], [*proof, bytes(32)]),
        (case["index"], case["size"], [*proof, root]),
        (case["index"], case["size"], proof[:-1]),
    ):
        with pytest.raises(VerificationFailed):
            verify_inclusion(leaf, index, size, spoilt, root)


@pytest.mark.parametrize("case", VECTORS["consistency"]["cases"])
def test_consistency_proofs(case: dict[str, Any]) -> None:
    proof = [b64(h) for h in case["proof"]]
    old, new, first, second = case["old"], case["new"], b64(case["old_root"]), b64(case["new_root"])
    verify_consistency(old, first, new, second, proof)
    for arguments in (
        (old + 1, first, new, second, proof),
        (old, second, new, first, proof),
        (old, first, new * 2, second, proof),
        (old, first, new, second, []),
        (old, first, new, second, [first, *proof]),
        (old, first, new, second, [*proof, second]),
        (old, first, new, second, proof[:-1]),
    ):
        with pytest.raises(VerificationFailed):
            verify_consistency(*arguments)


@pytest.mark.parametrize("name", ["tree", "log"])
def test_roots_of_known_leaves(name: str) -> None:
    known = VECTORS[name]
    words = known["leaves"]
    leaves = [w.encode() for w in words.split()] if name == "log" else [bytes.fromhex(w) for w in words]
    hashes = [leaf_hash(leaf) for leaf in leaves]
    tiles = Places(grow(0, {}, hashes))
    roots = {int(size): b64(root) for size, root in known["roots"].items()}
    for size, root in roots.items():
        assert root_of_leaves(hashes[:size]) == root_of_tiles(tiles, size) == root
        for smaller in (s for s in roots if s <= size):
            verify_consistency(smaller, roots[smaller], size, root, consistency_proof(tiles, smaller, size))


def test_the_example_of_the_signed_note_specification() -> None:
    known = VECTORS["signed-note"]
    verifier = Verifier.parse(known["vkey"])
    assert open_note(known["note"], [verifier]) == "This is an example message.\n"
    assert str(verifier) == known["vkey"]
    assert str(Note.parse(known["note"])) == known["note"]


def test_checkpoints_of_the_go_checksum_database() -> None:
    known = VECTORS["sumdb"]
    verifier = Verifier.parse(known["vkey"])
    sizes = []
    for note in known["notes"]:
        checkpoint = Checkpoint.parse(open_note(note, [verifier]))
        assert checkpoint.origin == "go.sum database tree"
        sizes.append(checkpoint.size)
        with pytest.raises(VerificationFailed):
            open_note(note.replace(f"\n{checkpoint.size}\n", f"\n{checkpoint.size + 1}\n"), [verifier])
    assert sizes == [63096908, 3784599, 445646]


def test_the_example_of_the_cosignature_specification() -> None:
    known = VECTORS["cosignature"]
    note = Note.parse(known["note"])
    log, witness = note.signatures
    assert Checkpoint.parse(note.text).size == 20852163
    assert (witness.name, len(witness.payload)) == ("witness.example.com/w1", 72)
    assert int.from_bytes(witness.payload[:8], "big") == known["time"]
    # its keys are not published: both lines are by strangers, and count for nobody
    assert cosignatures(known["note"], [Cosigner(witness.name, PublicKey(bytes(32)))]) == []
    assert log.name == "example.com/behind-the-sofa"


def test_two_checkpoints_of_another_witness_are_consistent() -> None:
    known = VECTORS["consistent-notes"]
    verifier = Verifier.parse(known["vkey"])
    old, new = (Checkpoint.open(note, verifier) for note in known["notes"])
    proof = [bytes.fromhex(h) for h in known["proof"]]
    verify_consistency(old.size, old.root, new.size, new.root, proof)
    request = AddCheckpoint.parse(AddCheckpoint(old.size, tuple(proof), known["notes"][1]).encode())
    assert decide(request, old, verifier) == Accepted(new)


def test_requests_to_another_witness_are_answered_as_it_answers() -> None:
    known = VECTORS["witness"]
    verifier = Verifier(known["origin"], PublicKey(bytes.fromhex(known["key"])))
    last = None
    for step in known["steps"]:
        request = AddCheckpoint.parse(step["body"])
        assert request.encode() == step["body"]
        answer = decide(request, last, verifier)
        if isinstance(answer, Accepted):
            last = answer.checkpoint
            assert step["status"] == 200
        else:
            assert answer.status == step["status"]
    assert last is not None
    assert last.size == 3
