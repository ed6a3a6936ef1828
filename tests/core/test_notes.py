"""Signed notes: the C2SP format, its vectors, and forgeries."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedkeep.core.errors import Error, InvalidInput, VerificationFailed
from seedkeep.core.keys import PrivateKey
from seedkeep.core.notes import Verifier, open_note, sign_note

# The example of https://pkg.go.dev/golang.org/x/mod/sumdb/note and https://c2sp.org/signed-note
GO_VKEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_NOTE = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
    "\n"
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2"
    "pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)
KEY, OTHER = PrivateKey(b"k" * 32), PrivateKey(b"o" * 32)
VERIFIER = Verifier("registrar.example", KEY.public)


def test_the_note_of_gos_reference_implementation_is_read() -> None:
    verifier = Verifier.parse(GO_VKEY)
    assert open_note(GO_NOTE, [verifier]).startswith("If you think cryptography")
    assert str(verifier) == GO_VKEY


def test_a_changed_note_of_gos_is_refused() -> None:
    with pytest.raises(VerificationFailed):
        open_note(GO_NOTE.replace("don't", "do"), [Verifier.parse(GO_VKEY)])


def test_signatures_by_unknown_keys_are_ignored_but_do_not_count() -> None:
    note = sign_note("text\n", "registrar.example", KEY)
    foreign = sign_note("text\n", "stranger.example", OTHER).split("\n\n")[1]
    assert open_note(note + foreign, [VERIFIER]) == "text\n"
    with pytest.raises(VerificationFailed):
        open_note("text\n\n" + foreign, [VERIFIER])


def test_a_bad_signature_by_a_trusted_key_spoils_the_note() -> None:
    good = sign_note("text\n", "registrar.example", KEY)
    bad = sign_note("other\n", "registrar.example", KEY).split("\n\n")[1]
    with pytest.raises(VerificationFailed):
        open_note(good + bad, [VERIFIER])


def test_a_signature_line_has_one_spelling() -> None:
    # the same bytes: base64 leaves the last bits before = open
    with pytest.raises(InvalidInput):
        open_note(GO_NOTE.replace("AM=\n", "AN=\n"), [Verifier.parse(GO_VKEY)])


@given(
    st.text(
        alphabet=st.characters(min_codepoint=0x20, exclude_categories=["Cs"]) | st.just("\n"), max_size=60
    )
)
def test_any_text_comes_back_as_it_was_signed(text: str) -> None:
    whole = text + "\n"
    assert open_note(sign_note(whole, "registrar.example", KEY), [VERIFIER]) == whole


@given(st.binary(max_size=200) | st.text(max_size=200))
def test_garbage_is_no_note(data: bytes | str) -> None:
    with pytest.raises(Error):
        open_note(data, [VERIFIER])


@given(st.integers(0, len(GO_NOTE) - 1), st.characters(exclude_categories=["Cs"]))
def test_no_single_changed_character_goes_unnoticed(at: int, char: str) -> None:
    changed = GO_NOTE[:at] + char + GO_NOTE[at + 1 :]
    if changed != GO_NOTE:
        with pytest.raises(Error):
            open_note(changed, [Verifier.parse(GO_VKEY)])


@pytest.mark.parametrize("vkey", ["", "name", "a+b+c", GO_VKEY.replace("c74f20a3", "c74f20a4"), GO_VKEY[:-4]])
def test_a_malformed_verifier_key_is_refused(vkey: str) -> None:
    with pytest.raises(InvalidInput):
        Verifier.parse(vkey)
