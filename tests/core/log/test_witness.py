"""The witness: every status code of the specification, and requests that are none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedkeep.core.errors import InvalidInput
from seedkeep.core.keys import PrivateKey
from seedkeep.core.log.checkpoint import Checkpoint
from seedkeep.core.log.tiles import consistency_proof
from seedkeep.core.log.witness import Accepted, AddCheckpoint, Declined, decide
from tests.core.log.reference import SmallLog

LOG, FORK = SmallLog(), SmallLog()
LOG.append(*(b"%d" % n for n in range(50)))
FORK.append(*(b"%d" % n for n in range(20)), *(b"other %d" % n for n in range(30)))


def request(old: int, new: int, log: SmallLog = LOG) -> AddCheckpoint:
    return AddCheckpoint(old, tuple(consistency_proof(log.tiles, old, new)), log.note(new))


def status(asked: AddCheckpoint, trusted: Checkpoint | None) -> int:
    answer = decide(asked, trusted, LOG.verifier)
    return answer.status if isinstance(answer, Declined) else 200


@given(st.integers(0, 50), st.integers(0, 50))
def test_a_log_that_grew_is_cosigned(old: int, new: int) -> None:
    old, new = sorted((old, new))
    asked = AddCheckpoint.parse(request(old, new).encode())
    assert asked == request(old, new)
    assert decide(asked, LOG.checkpoint(old), LOG.verifier) == Accepted(LOG.checkpoint(new))


def test_the_first_checkpoint_is_cosigned_as_it_is() -> None:
    assert status(request(0, 30), None) == 200


def test_the_request_is_written_as_the_specification_shows() -> None:
    lines = request(20, 30).encode().split("\n")
    assert lines[0] == "old 20"
    assert lines[lines.index("") + 1] == "log.example"


def test_an_unknown_log_is_answered_404() -> None:
    asked = AddCheckpoint(0, (), Checkpoint("unknown.example", 1, bytes(32)).sign(LOG.key))
    assert status(asked, None) == 404
    answer = decide(request(0, 1), None, None)
    assert isinstance(answer, Declined)
    assert answer.status == 404


def test_another_key_is_answered_403() -> None:
    foreign = LOG.checkpoint(30).sign(PrivateKey(b"x" * 32))
    assert status(AddCheckpoint(0, (), foreign), None) == 403
    bad = LOG.note(30).split("\n\n")[0] + "\n\n" + LOG.note(31).split("\n\n")[1]
    assert status(AddCheckpoint(0, (), bad), None) == 403


def test_an_old_size_over_the_new_one_is_answered_400() -> None:
    assert status(AddCheckpoint(31, (), LOG.note(30)), LOG.checkpoint(31)) == 400


def test_another_old_size_is_answered_409_with_the_one_cosigned() -> None:
    answer = decide(request(0, 30), LOG.checkpoint(20), LOG.verifier)
    assert answer == Declined(409, "20\n")
    assert status(request(20, 30), None) == 409


def test_a_replayed_request_is_answered_409() -> None:
    asked = request(20, 30)
    assert status(asked, LOG.checkpoint(20)) == 200
    assert status(asked, LOG.checkpoint(30)) == 409


@pytest.mark.parametrize(
    ("asked", "old"),
    [
        (request(30, 40, FORK), 30),
        (AddCheckpoint(30, (), LOG.note(40)), 30),
        (AddCheckpoint(0, (bytes(32),), LOG.note(40)), 0),
        (AddCheckpoint(30, (), FORK.note(30)), 30),
        (AddCheckpoint(0, (), Checkpoint("log.example", 0, bytes(32)).sign(LOG.key)), 0),
    ],
)
def test_a_proof_that_does_not_hold_is_answered_422(asked: AddCheckpoint, old: int) -> None:
    assert status(asked, LOG.checkpoint(old)) == 422


@pytest.mark.parametrize(
    "body",
    [
        *(
            "",
            "old 0\n",
            "old 0\n\n",
            "old 0\n\nlog.example\n",
            "old -1\n\nNOTE",
            "old 00\n\nNOTE",
            "old 1\nx\n\nNOTE",
        ),
        *(
            "0\n\nNOTE",
            "old 0\n" + "A" * 43 + "=\n" * 64 + "\nNOTE",
            "old 0 \n\nNOTE",
            "old 9223372036854775808\n\nNOTE",
        ),
    ],
)
def test_what_is_no_request_is_refused(body: str) -> None:
    assert AddCheckpoint.parse(f"old 0\n\n{LOG.note(3)}").old_size == 0
    with pytest.raises(InvalidInput):
        AddCheckpoint.parse(body.replace("NOTE", LOG.note(3)))


@given(st.text(max_size=200) | st.binary(max_size=200))
def test_garbage_is_no_request(body: str | bytes) -> None:
    with pytest.raises(InvalidInput):
        AddCheckpoint.parse(body)


def test_a_proof_of_more_than_63_hashes_is_refused() -> None:
    with pytest.raises(InvalidInput):
        AddCheckpoint.parse(AddCheckpoint(1, (bytes(32),) * 64, LOG.note(3)).encode())
