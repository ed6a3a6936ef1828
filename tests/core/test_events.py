"""Events: what a signed, chained fact may and may not look like."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedkeep.core import jcs
from seedkeep.core.errors import Conflict, Error, InvalidInput, VerificationFailed
from seedkeep.core.events import Event, check_successor, sign_event
from seedkeep.core.keys import PrivateKey, PublicKey

ALICE, MALLORY = PrivateKey(b"a" * 32), PrivateKey(b"m" * 32)
HOME, NOW = "registrar.example:8080", "2026-01-31T12:00:00Z"


def first(key: PrivateKey = ALICE, body: bytes = b"{}") -> Event:
    return sign_event(key, type="taint", body=body, home=HOME, created=NOW)


def test_an_event_survives_the_way_through_its_leaf() -> None:
    event = first()
    again = Event.parse(event.leaf())
    again.verify()
    assert again == event
    assert again.hash() == event.hash() == event.record_id


@pytest.mark.parametrize("field", ["type", "home", "created", "body_sha256", "by"])
def test_changing_any_field_breaks_the_signature(field: str) -> None:
    other = {
        "type": "lift",
        "home": "elsewhere.example",
        "created": "2026-01-31T12:00:01Z",
        "body_sha256": "0" * 64,
        "by": str(MALLORY.public),
    }
    forged = replace(first(), **{field: other[field]})
    with pytest.raises(VerificationFailed):
        Event.parse(forged.leaf()).verify()


def test_the_signature_is_not_part_of_the_hash_so_it_cannot_fork_a_record() -> None:
    event = first()
    assert replace(event, sig="AAAA").hash() == event.hash()
    with pytest.raises(VerificationFailed):
        replace(event, sig=event.sig.rstrip("=")).verify()


def test_a_body_with_another_digest_is_refused() -> None:
    event = first(body=b"{}")
    event.check_body(b"{}")
    with pytest.raises(VerificationFailed):
        event.check_body(b"{ }")


def test_a_successor_must_follow_the_head_directly() -> None:
    head = first()
    second = sign_event(ALICE, type="lift", body=b"{}", home=HOME, created=NOW, after=head)
    third = sign_event(ALICE, type="lift", body=b"{}", home=HOME, created=NOW, after=second)
    check_successor(head, second)
    check_successor(second, third)
    with pytest.raises(Conflict):
        check_successor(head, third)
    with pytest.raises(Conflict):
        check_successor(second, second)
    with pytest.raises(VerificationFailed):
        check_successor(first(MALLORY), second)


def test_a_later_event_names_its_record_and_a_first_one_cannot() -> None:
    fields = json.loads(first().leaf())
    for change in ({"seq": 1}, {"rid": "0" * 64}, {"prev": "0" * 64}):
        with pytest.raises(InvalidInput):
            Event.parse({**fields, **change})


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**52), 2**52) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(sorted(Event.__slots__)), json_values))
def test_whatever_comes_in_as_an_event_is_read_or_refused_in_words(changes: dict[str, object]) -> None:
    fields = {**json.loads(first().leaf()), **changes}
    try:
        event = Event.parse(fields)
    except Error as error:
        assert error.what
    else:
        assert jcs.loads(event.leaf()) == fields


@given(st.binary(max_size=300))
def test_garbage_is_no_event(data: bytes) -> None:
    with pytest.raises(InvalidInput):
        Event.parse(data)


@given(st.binary(min_size=32, max_size=32))
def test_a_public_key_is_printed_and_read_in_one_form(seed: bytes) -> None:
    key = PrivateKey(seed)
    assert PublicKey.parse(str(key.public)) == key.public
    assert PrivateKey.from_pem(key.to_pem()).public == key.public
    assert str(seed) not in repr(key)


@pytest.mark.parametrize(
    "text", ["", "ed25519:", "ed25519:" + "A" * 42 + "B", "rsa:" + "A" * 43, "ed25519:" + "é" * 43]
)
def test_a_malformed_public_key_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        PublicKey.parse(text)


@pytest.mark.parametrize(
    "text", ['{"a":1,"a":2}', '{"a":NaN}', "[" * 2000 + "]" * 2000, '"\\ud800', b"\xff", "[[" * 33]
)
def test_json_that_could_be_read_in_two_ways_is_refused(text: str | bytes) -> None:
    with pytest.raises(InvalidInput):
        jcs.loads(text)


@given(json_values)
def test_canonical_json_is_a_fixed_point(value: object) -> None:
    try:
        data = jcs.dumps(value)
    except InvalidInput:
        return
    assert jcs.dumps(jcs.loads(data)) == data


def test_a_time_in_other_digits_is_refused() -> None:
    with pytest.raises(InvalidInput):
        sign_event(
            PrivateKey(b"k" * 32), type="record", body=b"{}", home="x.example", created="٢٠٢٦-01-31T12:00:00Z"
        )
