"""A mistyped ARK leads to the right one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedkeep.core.identifiers import BETANUMERIC, check_character, mint_ark
from seedkeep.core.near_names import near_arks, typed_ark

anything = st.text(st.characters(exclude_categories=()), max_size=80)


@given(st.binary(min_size=32, max_size=32), st.data())
def test_one_slip_in_an_ark_leads_back_to_it(rid: bytes, data: st.DataObject) -> None:
    ark = mint_ark("99999", rid.hex())
    naan, name = ark.split("/")
    at = data.draw(st.integers(2, len(name) - 1))
    kind = data.draw(st.sampled_from(["wrong", "missing", "added", "swapped"]))
    character = data.draw(st.sampled_from(BETANUMERIC + "lo"))
    slipped = {
        "wrong": name[:at] + character + name[at + 1 :],
        "missing": name[:at] + name[at + 1 :],
        "added": name[:at] + character + name[at:],
        "swapped": name[: at - 1] + name[at] + name[at - 1] + name[at + 1 :] if at > 2 else name + "0",
    }[kind]
    if slipped != name:
        found = near_arks(f"{naan}/{slipped}")
        assert ark in found
        assert len(found) < 160


@given(anything)
def test_no_nonsense_upsets_the_suggestions(typed: str) -> None:
    assert all(a.startswith(f"{typed.lower().partition('/')[0]}/sk") for a in near_arks(typed))


def test_letters_that_look_like_digits_are_read_as_those() -> None:
    start = "99999/sk0101v10101"
    good = start + check_character(start)
    assert near_arks(good.replace("0", "o").replace("1", "l").replace("v", "u"))[0] == good


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("ark:/99999/sk0Ol1-23x", "99999/sk0ol123x"),
        ("https://n2t.net/ark:99999/skabc/path/a", "99999/skabc"),
        (" ark:/99999/5kabc@latest ", "99999/5kabc"),
        ("ark:/99999/sk\u0435", ""),
        ("doi:10.1/x", ""),
        ("ark:", ""),
    ],
)
def test_what_was_typed_as_an_ark_is_recognised(text: str, value: str) -> None:
    assert typed_ark(text) == value


@given(anything | anything.map("ark:/99999/sk".__add__))
def test_anything_typed_is_survived(text: str) -> None:
    near_arks(typed_ark(text))
