"""DataCite metadata, as JSON and as XML.

The JSON is laid out as the schema of DataCite's own interface has it, the XML as kernel 4.
Source: https://datacite-metadata-schema.readthedocs.io/en/4.6/, https://schema.datacite.org/meta/kernel-4.6/.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from xml.etree.ElementTree import Element, SubElement

from seedkeep.core.metadata import ORGANIZATION, Affiliation, Creator, Funding, Subject
from seedkeep_registrar.exports.described import VOCABULARY_URLS, Described, one_line
from seedkeep_registrar.exports.related import related_type
from seedkeep_registrar.exports.xml_text import clean, document

_KERNEL = "http://datacite.org/schema/kernel-4"
#: what DataCite writes where a creator is not known
_UNKNOWN = ":unkn"


def datacite(record: Described) -> dict[str, Any]:
    """The JSON document."""
    metadata = record.metadata
    related = [
        {"relatedIdentifier": value, "relatedIdentifierType": kind, "relationType": r.relation}
        for r in metadata.related
        for kind, value in [related_type(r.identifier)]
    ]
    if record.supersedes:
        related.insert(
            0,
            {
                "relatedIdentifier": record.supersedes,
                "relatedIdentifierType": "URL",
                "relationType": "IsNewVersionOf",
            },
        )
    found = {
        "doi": metadata.dois[0] if metadata.dois else "",
        "url": record.url,
        "alternateIdentifiers": _different(_other_names(record)),
        "creators": [_creator(c) for c in metadata.creators] or [{"name": _UNKNOWN}],
        "titles": [{"title": record.title}],
        "publisher": {"name": record.publisher},
        "publicationYear": record.year,
        "types": {"resourceTypeGeneral": "Dataset", "resourceType": "Dataset"},
        "subjects": _different([_subject(s) for s in metadata.subjects]),
        "contributors": [
            {"contributorType": "ContactPerson", "name": one_line(contact.name)}
            for contact in metadata.contacts
        ],
        "dates": _different(_dates(record)),
        "language": metadata.language,
        "relatedIdentifiers": related,
        "sizes": _different([f"{record.bytes} bytes", f"{record.files} files"]),
        "version": metadata.version,
        "rightsList": [_rights(record)],
        "descriptions": (
            [{"description": record.description, "descriptionType": "Abstract"}] if record.description else []
        ),
        "fundingReferences": _different([_funding(f) for f in metadata.funding]),
        "schemaVersion": _KERNEL,
    }
    return {name: value for name, value in found.items() if value not in ("", [])}


def _different(values: Sequence[Any]) -> list[Any]:
    """Each once, in their order."""
    found: list[Any] = []
    seen: set[str] = set()
    for value in values:
        if (key := repr(value)) not in seen:
            seen.add(key)
            found.append(value)
    return found


def _other_names(record: Described) -> list[dict[str, str]]:
    names = [*record.names, ("URL", record.url)]
    names += [("DOI", doi) for doi in record.metadata.dois[1:]]
    return [{"alternateIdentifier": name, "alternateIdentifierType": kind} for kind, name in names]


def _dates(record: Described) -> list[dict[str, str]]:
    dates = [{"date": date.value, "dateType": date.kind} for date in record.metadata.dates]
    kinds = {date["dateType"] for date in dates}
    if "Available" not in kinds:
        dates.append({"date": record.created[:10], "dateType": "Available"})
    if record.updated != record.created and "Updated" not in kinds:
        dates.append({"date": record.updated[:10], "dateType": "Updated"})
    return dates


def _creator(creator: Creator) -> dict[str, Any]:
    organization = creator.kind == ORGANIZATION
    found: dict[str, Any] = {
        "name": one_line(creator.name) or _UNKNOWN,
        "nameType": "Organizational" if organization else "Personal",
    }
    if not organization and creator.given:
        found["givenName"] = creator.given
    if not organization and creator.family:
        found["familyName"] = creator.family
    identifiers = [
        {"nameIdentifier": base + value, "nameIdentifierScheme": scheme, "schemeUri": base}
        for scheme, base, value in (
            ("ORCID", "https://orcid.org/", creator.orcid),
            ("ROR", "https://ror.org/", creator.ror),
        )
        if value
    ]
    if identifiers:
        found["nameIdentifiers"] = identifiers
    if creator.affiliations:
        found["affiliation"] = _different([_affiliation(a) for a in creator.affiliations])
    return found


def _affiliation(affiliation: Affiliation) -> dict[str, str]:
    found = {"name": affiliation.name}
    if affiliation.ror:
        found["affiliationIdentifier"] = f"https://ror.org/{affiliation.ror}"
        found["affiliationIdentifierScheme"] = "ROR"
        found["schemeUri"] = "https://ror.org/"
    return found


def _subject(subject: Subject) -> dict[str, str]:
    if not subject.scheme:
        return {"subject": subject.text}
    return {
        "subject": subject.text,
        "subjectScheme": subject.scheme,
        "schemeUri": VOCABULARY_URLS[subject.scheme],
        "valueUri": subject.url,
        "classificationCode": subject.id,
    }


def _rights(record: Described) -> dict[str, str]:
    terms = record.license
    found = {"rights": terms.name}
    if terms.url:
        found["rightsUri"] = terms.url
    if terms.known:
        found["rightsIdentifier"] = terms.id
        found["rightsIdentifierScheme"] = "SPDX"
        found["schemeUri"] = "https://spdx.org/licenses/"
    return found


def _funding(funding: Funding) -> dict[str, str]:
    found = {"funderName": funding.funder}
    if funding.ror:
        found["funderIdentifier"] = f"https://ror.org/{funding.ror}"
        found["funderIdentifierType"] = "ROR"
    if funding.award:
        found["awardNumber"] = funding.award
    if funding.title:
        found["awardTitle"] = funding.title
    return found


# --- XML ---


def datacite_xml(record: Described) -> bytes:
    """The XML document; without a DOI its identifier is the landing page."""
    found = datacite(record)
    root = Element(
        "resource",
        {
            "xmlns": _KERNEL,
            "xmlns:xsi": "http://www.w3.org/2001/XMLSchema-instance",
            "xsi:schemaLocation": f"{_KERNEL} https://schema.datacite.org/meta/kernel-4.6/metadata.xsd",
        },
    )
    kind = "DOI" if "doi" in found else "URL"
    _text(root, "identifier", found.get("doi", record.url), {"identifierType": kind})
    for creator in _group(root, "creators", found["creators"]):
        _person(SubElement(root[-1], "creator"), "creatorName", creator)
    for title in _group(root, "titles", found["titles"]):
        _text(root[-1], "title", title["title"], {})
    _text(root, "publisher", record.publisher, {})
    _text(root, "publicationYear", record.year, {})
    _text(root, "resourceType", "Dataset", {"resourceTypeGeneral": "Dataset"})
    for subject in _group(root, "subjects", found.get("subjects")):
        _text(
            root[-1],
            "subject",
            subject["subject"],
            _rest(subject, "subject", schemeUri="schemeURI", valueUri="valueURI"),
        )
    for person in _group(root, "contributors", found.get("contributors")):
        made = SubElement(root[-1], "contributor", {"contributorType": person["contributorType"]})
        _person(made, "contributorName", person)
    for date in _group(root, "dates", found["dates"]):
        _text(root[-1], "date", date["date"], _rest(date, "date"))
    if "language" in found:
        _text(root, "language", found["language"], {})
    for name in _group(root, "alternateIdentifiers", found["alternateIdentifiers"]):
        _text(
            root[-1], "alternateIdentifier", name["alternateIdentifier"], _rest(name, "alternateIdentifier")
        )
    for related in _group(root, "relatedIdentifiers", found.get("relatedIdentifiers")):
        _text(
            root[-1], "relatedIdentifier", related["relatedIdentifier"], _rest(related, "relatedIdentifier")
        )
    for size in _group(root, "sizes", found["sizes"]):
        _text(root[-1], "size", size, {})
    if "version" in found:
        _text(root, "version", found["version"], {})
    for rights in _group(root, "rightsList", found["rightsList"]):
        _text(
            root[-1],
            "rights",
            rights["rights"],
            _rest(rights, "rights", schemeUri="schemeURI", rightsUri="rightsURI"),
        )
    for said in _group(root, "descriptions", found.get("descriptions")):
        _text(root[-1], "description", said["description"], _rest(said, "description"))
    for funding in _group(root, "fundingReferences", found.get("fundingReferences")):
        made = SubElement(root[-1], "fundingReference")
        _text(made, "funderName", funding["funderName"], {})
        if "funderIdentifier" in funding:
            _text(made, "funderIdentifier", funding["funderIdentifier"], {"funderIdentifierType": "ROR"})
        for name in ("awardNumber", "awardTitle"):
            if name in funding:
                _text(made, name, funding[name], {})
    return document(root)


def _group(root: Element, name: str, entries: Sequence[Any] | None) -> Sequence[Any]:
    """The entries, after their common element was begun; nothing is begun for none."""
    if entries:
        SubElement(root, name)
    return entries or ()


def _text(parent: Element, name: str, text: str, attributes: Mapping[str, str]) -> None:
    made = SubElement(parent, name, {k: clean(v) for k, v in attributes.items()})
    made.text = clean(text)


def _rest(entry: Mapping[str, str], but: str, **renamed: str) -> dict[str, str]:
    return {renamed.get(name, name): value for name, value in entry.items() if name != but}


def _person(made: Element, element: str, person: Mapping[str, Any]) -> None:
    kind = {"nameType": person["nameType"]} if "nameType" in person else {}
    _text(made, element, person["name"], kind)
    for name in ("givenName", "familyName"):
        if name in person:
            _text(made, name, person[name], {})
    for identifier in person.get("nameIdentifiers", ()):
        attributes = _rest(identifier, "nameIdentifier", schemeUri="schemeURI")
        _text(made, "nameIdentifier", identifier["nameIdentifier"], attributes)
    for affiliation in person.get("affiliation", ()):
        _text(made, "affiliation", affiliation["name"], _rest(affiliation, "name", schemeUri="schemeURI"))
