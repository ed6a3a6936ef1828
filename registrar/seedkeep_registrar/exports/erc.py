"""What ``?info`` after an ARK gives: an Electronic Resource Citation in ANVL, kernel elements first.

Source: https://datatracker.ietf.org/doc/draft-kunze-ark/ (inflections), https://www.dublincore.org/groups/kernel/.
"""

from __future__ import annotations

from seedkeep_registrar.exports.described import Described, one_line

#: how ANVL writes what separates values, and its own mark
_CODES = {"%": "%pe", "|": "%vb", ";": "%sc"}


def erc(record: Described) -> str:
    """The citation, and what the registrar promises about the name."""
    metadata = record.metadata
    gone = "" if record.data else "the data are gone; this description stays"
    lines = [
        ("erc", [""]),
        (
            "who",
            ["; ".join(map(_value, (c.name for c in metadata.creators)))]
            if metadata.creators
            else ["(:unkn)"],
        ),
        ("what", [_value(record.title)]),
        ("when", [record.year]),
        ("where", [record.url]),
        ("how", ["(:mtype dataset)"]),
        ("license", [_value(record.license.url or record.license.id)]),
        ("publisher", [_value(record.publisher)]),
        ("identifier", [name for _, name in record.names]),
        ("size", [f"{record.bytes} bytes in {record.files} files"]),
        ("note", [gone]),
        ("erc-support", [""]),
        ("who", [_value(record.catalog_name)]),
        ("what", ["(:permanent) the name and the bytes it stands for never change; the description may"]),
        ("when", [record.created[:10].replace("-", "")]),
        ("where", [record.catalog_url]),
    ]
    heads = ("erc", "erc-support")
    return "".join(
        f"{label}: {value}".rstrip() + "\n"
        for label, values in lines
        for value in values
        if value or label in heads
    )


def _value(text: str) -> str:
    return "".join(_CODES.get(c, c) for c in one_line(text, 2000)) or "(:unav)"
