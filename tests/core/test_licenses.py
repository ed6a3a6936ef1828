"""Licences: SPDX's are known, near misses are told, old records keep theirs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedkeep.core.errors import InvalidInput
from seedkeep.core.licenses import check_license, license_of


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("CC0-1.0", "CC0-1.0"),
        ("cc-by-4.0", "CC-BY-4.0"),
        ("GPL-2.0", "GPL-2.0"),
        ("CC-BY-4.0  OR odbl-1.0", "CC-BY-4.0 OR ODbL-1.0"),
        ("(MIT OR CC0-1.0) AND PDDL-1.0", "(MIT OR CC0-1.0) AND PDDL-1.0"),
        ("GPL-2.0-only WITH Classpath-exception-2.0", "GPL-2.0-only WITH Classpath-exception-2.0"),
        ("LicenseRef-UK-Biobank", "LicenseRef-UK-Biobank"),
    ],
)
def test_what_spdx_knows_is_printed_as_spdx_does(text: str, printed: str) -> None:
    assert check_license(text) == printed
    assert check_license(printed) == printed


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("CC BY 4.0", "CC-BY-4.0"),
        ("CC-BY", "CC-BY-4.0"),
        ("cco-1.0", "CC0-1.0"),
        ("CC0", "CC0-1.0"),
        ("public domain", "CC0-1.0"),
        ("MIT OR CC-BI-4.0", "CC-BY-4.0"),
    ],
)
def test_a_near_miss_is_refused_with_what_was_meant(text: str, meant: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        check_license(text)
    assert refused.value.hint == f"Did you mean {meant}?"


@pytest.mark.parametrize("text", ["", "MIT AND", "OR", "MIT MIT", "x" * 65, "MIT WITH MIT", "GPL-2.0\nMIT"])
def test_what_is_no_licence_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        check_license(text)


@given(st.text(max_size=70) | st.from_regex(r"[A-Z().+ -]{1,30}"))
def test_any_text_is_a_licence_or_refused_in_words(text: str) -> None:
    try:
        printed = check_license(text)
    except InvalidInput as error:
        assert error.what
        assert error.hint
    else:
        assert check_license(printed) == printed


def test_an_old_record_keeps_what_it_says() -> None:
    assert license_of("My-Own-1.0").name == "My-Own-1.0"
    assert license_of("My-Own-1.0").url == ""
    assert license_of("Apache-2.0").url == "https://spdx.org/licenses/Apache-2.0.html"
    assert license_of("CC0-1.0").url == "https://creativecommons.org/publicdomain/zero/1.0/"
