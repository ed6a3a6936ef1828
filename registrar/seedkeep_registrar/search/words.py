"""How text becomes words, in documents and in queries alike, and what a query means; pure.

Both engines are given words that are made here, so that they agree on every one: lower case, no accents,
English plurals as the singular (Harman's S-stemmer, JASIS 42 (1991) 7-15), each Chinese or Japanese character
a word.
A query has words, "phrases in quotes", -words that must not occur, and beginnings*. Every text is a query.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

#: longer words are cut; a content id has 64
LONGEST_WORD = 64
LONGEST_QUERY = 1000
_MOST_PHRASES = 12
_MOST_WORDS = 24
_SHORTEST_BEGINNING = 2
_HAN = r"\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_WORD = re.compile(rf"(?=[^\W_])[{_HAN}]|(?:(?![{_HAN}])[^\W_])+")
_PART = re.compile(r'(-?)(?:"([^"]*)"?|([^\s"]+))')


@dataclass(frozen=True, slots=True)
class Phrase:
    """Words that follow each other; with ``prefix`` the last one is the beginning of a word."""

    words: tuple[str, ...]
    prefix: bool = False


@dataclass(frozen=True, slots=True)
class Query:
    """What must occur and what must not; both empty for a query without words."""

    wanted: tuple[Phrase, ...] = ()
    unwanted: tuple[Phrase, ...] = ()


@cache
def _marks() -> dict[int, None]:
    every = range(sys.maxunicode + 1)
    return {code: None for code in every if unicodedata.category(chr(code))[0] == "M"}


def _plain(text: str) -> str:
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFKD", text.casefold()).translate(_marks())


def _singular(word: str) -> str:
    if len(word) < 4 or not (word[-1] == "s" and word.isascii() and word.isalpha()):
        return word
    if word.endswith("ies"):
        return word if word.endswith(("eies", "aies")) else word[:-3] + "y"
    if word.endswith("es"):
        return word if word.endswith(("aes", "ees", "oes")) else word[:-1]
    return word if word.endswith(("us", "ss")) else word[:-1]


def words_of(text: str) -> Iterator[str]:
    """The words of a text in their order."""
    for found in _WORD.finditer(_plain(text)):
        yield _singular(found[0][:LONGEST_WORD])


def parse(text: str) -> Query:
    """What somebody asks for. Nothing is an error: what is no word is passed over, what is too long cut."""
    wanted: dict[Phrase, None] = {}
    unwanted: dict[Phrase, None] = {}
    left = _MOST_WORDS
    for minus, quoted, bare in _PART.findall(text[:LONGEST_QUERY]):
        words = tuple(words_of(quoted or bare))[:left]
        if not words or len(wanted) + len(unwanted) >= _MOST_PHRASES:
            continue
        left -= len(words)
        beginning = bare.endswith("*") and len(words[-1]) >= _SHORTEST_BEGINNING
        (unwanted if minus else wanted)[Phrase(words, beginning)] = None
    return Query(tuple(wanted), tuple(p for p in unwanted if p not in wanted))
