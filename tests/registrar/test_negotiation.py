"""Which form a client gets: what it names most exactly and likes best."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedkeep_registrar.negotiation import choose, names_html, parse_accept

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"
OFFERED = ["text/html", "application/json", "application/ld+json", "application/x-bibtex", "application/xml"]
anything = st.text(max_size=80) | st.lists(
    st.sampled_from(
        [*OFFERED, "*/*", "text/*", ";q=0", ";q=0.5", ";q=1", ", ", ",", '"', ";", "\\", "q=", "*"]
    ),
    max_size=12,
).map("".join)


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        (None, "text/html"),
        ("", "text/html"),
        ("*/*", "text/html"),
        (BROWSER, "text/html"),
        ("application/json", "application/json"),
        ("APPLICATION/JSON ; Q=1.0", "application/json"),
        ('application/ld+json;profile="https://schema.org/"', "application/ld+json"),
        ("application/*", "application/json"),
        ("text/html;q=0.5, application/json", "application/json"),
        ("application/x-bibtex;q=0.8, application/json;q=0.9", "application/json"),
        ("*/*, text/html;q=0", "application/json"),
        ("application/*;q=0.3, application/x-bibtex;q=0.9, */*;q=0.1", "application/x-bibtex"),
        ("application/x-bibtex, */*", "application/x-bibtex"),
        ('text/plain;note="a, application/json", application/xml', "application/xml"),
        ("image/png", None),
        ("*/*;q=0", None),
        ("text/html;q=0", None),
        ("nonsense", None),
        ("*/html", None),
        ("application/json;q=2", None),
        ("application/json;q=nan", None),
    ],
)
def test_the_best_of_what_is_offered_is_chosen(accept: str | None, chosen: str | None) -> None:
    assert choose(accept, OFFERED) == chosen


@pytest.mark.parametrize(
    ("accept", "html"),
    [
        (BROWSER, True),
        ("application/json", False),
        ("*/*", False),
        ("", False),
        ("text/html;q=0.5, application/json", False),
        ("application/json;q=0.5, text/html", True),
        ("application/json;q=nonsense", False),
        ("text/*", False),
    ],
)
def test_who_names_html_gets_errors_as_pages(accept: str, html: bool) -> None:
    assert names_html(accept) is html


@given(anything)
def test_any_accept_header_is_survived(accept: str) -> None:
    assert choose(accept, OFFERED) in {None, *OFFERED}
    assert all(0 <= r.quality <= 1 for r in parse_accept(accept))
    names_html(accept)


@given(st.permutations(["text/html;q=0.3", "application/json;q=0.7", "*/*;q=0.5", "application/xml;q=0.6"]))
def test_the_order_in_the_header_does_not_matter(parts: list[str]) -> None:
    assert choose(", ".join(parts), OFFERED) == "application/json"


def test_a_header_of_nothing_but_quotes_takes_no_time() -> None:
    assert choose('"' * 8000 + "\\" * 8000, OFFERED) is None
    assert choose("a/b;" * 4000, OFFERED) is None
