"""Every format a record is given in: its name on the wire, media types, and the function that makes it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from seedkeep_registrar.exports.bibtex import bibtex
from seedkeep_registrar.exports.citations import DEFAULT_STYLE, STYLES
from seedkeep_registrar.exports.csl import csl
from seedkeep_registrar.exports.datacite import datacite, datacite_xml
from seedkeep_registrar.exports.described import Described
from seedkeep_registrar.exports.dublin_core import dublin_core
from seedkeep_registrar.exports.erc import erc
from seedkeep_registrar.exports.ris import ris
from seedkeep_registrar.exports.schema_org import schema_org


@dataclass(frozen=True, slots=True)
class Format:
    """One format.

    Attributes:
        name: in ``?format=``.
        title: for people.
        media_type: sent as Content-Type.
        also: further media types by which it is asked for.
        profile: URI that tells it from others of its media type (RFC 6906), or "".
        ending: of a file it is saved in.
    """

    name: str
    title: str
    media_type: str
    render: Callable[[Described], bytes]
    also: tuple[str, ...] = ()
    profile: str = ""
    ending: str = "txt"


def _json(make: Callable[[Described], dict[str, Any]]) -> Callable[[Described], bytes]:
    return lambda record: json.dumps(make(record), ensure_ascii=False, indent=1).encode() + b"\n"


def _text(make: Callable[[Described], str]) -> Callable[[Described], bytes]:
    return lambda record: make(record).encode()


def citation(record: Described, style: str = DEFAULT_STYLE) -> str:
    """A citation in one of :data:`STYLES`."""
    return STYLES[style][1](record)


FORMATS: dict[str, Format] = {
    made.name: made
    for made in (
        Format(
            "jsonld",
            "schema.org JSON-LD",
            "application/ld+json",
            _json(schema_org),
            also=("application/vnd.schemaorg.ld+json",),
            profile="https://schema.org/",
            ending="jsonld",
        ),
        Format(
            "datacite",
            "DataCite JSON",
            "application/vnd.datacite.datacite+json",
            _json(datacite),
            ending="json",
        ),
        Format(
            "datacite-xml",
            "DataCite XML",
            "application/vnd.datacite.datacite+xml",
            datacite_xml,
            ending="xml",
        ),
        Format(
            "bibtex", "BibTeX", "application/x-bibtex", _text(bibtex), also=("text/x-bibtex",), ending="bib"
        ),
        Format("ris", "RIS", "application/x-research-info-systems", _text(ris), ending="ris"),
        Format("csl", "CSL-JSON", "application/vnd.citationstyles.csl+json", _json(csl), ending="json"),
        Format("citation", "Citation", "text/x-bibliography", _text(citation)),
        Format("dc", "Dublin Core", "application/xml", dublin_core, also=("text/xml",), ending="xml"),
        Format("erc", "ARK description (ERC)", "text/plain", _text(erc), also=("text/anvl",)),
    )
}
