"""RIS: tagged lines, each ended by CR LF (https://en.wikipedia.org/wiki/RIS_(file_format))."""

from __future__ import annotations

from seedkeep_registrar.exports.described import Described, one_line
from seedkeep_registrar.exports.people import name_of


def ris(record: Described) -> str:
    """The entry."""
    metadata = record.metadata
    fields = [
        ("TY", ["DATA"]),
        ("ID", [record.ark.rpartition("/")[2]]),
        ("AU", [name_of(c).inverted for c in metadata.creators]),
        ("TI", [record.title]),
        ("PY", [record.year]),
        ("DA", [record.created[:10].replace("-", "/")]),
        ("PB", [record.publisher]),
        ("ET", [metadata.version]),
        ("DO", list(metadata.dois[:1])),
        ("UR", [record.url]),
        ("AN", [record.ark]),
        ("KW", list(metadata.keywords)),
        ("AB", [record.description]),
        ("LA", [metadata.language]),
        ("C1", [record.license.id]),
        ("DP", [record.catalog_name]),
        ("ER", [" "]),
    ]
    lines = [f"{tag}  - {one_line(value)}" for tag, values in fields for value in values if value]
    return "".join(f"{line}\r\n" for line in lines)
