"""Identifiers of other works: their address, and what DataCite calls their type."""

from __future__ import annotations

from seedkeep.core.errors import InvalidInput
from seedkeep.core.metadata import doi
from seedkeep_registrar.exports.described import doi_url

_TYPES = {
    "ark": "ARK",
    "urn": "URN",
    "pmid": "PMID",
    "arxiv": "arXiv",
    "isbn": "ISBN",
    "igsn": "IGSN",
    "doi": "DOI",
}


def related_url(identifier: str) -> str:
    """An address for the identifier where there is one everybody knows, else the identifier itself."""
    kind, value = related_type(identifier)
    if kind == "DOI":
        return doi_url(value)
    if kind == "PMID":
        return (
            f"https://pubmed.ncbi.nlm.nih.gov/{value}/" if value.isascii() and value.isdigit() else identifier
        )
    return identifier


def related_type(identifier: str) -> tuple[str, str]:
    """The ``relatedIdentifierType`` of DataCite and the identifier as that type writes it."""
    scheme, _, rest = identifier.partition(":")
    scheme = scheme.lower()
    if scheme in ("doi", "http", "https"):
        try:
            return "DOI", doi(identifier)
        except InvalidInput:
            return "URL", identifier
    if scheme == "urn":
        return ("LSID" if identifier.lower().startswith("urn:lsid:") else "URN"), identifier
    if scheme == "ark":
        return "ARK", identifier
    if scheme in _TYPES:
        return _TYPES[scheme], rest if scheme in ("pmid", "isbn") else identifier
    return "URL", identifier
