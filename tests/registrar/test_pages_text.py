"""Names, numbers and answers as readers meet them: nothing hides, nothing breaks out."""

from __future__ import annotations

import unicodedata
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import escape

from seedkeep_registrar.pages import text

anything = st.text(st.characters(exclude_categories=()), max_size=80)


def hidden(character: str) -> bool:
    return character != "\n" and unicodedata.category(character) in (
        "Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp",
    )  # fmt: skip


class Reader(HTMLParser):
    """Collects what a browser would make of it."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: set[str] = set()
        self.words: list[str] = []
        self.escapes: list[str] = []
        self._into = self.words

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self._into = self.escapes if tag == "span" else self.words

    def handle_endtag(self, tag: str) -> None:
        self._into = self.words

    def handle_data(self, data: str) -> None:
        self._into.append(data)


def read(markup: object) -> Reader:
    reader = Reader()
    reader.feed(str(markup))
    reader.close()
    return reader


@given(anything)
def test_no_text_breaks_out_of_its_place_or_hides_in_it(name: str) -> None:
    reader = read(text.shown(name))
    assert reader.tags <= {"bdi", "span"}
    said = "".join(reader.words)
    assert said == "".join(c for c in name if not hidden(c))
    assert reader.escapes == [f"U+{ord(c):04X}" for c in name if hidden(c)]


@given(anything)
def test_the_same_holds_for_paths_and_titles(name: str) -> None:
    assert read(text.path(name)).tags <= {"bdi", "span", "wbr"}
    line = text.plain_line(name)
    assert len(line) <= 120
    assert "\n" not in line
    assert not any(hidden(c) for c in line)


@given(anything, st.integers(2, 30))
def test_a_limit_is_kept(name: str, limit: int) -> None:
    if not any(hidden(c) for c in name):
        assert len("".join(read(text.shown(name, limit)).words)) <= limit


@pytest.mark.parametrize(
    ("name", "markup"),
    [
        ("<script>alert(1)</script>", "<bdi>&lt;script&gt;alert(1)&lt;/script&gt;</bdi>"),
        (
            "gpj\u202eexe",
            '<bdi>gpj<span class="hidden-character" title="a hidden character">U+202E</span>exe</bdi>',
        ),
        ("نص", "<bdi>نص</bdi>"),
    ],
)
def test_hostile_names_are_shown_for_what_they_are(name: str, markup: str) -> None:
    assert str(text.shown(name)) == markup


@given(anything)
def test_a_time_that_is_none_is_shown_as_text(printed: str) -> None:
    for made in (text.moment(printed), text.day(printed)):
        assert read(made).tags <= {"bdi", "span", "time"}


def test_times_numbers_and_sizes() -> None:
    assert "31\u00a0January\u00a02026, 12:05\u00a0UTC" in text.moment("2026-01-31T12:05:00Z")
    assert text.number(1234567) == "1\u202f234\u202f567"
    assert text.plural(1, "file") == "1\u00a0file"
    assert text.plural(2, "copy", "copies") == "2\u00a0copies"
    assert text.size(18_400_000) == "18.4\u00a0MB"


@given(st.text(max_size=4000))
def test_a_long_text_is_cut_and_nothing_is_lost(long: str) -> None:
    first, rest = text.split_long(long)
    assert first + rest == long
    assert len(first) <= text.LONG_TEXT


def test_escaping_is_on_in_every_template() -> None:
    from seedkeep_registrar.pages.render import environment

    template = environment().from_string("{{ name }}")
    assert template.render(name="<b>") == escape("<b>")
