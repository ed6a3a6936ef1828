"""The life of a record: who may change what, and what a chain of events says."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seedkeep.core import jcs
from seedkeep.core.errors import Conflict, InvalidInput, Refused, VerificationFailed
from seedkeep.core.events import Event, sign_event
from seedkeep.core.keys import PrivateKey
from seedkeep.core.metadata import Affiliation, Creator, Metadata, Subject
from seedkeep.core.record import Dataset, Editor, RecordBody
from seedkeep.core.revision import Change, RecordState, RehomeBody, RevisionBody, WithdrawalBody

KEYS = [PrivateKey(bytes([n]) * 32) for n in range(1, 6)]
ALICE, BOB, MALLORY, *_ = KEYS
REGISTRAR = PrivateKey(b"r" * 32)
HOME_KEY = str(REGISTRAR.public)
HOME, NOW = "registrar.example", "2026-01-31T12:00:00Z"
DATASET = Dataset("lambda", "a" * 64, "b" * 40, 2, 100, 65536, "c" * 64, "d" * 64, "e" * 64)
EDITOR = Editor("a1", "Chase, M.", "0000-0002-1825-0097")
BODY = RecordBody(DATASET, Metadata(title="Lambda"), web_seeds=("https://example.org/",))


def begun(body: RecordBody = BODY, key: PrivateKey = ALICE) -> RecordState:
    event = sign_event(key, type="record", body=body.encode(), home=HOME, created=NOW)
    return RecordState.begin(event, body.encode())


def signed(
    key: PrivateKey, state: RecordState, body: bytes, kind: str = "revision", home: str = HOME
) -> Event:
    return sign_event(key, type=kind, body=body, home=home, created=NOW, after=state.head)


def revised(state: RecordState, key: PrivateKey = ALICE, **changes: object) -> RecordState:
    body = state.revision(**changes).encode()  # type: ignore[arg-type]
    return state.apply(signed(key, state, body), body, home_key=HOME_KEY)


def test_a_record_begins_with_its_signer_as_steward() -> None:
    state = begun()
    assert (state.stewards, state.metadata, state.home) == ((str(ALICE.public),), BODY.metadata, HOME)
    assert state.rid == state.head.hash()
    assert begun(replace(BODY, stewards=(str(BOB.public),))).stewards == (str(BOB.public),)


def test_bodies_come_back_as_they_were_written() -> None:
    for body in (begun().revision(note="why", editor=EDITOR), begun().revision()):
        assert RevisionBody.parse(body.encode()) == body
    for last in (WithdrawalBody("consent was withdrawn"), WithdrawalBody("so", EDITOR)):
        assert WithdrawalBody.parse(last.encode()) == last
    full = replace(BODY, supersedes="f" * 64, stewards=(str(BOB.public),), editor=EDITOR)
    assert RecordBody.parse(full.encode()) == full


def test_a_first_body_without_the_new_fields_is_the_same_bytes_as_ever() -> None:
    assert set(jcs.loads(BODY.encode())) == {"v", "dataset", "metadata", "license", "web_seeds", "copies"}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("v", 2),
        ("note", "n" * 2001),
        ("note", None),
        ("note", "\x00"),
        ("stewards", []),
        ("stewards", [str(ALICE.public)] * 2),
        ("stewards", ["me"]),
        ("stewards", [str(k.public) for k in (PrivateKey(bytes([n]) * 32) for n in range(40, 61))]),
        ("copies", 101),
        ("web_seeds", ["ftp://a/"]),
        ("metadata", {"colour": "red"}),
        ("editor", {"name": "nobody"}),
        ("editor", {"account": "a", "orcid": "0000-0002-1825-0098"}),
        ("editor", None),
        ("license", "MIT"),
        ("dataset", {}),
    ],
)
def test_a_malformed_revision_is_refused(field: str, value: object) -> None:
    fields = {**jcs.loads(begun().revision().encode()), field: value}
    with pytest.raises(InvalidInput):
        RevisionBody.parse(fields)


@pytest.mark.parametrize("fields", [{"v": 1}, {"v": 1, "reason": " "}, {"v": 1, "reason": "r", "x": 1}, {}])
def test_a_withdrawal_says_why_and_nothing_else(fields: dict[str, object]) -> None:
    with pytest.raises(InvalidInput):
        WithdrawalBody.parse(fields)


@pytest.mark.parametrize(
    "change",
    [{"supersedes": ""}, {"supersedes": "F" * 64}, {"stewards": []}, {"editor": {}}, {"supersedes": None}],
)
def test_a_malformed_first_body_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(InvalidInput):
        RecordBody.parse({**jcs.loads(BODY.encode()), **change})


def test_the_previous_state_says_who_may_sign() -> None:
    state = begun()
    handed_over = revised(state, stewards=(str(BOB.public),))
    with pytest.raises(Refused):
        revised(handed_over, ALICE, note="I was the steward")
    assert revised(handed_over, BOB, note="mine now").note == "mine now"
    with pytest.raises(Refused):
        # nobody appoints themselves
        revised(state, MALLORY, stewards=(str(MALLORY.public),))


def test_the_home_registrar_signs_for_people_in_browsers() -> None:
    state = revised(begun(), REGISTRAR, metadata=Metadata(title="Better"), editor=EDITOR)
    assert (state.editor, state.metadata.title, state.stewards) == (EDITOR, "Better", begun().stewards)


def test_only_the_home_registrar_names_an_editor() -> None:
    with pytest.raises(Refused):
        revised(begun(), ALICE, note="said by somebody famous", editor=EDITOR)
    body = WithdrawalBody("so", EDITOR).encode()
    with pytest.raises(Refused):
        begun().apply(signed(ALICE, begun(), body, "withdrawal"), body, home_key=HOME_KEY)


def test_a_withdrawal_ends_the_chain_and_keeps_what_was_said() -> None:
    state = revised(begun(), metadata=Metadata(title="Last words"))
    body = WithdrawalBody("consent was withdrawn").encode()
    gone = state.apply(signed(ALICE, state, body, "withdrawal"), body, home_key=HOME_KEY)
    assert (gone.withdrawn, gone.note, gone.metadata) == (True, "consent was withdrawn", state.metadata)
    assert gone.changes_since(state) == [Change("withdrawn", (), ("consent was withdrawn",))]
    with pytest.raises(Conflict):
        revised(gone)


def test_a_stale_event_is_a_conflict_and_a_strangers_is_none() -> None:
    state, other = begun(), begun(replace(BODY, copies=5))
    body = state.revision(note="late").encode()
    late = signed(ALICE, state, body)
    with pytest.raises(Conflict):
        revised(state).apply(late, body, home_key=HOME_KEY)
    with pytest.raises(VerificationFailed):
        other.apply(late, body, home_key=HOME_KEY)
    with pytest.raises(VerificationFailed):
        state.apply(signed(ALICE, state, body, home="other.example"), body, home_key=HOME_KEY)
    with pytest.raises(VerificationFailed):
        state.apply(late, begun().revision(note="another").encode(), home_key=HOME_KEY)
    with pytest.raises(VerificationFailed):
        state.apply(replace(late, by=str(BOB.public)), body, home_key=HOME_KEY)


def test_only_events_of_records_change_records() -> None:
    state, body = begun(), begun().revision().encode()
    for kind in ("record", "taint", "lift"):
        with pytest.raises(InvalidInput):
            state.apply(signed(ALICE, state, body, kind), body, home_key=HOME_KEY)
    with pytest.raises(InvalidInput):
        RecordState.begin(signed(ALICE, state, body), body)


def test_changes_are_told_in_words() -> None:
    before = begun()
    made_by = Creator("Hershey, A.", orcid="0000-0002-1825-0097", affiliations=(Affiliation("CIW"),))
    after = revised(
        before,
        metadata=Metadata(title="λ", creators=(made_by,), subjects=(Subject("phage", "NCBITaxon", "10710"),)),
        copies=5,
        web_seeds=(),
    )
    assert after.changes_since(before) == [
        Change("title", ("Lambda",), ("λ",)),
        Change("creators", (), ("Hershey, A., ORCID 0000-0002-1825-0097, CIW",)),
        Change("subjects", (), ("phage (NCBITaxon:10710)",)),
        Change("web seeds", ("https://example.org/",), ()),
        Change("copies", ("3",), ("5",)),
    ]
    assert after.changes_since(after) == []


NAMES = st.sampled_from(KEYS)
STEPS = st.lists(st.tuples(NAMES, st.lists(NAMES, min_size=1, max_size=3, unique=True)), max_size=6)


@settings(deadline=None, max_examples=60)
@given(STEPS, st.data())
def test_every_chain_holds_exactly_when_every_signer_was_a_steward_before(
    steps: list[tuple[PrivateKey, list[PrivateKey]]], data: st.DataObject
) -> None:
    state, events = begun(), []
    for signer, stewards in steps:
        keys = tuple(str(k.public) for k in stewards)
        body = state.revision(stewards=keys, note=f"step {len(events)}").encode()
        event = signed(signer, state, body)
        if str(signer.public) in state.stewards:
            state = state.apply(event, body, home_key=HOME_KEY)
            events.append((event, body))
            assert (state.stewards, state.head) == (keys, event)
        else:
            with pytest.raises(Refused):
                state.apply(event, body, home_key=HOME_KEY)
    order = data.draw(st.permutations(range(len(events))))
    again = begun()
    for place, number in enumerate(order):
        if number != place:
            with pytest.raises(Conflict):
                again.apply(*events[number], home_key=HOME_KEY)
            return
        again = again.apply(*events[number], home_key=HOME_KEY)
    assert again == state


@given(
    st.dictionaries(st.sampled_from(["v", "reason", "editor", "note"]), st.none() | st.text() | st.integers())
)
def test_any_object_is_a_body_or_refused_in_words(fields: dict[str, object]) -> None:
    for kind in (RevisionBody, WithdrawalBody):
        try:
            kind.parse(fields)
        except InvalidInput as error:
            assert error.what


def moved(state: RecordState, key: PrivateKey, home: str, **body: str) -> RecordState:
    said = RehomeBody(**{"source": state.home, "to": home, "reason": "it is gone", **body}).encode()
    return state.apply(signed(key, state, said, "rehome", home), said, home_key=str(MALLORY.public))


def test_a_steward_moves_a_record_and_it_goes_on_at_its_new_home() -> None:
    state = moved(begun(), ALICE, "other.example")
    assert (state.home, state.note) == ("other.example", "it is gone")
    assert state.changes_since(begun()) == [Change("home", (HOME,), ("other.example",))]
    body = state.revision(copies=5).encode()
    with pytest.raises(VerificationFailed, match="belongs to other"):
        state.apply(signed(ALICE, state, body), body, home_key=HOME_KEY)
    later = state.apply(
        signed(MALLORY, state, body, home="other.example"), body, home_key=str(MALLORY.public)
    )
    assert later.copies == 5
    assert moved(later, ALICE, HOME).home == HOME


@pytest.mark.parametrize("key", [MALLORY, REGISTRAR])
def test_only_a_steward_moves_a_record(key: PrivateKey) -> None:
    with pytest.raises(Refused, match="only a steward"):
        moved(begun(), key, "other.example")


@pytest.mark.parametrize("body", [{"source": "third.example"}, {"to": "third.example"}, {"to": HOME}])
def test_a_record_moves_only_from_its_home_to_where_the_event_is_addressed(body: dict[str, str]) -> None:
    home = body["to"] if body.get("to") == HOME else "other.example"
    with pytest.raises(VerificationFailed, match="moves record"):
        moved(begun(), ALICE, home, **body)
