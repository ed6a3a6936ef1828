"""BibTeX: one ``@dataset`` (biblatex; classical styles read it as ``@misc``).

Texts are escaped for TeX, and hold no brace of their own: braces have to balance whatever stands before them.
Source: http://mirrors.ctan.org/biblio/bibtex/base/btxdoc.pdf, biblatex manual 2.1.1.
"""

from __future__ import annotations

import re
import unicodedata

from seedkeep_registrar.exports.described import Described, doi_url, one_line
from seedkeep_registrar.exports.people import Name, name_of

_TEX = {
    "\\": r"\textbackslash ",
    "{": r"\textbraceleft ",
    "}": r"\textbraceright ",
    "~": r"\textasciitilde ",
    "^": r"\textasciicircum ",
    **{c: f"\\{c}" for c in "#$%&_"},
}
_AND = re.compile(r"\band\b", re.IGNORECASE)


def bibtex(record: Described) -> str:
    """The entry."""
    metadata = record.metadata
    names = [name_of(c) for c in metadata.creators]
    fields = [
        ("author", " and ".join(map(_author, names))),
        ("title", f"{{{tex(record.title)}}}"),
        ("publisher", tex(record.publisher)),
        ("year", record.year),
        ("version", tex(metadata.version)),
        (
            "doi",
            _verbatim(doi_url(metadata.dois[0]).removeprefix("https://doi.org/")) if metadata.dois else "",
        ),
        ("url", _verbatim(record.url)),
        ("eprint", _verbatim(record.ark)),
        ("eprinttype", "ark"),
        ("keywords", ", ".join(tex(word.replace(",", " ")) for word in metadata.keywords)),
        ("abstract", tex(record.description)),
        ("language", tex(metadata.language)),
        ("copyright", tex(record.license.id)),
    ]
    lines = [f"  {name} = {{{value}}}" for name, value in fields if value]
    return f"@dataset{{{_key(record, names)},\n" + ",\n".join(lines) + "\n}\n"


def tex(text: str) -> str:
    """Text for TeX, in one line."""
    return "".join(_TEX.get(c, c) for c in one_line(text))


def _author(name: Name) -> str:
    if not name.family:
        return f"{{{tex(name.literal)}}}"
    return ", ".join(_part(part) for part in (name.family, name.given))


def _part(text: str) -> str:
    """A part of a name; in braces when BibTeX would split it."""
    made = tex(text)
    return f"{{{made}}}" if _AND.search(made) or "," in made else made


def _verbatim(text: str) -> str:
    """A URL or name that is not TeX; what could end the field is escaped as URLs do."""
    return "".join(f"%{ord(c):02X}" if c in '{}\\"' else c for c in one_line(text).replace(" ", "%20"))


def _key(record: Described, names: list[Name]) -> str:
    """``okafor2026-sk7v3b…``: readable, and no two records have the same."""
    first = unicodedata.normalize("NFKD", names[0].family or names[0].literal) if names else ""
    family = re.sub(r"[^a-z]", "", first.lower())[:20]
    return f"{family}{record.year}-{record.ark.rpartition('/')[2]}"
