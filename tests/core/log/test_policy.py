"""Policies: the file format of the specification, and who is missing."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedkeep.core.errors import InvalidInput, VerificationFailed
from seedkeep.core.keys import PrivateKey
from seedkeep.core.log.checkpoint import Checkpoint
from seedkeep.core.log.cosignature import cosign
from seedkeep.core.log.policy import Policy
from seedkeep.core.notes import Cosigner, Verifier

KEYS = {name: PrivateKey(name.encode().ljust(32)) for name in ("log", "X1", "X2", "X3", "Y1", "Y2", "Y3")}
LOG = Verifier("log.example", KEYS["log"].public)
WITNESSES = {n: Cosigner(f"{n.lower()}.example", key.public) for n, key in KEYS.items() if n != "log"}
CHECKPOINT = Checkpoint("log.example", 7, bytes(32))

# the example of the specification, with keys
EXAMPLE = (
    f"# who must have seen it\n\nlog {LOG} https://log.example\n"
    + "".join(f"witness {name} {key}\n" for name, key in WITNESSES.items())
    + "group X-witnesses 2 X1 X2 X3\n \tgroup  Y-witnesses\tany Y1 Y2 Y3 \n"
    + "group X-and-Y all X-witnesses Y-witnesses\nquorum X-and-Y\n"
)


def signed_by(names: Iterable[str]) -> str:
    note = CHECKPOINT.sign(KEYS["log"])
    return note + "".join(cosign(CHECKPOINT.text, WITNESSES[n].name, KEYS[n], 5) for n in names)


@given(st.sets(st.sampled_from(sorted(WITNESSES))))
def test_the_example_of_the_specification_wants_two_of_x_and_one_of_y(names: set[str]) -> None:
    policy = Policy.parse(EXAMPLE)
    enough = sum(n.startswith("X") for n in names) >= 2 and any(n.startswith("Y") for n in names)
    if enough:
        assert policy.judge(signed_by(names)) == CHECKPOINT
    else:
        with pytest.raises(VerificationFailed):
            policy.judge(signed_by(names))


def test_the_error_says_who_is_missing() -> None:
    with pytest.raises(VerificationFailed) as caught:
        Policy.parse(EXAMPLE).judge(signed_by(["X1", "Y2"]))
    assert caught.value.what == (
        "the checkpoint of log.example at 7 entries lacks cosignatures: "
        "1 more of (1 more of (x2.example, x3.example))"
    )
    one = Policy.parse(f"witness w {WITNESSES['X1']}\nquorum w\n")
    with pytest.raises(VerificationFailed, match=r"cosignatures: x1\.example"):
        one.judge(signed_by([]), [LOG])


def test_a_policy_is_printed_as_it_is_read() -> None:
    policy = Policy.parse(EXAMPLE)
    assert Policy.parse(str(policy)) == policy
    assert policy.logs[0].url == "https://log.example"


@pytest.mark.parametrize("needed", [0, 1, 2, 3])
def test_so_many_of_the_peers(needed: int) -> None:
    policy = Policy.of_peers([WITNESSES[n] for n in ("X1", "X2", "X3")], needed)
    assert Policy.parse(str(policy)) == policy
    names = ["X1", "X2", "X3"][:needed]
    assert policy.judge(signed_by(names), [LOG]) == CHECKPOINT
    if needed:
        with pytest.raises(VerificationFailed):
            policy.judge(signed_by(names[1:]), [LOG])


def test_more_peers_than_there_are_can_never_cosign() -> None:
    with pytest.raises(InvalidInput):
        Policy.of_peers([WITNESSES["X1"]], 2)


def test_a_log_that_is_not_named_is_not_believed() -> None:
    with pytest.raises(VerificationFailed):
        Policy().judge(signed_by(WITNESSES))
    with pytest.raises(VerificationFailed):
        Policy().judge(signed_by(WITNESSES), [Verifier("log.example", KEYS["X1"].public)])
    rotated = [Verifier("log.example", KEYS["X1"].public), LOG]
    assert Policy().judge(signed_by([]), rotated) == CHECKPOINT


def test_a_bad_cosignature_of_a_known_witness_spoils_the_checkpoint() -> None:
    bad = cosign(Checkpoint("log.example", 8, bytes(32)).text, "x1.example", KEYS["X1"], 5)
    with pytest.raises(VerificationFailed):
        Policy.parse(EXAMPLE).judge(signed_by(["X2", "X3", "Y1"]) + bad)


def test_two_witnesses_of_one_name_count_each_by_its_own_key() -> None:
    keys = [Cosigner("same.example", KEYS[n].public) for n in ("X1", "X2")]
    note = CHECKPOINT.sign(KEYS["log"]) + cosign(CHECKPOINT.text, "same.example", KEYS["X1"], 5)
    assert Policy.of_peers(keys, 1).judge(note, [LOG]) == CHECKPOINT
    with pytest.raises(VerificationFailed):
        Policy.of_peers(keys, 2).judge(note, [LOG])


W1, W2 = (f"witness {n} {WITNESSES[n]}\n" for n in ("X1", "X2"))


@pytest.mark.parametrize(
    "text",
    [
        *("", W1, "quorum\n", "quorum none\nquorum none\n", "quorum X1\n" + W1, "quorum none extra\n"),
        *(
            W1 + W1 + "quorum X1\n",
            W1.replace("X1", "none", 1) + "quorum none\n",
            "what is this\nquorum none\n",
        ),
        f"witness X9 {WITNESSES['X1']}\n{W1}quorum none\n",
        f"log {LOG}\nlog {LOG}\nquorum none\n",
        f"log {WITNESSES['X1']}\nquorum none\n",
        f"witness w {LOG}\nquorum none\n",
        *(
            W1 + W2 + f"group g {how}\nquorum g\n"
            for how in ("0 X1", "2 X1", "all", "any", "x X1", "any none", "any g")
        ),
        W1 + W2 + "group g all X1 X1\nquorum g\n",
        W1 + W2 + "group g any X1\ngroup h any X1 X2\nquorum h\n",
        W1 + "group X1 any X1\nquorum X1\n",
        "quorum none\r\n",
        "quorum none\n# \x00\n",
        "quorum\u00a0none\n",
    ],
)
def test_a_malformed_policy_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        Policy.parse(text)


@given(st.text(max_size=100) | st.binary(max_size=100))
def test_garbage_is_no_policy(data: str | bytes) -> None:
    with pytest.raises(InvalidInput):
        Policy.parse(data)
