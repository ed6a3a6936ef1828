"""Dublin Core, as ``oai_dc`` XML (http://www.openarchives.org/OAI/2.0/guidelines-oai_dc.htm)."""

from __future__ import annotations

from xml.etree.ElementTree import Element, SubElement

from seedkeep_registrar.exports.described import Described, doi_url, one_line
from seedkeep_registrar.exports.related import related_url
from seedkeep_registrar.exports.xml_text import clean, document

_NAMES = {
    "xmlns:oai_dc": "http://www.openarchives.org/OAI/2.0/oai_dc/",
    "xmlns:dc": "http://purl.org/dc/elements/1.1/",
    "xmlns:xsi": "http://www.w3.org/2001/XMLSchema-instance",
    "xsi:schemaLocation": "http://www.openarchives.org/OAI/2.0/oai_dc/ "
    "http://www.openarchives.org/OAI/2.0/oai_dc.xsd",
}


def dublin_core(record: Described) -> bytes:
    """The XML document."""
    metadata = record.metadata
    fields = [
        ("title", [record.title]),
        ("creator", [one_line(c.name) for c in metadata.creators]),
        ("subject", metadata.keywords),
        ("description", [record.description]),
        ("publisher", [record.publisher]),
        ("date", [record.created[:10]]),
        ("type", ["Dataset"]),
        ("identifier", [record.url, *map(doi_url, metadata.dois), *(name for _, name in record.names)]),
        ("language", [metadata.language]),
        (
            "relation",
            [
                *([record.supersedes] if record.supersedes else []),
                *(related_url(r.identifier) for r in metadata.related),
            ],
        ),
        ("rights", [record.license.url or record.license.id]),
    ]
    root = Element("oai_dc:dc", _NAMES)
    for name, values in fields:
        for value in values:
            if value:
                SubElement(root, f"dc:{name}").text = clean(value)
    return document(root)
