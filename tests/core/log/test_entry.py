"""Entries: the fast reader agrees with the event's own parser, and accuses nobody wrongly."""

from __future__ import annotations

import base64
import json
from dataclasses import asdict, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedkeep.core import jcs
from seedkeep.core.errors import Error, InvalidInput, VerificationFailed
from seedkeep.core.events import TYPES, Event, sign_event
from seedkeep.core.keys import PrivateKey
from seedkeep.core.log.entry import WrongHome, read_entry

HOME = "registrar.example:8080/lab"
KEY = PrivateKey(b"e" * 32)
FIRST = sign_event(KEY, type="record", body=b"{}", home=HOME, created="2026-01-31T12:00:00Z")
SECOND = sign_event(KEY, type="revision", body=b"{}", home=HOME, created="2026-01-31T12:00:01Z", after=FIRST)


HOMES = st.from_regex(r"[a-z0-9.-]{1,20}(:[0-9]{1,5})?", fullmatch=True)


@given(st.sampled_from(sorted(TYPES)), st.binary(max_size=9), HOMES)
def test_every_event_is_read_as_its_own_parser_reads_it(type: str, body: bytes, home: str) -> None:
    event = sign_event(KEY, type=type, body=body, home=home, created="2026-01-31T12:00:00Z")
    after = sign_event(KEY, type=type, body=body, home=home, created="2026-01-31T12:00:00Z", after=event)
    for each in (event, after):
        assert read_entry(each.leaf(), home) == (each.hash(), each)


OTHER = sign_event(
    PrivateKey(b"o" * 32), type="taint", body=b"x", home="other.example", created="2027-01-31T12:00:00Z"
)


@pytest.mark.parametrize("field", ["type", "rid", "prev", "body_sha256", "home", "by", "created", "sig"])
def test_a_change_of_any_field_is_found(field: str) -> None:
    with pytest.raises(Error):
        read_entry(replace(SECOND, **{field: getattr(OTHER, field)}).leaf(), HOME)
    with pytest.raises(VerificationFailed):
        read_entry(replace(SECOND, seq=2).leaf(), HOME)


@given(st.integers(0, len(SECOND.leaf()) - 1), st.integers(0, 255))
def test_no_changed_byte_passes(at: int, byte: int) -> None:
    leaf = SECOND.leaf()
    changed = leaf[:at] + bytes([byte]) + leaf[at + 1 :]
    if changed != leaf:
        with pytest.raises(Error):
            read_entry(changed, HOME)


@given(st.binary(max_size=500))
def test_garbage_is_no_entry(data: bytes) -> None:
    with pytest.raises(InvalidInput):
        read_entry(data, HOME)


def test_what_is_not_in_canonical_form_is_no_entry() -> None:
    fields = asdict(FIRST)
    more = jcs.dumps({**fields, "more": 1})
    for leaf in (json.dumps(fields).encode(), FIRST.leaf() + b"\n", more, b"x" * 5000):
        with pytest.raises(InvalidInput):
            read_entry(leaf, HOME)


def test_an_event_for_another_registrar_is_told_apart() -> None:
    with pytest.raises(WrongHome):
        read_entry(FIRST.leaf(), "other.example")


def test_an_event_of_a_type_of_tomorrow_is_read() -> None:
    unsigned = replace(FIRST, type="rehearsal", sig="")
    event = replace(unsigned, sig=base64.b64encode(KEY.sign(unsigned.unsigned())).decode())
    assert read_entry(event.leaf(), HOME)[1] == event
    with pytest.raises(InvalidInput):
        Event.parse(event.leaf())


@pytest.mark.parametrize(
    "wrong",
    [
        {"seq": 2**31},
        {"seq": 0},
        {"rid": ""},
        {"prev": ""},
        {"home": "a" * 4096},
        {"type": "Revision"},
        {"by": str(KEY.public)[:-1] + "_"},
    ],
)
def test_what_no_registrar_takes_is_no_entry_even_when_it_is_signed(wrong: dict[str, str | int]) -> None:
    unsigned = replace(SECOND, **wrong, sig="")  # type: ignore[arg-type]
    event = replace(unsigned, sig=base64.b64encode(KEY.sign(unsigned.unsigned())).decode())
    with pytest.raises(InvalidInput):
        read_entry(event.leaf(), event.home)
    with pytest.raises(InvalidInput):
        Event.parse(event.leaf())


def test_a_signature_has_one_spelling() -> None:
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    other = alphabet[alphabet.index(SECOND.sig[-3]) ^ 1]
    respelt = replace(SECOND, sig=f"{SECOND.sig[:-3]}{other}==")
    assert base64.b64decode(respelt.sig) == base64.b64decode(SECOND.sig)
    with pytest.raises(InvalidInput):
        read_entry(respelt.leaf(), HOME)


def test_a_bad_signature_is_found() -> None:
    with pytest.raises(VerificationFailed):
        read_entry(replace(FIRST, sig=SECOND.sig).leaf(), HOME)
