"""schema.org ``Dataset`` as JSON-LD, with what Google's dataset search asks for.

Source: https://schema.org/Dataset, https://developers.google.com/search/docs/appearance/structured-data/dataset.
"""

from __future__ import annotations

from typing import Any

from seedkeep.core.metadata import ORGANIZATION, Affiliation, Creator, Funding, Subject
from seedkeep_registrar.exports.described import VOCABULARY_URLS, Described, Distribution, doi_url, one_line
from seedkeep_registrar.exports.related import related_url

#: what Google takes of a description
_SHORTEST, _LONGEST = 50, 5000
_BASED_ON = ("IsDerivedFrom", "IsNewVersionOf", "IsVariantFormOf", "Compiles", "IsTranslationOf")
_CITED = ("Cites", "References", "IsDescribedBy", "IsDocumentedBy", "IsSupplementTo", "IsPublishedIn")


def schema_org(record: Described) -> dict[str, Any]:
    """The JSON-LD document."""
    metadata = record.metadata
    dates = {date.kind: date.value for date in metadata.dates}
    dois = [doi_url(doi) for doi in metadata.dois]
    based_on = [related_url(r.identifier) for r in metadata.related if r.relation in _BASED_ON]
    found = {
        "@context": "https://schema.org/",
        "@type": "Dataset",
        "@id": record.url,
        "name": record.title,
        "description": _description(record),
        "url": record.url,
        "identifier": [*dois, record.url, *(name for _, name in record.names)],
        "sameAs": dois,
        "version": metadata.version,
        "creator": [_creator(c) for c in metadata.creators],
        "publisher": {"@type": "Organization", "name": record.publisher},
        "license": record.license.url or record.license.id,
        "keywords": [_keyword(s) for s in metadata.subjects],
        "datePublished": dates.get("Issued") or dates.get("Available") or record.created[:10],
        "dateModified": record.updated,
        "dateCreated": dates.get("Created", ""),
        "temporalCoverage": dates.get("Coverage", ""),
        "inLanguage": metadata.language,
        "isAccessibleForFree": True,
        "isBasedOn": list(dict.fromkeys([*([record.supersedes] if record.supersedes else []), *based_on])),
        "citation": [related_url(r.identifier) for r in metadata.related if r.relation in _CITED],
        "isPartOf": [related_url(r.identifier) for r in metadata.related if r.relation == "IsPartOf"],
        "hasPart": [related_url(r.identifier) for r in metadata.related if r.relation == "HasPart"],
        "funding": [_grant(f) for f in metadata.funding],
        "size": f"{record.bytes} bytes",
        "includedInDataCatalog": {
            "@type": "DataCatalog",
            "name": record.catalog_name,
            "url": record.catalog_url,
        },
        "distribution": [_download(d) for d in (*record.data, *record.listed)],
    }
    return {name: value for name, value in found.items() if value not in ("", [])}


def _description(record: Described) -> str:
    said = record.description
    if len(said) < _SHORTEST:
        counted = f"{record.files} file{'' if record.files == 1 else 's'}, {record.bytes} bytes"
        kept = f"Dataset of {counted}, kept as {record.ark} by {record.catalog_name}."
        said = f"{said} {kept}" if said else f"{record.title}. {kept}"
    return said if len(said) <= _LONGEST else said[: _LONGEST - 1] + "…"


def _organization(name: str, ror: str) -> dict[str, Any]:
    made = {"@type": "Organization", "name": name}
    return {**made, "@id": f"https://ror.org/{ror}"} if ror else made


def _creator(creator: Creator) -> dict[str, Any]:
    if creator.kind == ORGANIZATION:
        return _organization(one_line(creator.name), creator.ror)
    made: dict[str, Any] = {"@type": "Person", "name": one_line(creator.name)}
    if creator.orcid:
        made["@id"] = made["identifier"] = f"https://orcid.org/{creator.orcid}"
    if creator.given:
        made["givenName"] = creator.given
    if creator.family:
        made["familyName"] = creator.family
    if creator.affiliations:
        made["affiliation"] = [_affiliation(a) for a in creator.affiliations]
    return made


def _affiliation(affiliation: Affiliation) -> dict[str, Any]:
    return _organization(affiliation.name, affiliation.ror)


def _keyword(subject: Subject) -> Any:
    if not subject.scheme:
        return subject.text
    return {
        "@type": "DefinedTerm",
        "name": subject.text,
        "termCode": subject.id,
        "url": subject.url,
        "inDefinedTermSet": VOCABULARY_URLS[subject.scheme],
    }


def _grant(funding: Funding) -> dict[str, Any]:
    made: dict[str, Any] = {"@type": "Grant", "funder": _organization(funding.funder, funding.ror)}
    if funding.award:
        made["identifier"] = funding.award
    if funding.title:
        made["name"] = funding.title
    return made


def _download(data: Distribution) -> dict[str, Any]:
    made: dict[str, Any] = {
        "@type": "DataDownload",
        "name": data.name,
        "contentUrl": data.url,
        "encodingFormat": data.media_type,
    }
    if data.sha256:
        made["sha256"] = data.sha256
    if data.bytes is not None:
        made["contentSize"] = f"{data.bytes} B"
    return made
