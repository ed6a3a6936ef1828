"""Checkpoints, cosignatures and proofs: what is signed comes back, what is changed is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedkeep.core.errors import Error, InvalidInput, VerificationFailed
from seedkeep.core.keys import PrivateKey
from seedkeep.core.log.checkpoint import Checkpoint
from seedkeep.core.log.cosignature import Cosignature, add_cosignatures, cosign, cosignatures
from seedkeep.core.log.proof import MAX_EXTRA_BYTES, MAX_PROOF_BYTES, LogProof
from seedkeep.core.log.tiles import inclusion_proof
from seedkeep.core.notes import Cosigner, Note, Signature, Verifier, sign_note
from tests.core.log.reference import SmallLog

KEY, OTHER = PrivateKey(b"k" * 32), PrivateKey(b"o" * 32)
LOG = Verifier("log.example", KEY.public)
WITNESS, SECOND = Cosigner("w1.example", KEY.public), Cosigner("w2.example", OTHER.public)
CHECKPOINT = Checkpoint("log.example", 5, b"r" * 32)
NOTE = CHECKPOINT.sign(KEY)

LINE = st.text(st.characters(min_codepoint=0x20, exclude_categories=["Cs"]), min_size=1, max_size=20)


@given(st.integers(0, 2**63 - 1), st.binary(min_size=32, max_size=32), st.lists(LINE, max_size=3))
def test_a_checkpoint_comes_back_as_it_was_signed(size: int, root: bytes, extensions: list[str]) -> None:
    checkpoint = Checkpoint("log.example", size, root, tuple(extensions))
    assert Checkpoint.open(checkpoint.sign(KEY), LOG) == checkpoint


def test_a_checkpoint_of_another_log_or_key_is_refused() -> None:
    with pytest.raises(VerificationFailed):
        Checkpoint.open(NOTE, Verifier("log.example", OTHER.public))
    with pytest.raises(VerificationFailed):
        Checkpoint.open(NOTE, Verifier("other.example", KEY.public))
    foreign = sign_note(CHECKPOINT.text.replace("log.example", "other.example"), "log.example", KEY)
    with pytest.raises(VerificationFailed):
        Checkpoint.open(foreign, LOG)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "\n",
            "o\n5\n",
            "o\n05\nroot\n",
            "o\n-1\nroot\n",
            "\n5\nroot\n",
            "o\n5\nroot\n\next\n",
            "o\n5\nroot",
        ),
        *("o\n٣\nroot\n", "o\n9223372036854775808\nroot\n", "o\n5 \nroot\n"),
    ],
)
def test_a_malformed_checkpoint_is_refused(text: str) -> None:
    root = "cnJycnJycnJycnJycnJycnJycnJycnJycnJycnJycnI="
    assert Checkpoint.parse(f"o\n5\n{root}\n").root == b"r" * 32
    with pytest.raises(InvalidInput):
        Checkpoint.parse(text.replace("root", root))


@pytest.mark.parametrize("root", ["", "cnJy", "cnJycnJycnJycnJycnJycnJycnJycnJycnJycnJycnJ=", "!" * 44])
def test_a_root_that_is_no_hash_in_canonical_base64_is_refused(root: str) -> None:
    with pytest.raises(InvalidInput):
        Checkpoint.parse(f"o\n5\n{root}\nx\n")


@given(st.text(max_size=200))
def test_garbage_is_no_checkpoint(text: str) -> None:
    try:
        checkpoint = Checkpoint.parse(text)
    except InvalidInput:
        return
    assert checkpoint.text == text


def test_a_note_is_taken_apart_and_put_together_again() -> None:
    note = NOTE + cosign(CHECKPOINT.text, "w1.example", KEY, 7)
    assert str(Note.parse(note)) == note
    assert [s.name for s in Note.parse(note).signatures] == ["log.example", "w1.example"]


def test_a_text_that_utf8_cannot_carry_is_no_note() -> None:
    with pytest.raises(InvalidInput):
        Note.parse("\ud800\n\n" + NOTE.split("\n\n")[1])


# --- cosignatures ---


def test_cosigners_are_found_each_once_with_their_newest_time() -> None:
    lines = [cosign(CHECKPOINT.text, "w1.example", KEY, time) for time in (5, 9, 7)]
    note = NOTE + "".join(lines) + cosign(CHECKPOINT.text, "w2.example", OTHER, 3)
    assert cosignatures(note, [WITNESS]) == [Cosignature(WITNESS, 9)]
    assert {c.name for c in cosignatures(note, [SECOND, WITNESS])} == {"w1.example", "w2.example"}
    assert cosignatures(NOTE, [WITNESS, SECOND]) == []


def test_one_key_signs_as_log_and_as_witness_and_neither_passes_for_the_other() -> None:
    same = Cosigner("log.example", KEY.public)
    assert same.id != LOG.id
    assert cosignatures(NOTE, [same]) == []
    text, line = CHECKPOINT.text, cosign(CHECKPOINT.text, "log.example", KEY, 5)
    with pytest.raises(VerificationFailed):
        Checkpoint.open(f"{text}\n{line}", LOG)
    assert cosignatures(f"{text}\n{line}", [same]) == [Cosignature(same, 5)]


def test_a_cosignature_for_another_checkpoint_or_time_is_refused() -> None:
    other = Checkpoint("log.example", 6, b"r" * 32)
    with pytest.raises(VerificationFailed):
        cosignatures(NOTE + cosign(other.text, "w1.example", KEY, 5), [WITNESS])
    good = Note.parse(NOTE + cosign(CHECKPOINT.text, "w1.example", KEY, 5))
    late = good.signatures[1].payload[:7] + b"\x06" + good.signatures[1].payload[8:]
    for payload in (late, good.signatures[1].payload[:-1], bytes(8) + bytes(64)):
        bad = Note(good.text, (good.signatures[0], Signature("w1.example", WITNESS.id, payload)))
        with pytest.raises(VerificationFailed):
            cosignatures(str(bad), [WITNESS])


@pytest.mark.parametrize("time", [0, 2**63])
def test_a_cosignature_at_no_time_is_refused_whoever_signed_it(time: int) -> None:
    message = f"cosignature/v1\ntime {time}\n{CHECKPOINT.text}".encode()
    line = Signature("w1.example", WITNESS.id, time.to_bytes(8, "big") + KEY.sign(message))
    with pytest.raises(VerificationFailed):
        cosignatures(NOTE + str(line), [WITNESS])


@pytest.mark.parametrize("time", [0, -1, 2**63])
def test_nobody_cosigns_at_no_time(time: int) -> None:
    with pytest.raises(InvalidInput):
        cosign(CHECKPOINT.text, "w1.example", KEY, time)


def test_the_answer_of_a_witness_is_merged_into_the_note() -> None:
    first = cosign(CHECKPOINT.text, "w1.example", KEY, 5)
    newer = cosign(CHECKPOINT.text, "w1.example", KEY, 8)
    second = cosign(CHECKPOINT.text, "w2.example", OTHER, 6)
    known = [WITNESS, SECOND]
    note = add_cosignatures(NOTE, first, known)
    assert add_cosignatures(note, first, known) == note
    note = add_cosignatures(note, second + newer, known)
    assert note == NOTE + newer + second
    assert Checkpoint.open(note, LOG) == CHECKPOINT


def test_lines_that_were_not_asked_for_are_not_merged_and_bad_ones_refused() -> None:
    stranger = cosign(CHECKPOINT.text, "w2.example", OTHER, 6)
    assert add_cosignatures(NOTE, stranger, [WITNESS]) == NOTE
    bad = cosign(Checkpoint("log.example", 9, b"r" * 32).text, "w1.example", KEY, 6)
    with pytest.raises(VerificationFailed):
        add_cosignatures(NOTE, bad, [WITNESS])
    for garbage in ("", "\n", "x", "text\n\n" + stranger, stranger[:-1]):
        with pytest.raises(InvalidInput):
            add_cosignatures(NOTE, garbage, [WITNESS])


def test_a_cosigners_printed_key_is_no_log_key() -> None:
    assert Cosigner.parse(str(WITNESS)) == WITNESS
    with pytest.raises(InvalidInput):
        Verifier.parse(str(WITNESS))
    with pytest.raises(InvalidInput):
        Cosigner.parse(str(LOG))


# --- proofs ---

SMALL = SmallLog()
SMALL_NOTE = SMALL.append(*(f"entry {n}".encode() for n in range(9)))
PROOF = LogProof(4, tuple(inclusion_proof(SMALL.tiles, 4, 9)), SMALL_NOTE, b"entry 4")


def test_a_proof_comes_back_from_its_text_and_verifies() -> None:
    assert LogProof.parse(PROOF.encode()) == LogProof.parse(PROOF.encode().encode()) == PROOF
    assert PROOF.verify(b"entry 4", SMALL.verifier) == SMALL.checkpoint()
    assert PROOF.encode().startswith("c2sp.org/tlog-proof@v1\nextra ZW50cnkgNA==\nindex 4\n")


def test_a_proof_is_for_its_entry_and_log_only() -> None:
    with pytest.raises(VerificationFailed):
        PROOF.verify(b"entry 5", SMALL.verifier)
    with pytest.raises(VerificationFailed):
        PROOF.verify(b"entry 4", LOG)


@given(st.data())
def test_no_changed_character_of_a_proof_goes_unnoticed(data: st.DataObject) -> None:
    text = LogProof(4, PROOF.hashes, PROOF.checkpoint).encode()
    at = data.draw(st.integers(0, len(text) - 1))
    changed = text[:at] + data.draw(st.characters(exclude_categories=["Cs"])) + text[at + 1 :]
    if changed != text:
        with pytest.raises(Error):
            LogProof.parse(changed).verify(b"entry 4", SMALL.verifier)


@given(st.text(max_size=300) | st.binary(max_size=300))
def test_garbage_is_no_proof(data: str | bytes) -> None:
    with pytest.raises(InvalidInput):
        LogProof.parse(data)


@pytest.mark.parametrize(
    "extra", ["extra \n", "extra ZW50cnkgNB==\n", "extra ZW50cnkgNA==\nextra ZW50cnkgNA==\n"]
)
def test_a_proof_has_one_spelling(extra: str) -> None:
    text = PROOF.encode()
    assert LogProof.parse(text.replace("extra ZW50cnkgNA==\n", "")).extra == b""
    with pytest.raises(InvalidInput):
        LogProof.parse(text.replace("extra ZW50cnkgNA==\n", extra))


def test_an_overlong_proof_is_refused() -> None:
    for proof in (
        LogProof(4, (bytes(32),) * 64, SMALL_NOTE),
        LogProof(4, (), SMALL_NOTE, bytes(MAX_EXTRA_BYTES + 1)),
        LogProof(4, (), SMALL_NOTE, bytes(MAX_PROOF_BYTES)),
    ):
        with pytest.raises(InvalidInput):
            LogProof.parse(proof.encode())
