"""Descriptive metadata: what is taken, how it is printed, and which typing errors are noticed."""

from __future__ import annotations

import contextlib
import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedkeep.core.errors import InvalidInput
from seedkeep.core.metadata import (
    Affiliation,
    Contact,
    Creator,
    Date,
    Funding,
    Metadata,
    Related,
    Subject,
    doi,
    orcid,
    parse_metadata,
    ror,
)

FULL = {
    "title": "Λ phage",
    "creators": [
        "Hershey, A.",
        {
            "name": "Carberry, Josiah",
            "given": "Josiah",
            "family": "Carberry",
            "orcid": "https://orcid.org/0000-0002-1825-0097",
            "affiliations": [{"name": "Brown University", "ror": "https://ror.org/05gq02987"}, "Elsewhere"],
        },
        {"name": "The Phage Group", "kind": "organization"},
    ],
    "subjects": ["phages", {"text": "Lambdavirus lambda", "scheme": "NCBITaxon", "id": "10710"}],
    "description": "All of it.",
    "funding": [{"funder": "NSF", "ror": "021nxhr62", "award": "42", "title": "Phages"}],
    "related": [{"relation": "IsDescribedBy", "identifier": "doi:10.1016/0022-2836(82)90546-0"}],
    "dates": [{"kind": "Collected", "value": "2020-05/2021"}],
    "contacts": [{"name": "Desk", "email": "desk@example.org"}],
    "publisher": "Example University",
    "version": "v2",
    "language": "en",
    "dois": ["https://doi.org/10.5281/Zenodo.1"],
}


def test_everything_is_read_and_printed_in_one_form() -> None:
    read = parse_metadata(FULL)
    assert read.creators[1] == Creator(
        "Carberry, Josiah",
        given="Josiah",
        family="Carberry",
        orcid="0000-0002-1825-0097",
        affiliations=(Affiliation("Brown University", "05gq02987"), Affiliation("Elsewhere")),
    )
    assert read.subjects[1].url == "https://www.ncbi.nlm.nih.gov/datasets/taxonomy/10710/"
    assert read.keywords == ("phages", "Lambdavirus lambda", "NCBITaxon:10710")
    assert read.dois == ("10.5281/zenodo.1",)
    printed = read.encode()
    assert printed["creators"][0] == "Hershey, A."
    assert printed["creators"][2] == {"name": "The Phage Group", "kind": "organization"}
    assert parse_metadata(printed) == read


def test_nothing_need_be_said() -> None:
    assert parse_metadata({}) == Metadata()
    assert Metadata().encode() == {}


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("colour", "red", "colour"),
        ("title", 5, "title"),
        ("title", "a\x00b", "title"),
        ("description", "x" * 100_001, "description"),
        ("creators", "me", "creators"),
        ("creators", [{}], "name"),
        ("creators", [{"name": "A", "age": 5}], "age"),
        ("creators", [{"name": "A", "kind": "robot"}], "kind"),
        ("creators", [{"name": "A", "orcid": "0000-0002-1825-0098"}], "typing error"),
        ("creators", [{"name": "A", "affiliations": [{"name": "B", "ror": "123"}]}], "ROR"),
        ("creators", ["x"] * 1001, "1000"),
        ("subjects", [""], "subject"),
        ("subjects", [{"text": "a", "scheme": "NCBITaxon"}], "both"),
        ("subjects", [{"text": "a", "scheme": "LCSH", "id": "1"}], "LCSH"),
        ("subjects", [{"text": "a", "scheme": "EDAM", "id": "1"}], "EDAM"),
        ("funding", ["NSF"], "funding"),
        ("related", [{"relation": "Likes", "identifier": "doi:10.1/x"}], "Likes"),
        ("related", [{"relation": "Cites", "identifier": "javascript:alert(1)"}], "javascript"),
        ("related", [{"relation": "Cites"}], "incomplete"),
        ("dates", [{"kind": "Created", "value": "yesterday"}], "yesterday"),
        ("dates", [{"kind": "Created", "value": "2020-13"}], "2020-13"),
        ("contacts", [{"name": "A", "email": "nobody"}], "nobody"),
        ("language", "the english", "language"),
        ("dois", ["11.1/x"], "DOI"),
        ("dois", "10.1/x", "dois"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(field: str, value: Any, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        parse_metadata({field: value})


@given(st.text("0123456789", min_size=15, max_size=15), st.integers(0, 14), st.sampled_from("123456789"))
def test_one_wrong_digit_of_an_orcid_is_always_noticed(digits: str, at: int, more: str) -> None:
    good = None
    for last in string.digits + "X":
        text = "-".join((digits + last)[i : i + 4] for i in range(0, 16, 4))
        try:
            good = orcid(text)
        except InvalidInput:
            continue
    assert good is not None
    place = at + at // 4
    wrong = good[:place] + str((int(good[place]) + int(more)) % 10) + good[place + 1 :]
    with pytest.raises(InvalidInput):
        orcid(wrong)


def test_identifiers_are_known_in_any_usual_way_of_writing() -> None:
    assert orcid("http://orcid.org/0000-0001-5109-3700") == "0000-0001-5109-3700"
    assert ror(" https://ror.org/04WXNSJ81 ") == "04wxnsj81"
    assert doi("doi:10.1000/ABC") == doi("http://dx.doi.org/10.1000/abc") == "10.1000/abc"


_words = st.text(
    st.characters(exclude_categories=("Cs",), exclude_characters="\x00"), min_size=1, max_size=30
)


@given(
    st.builds(
        Metadata,
        title=_words,
        creators=st.lists(st.builds(Creator, _words, given=_words, family=_words), max_size=3).map(tuple),
        subjects=st.lists(st.builds(Subject, _words), max_size=3).map(tuple),
        description=_words,
        funding=st.lists(st.builds(Funding, _words, award=_words), max_size=2).map(tuple),
        related=st.just((Related("Cites", "doi:10.1000/x"),)),
        dates=st.just((Date("Created", "2024"),)),
        contacts=st.lists(st.builds(Contact, _words), max_size=2).map(tuple),
    )
)
def test_what_is_printed_is_read_back(metadata: Metadata) -> None:
    assert parse_metadata(metadata.encode()) == metadata


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from([*FULL, "other"]), _json) | _json)
def test_garbage_is_refused_and_nothing_else(garbage: Any) -> None:
    with contextlib.suppress(InvalidInput):
        parse_metadata(garbage).check()
