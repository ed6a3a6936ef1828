"""Signposting: typed links from a record's page to what machines look for, as headers and as a linkset.

Source: https://signposting.org/FAIR/ (level 2), RFC 8288 (Link), RFC 9264 (linkset).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from seedkeep_registrar.exports.described import Described, Distribution
from seedkeep_registrar.exports.formats import FORMATS, Format

LINKSET_TYPE = "application/linkset+json"
#: proxies keep all headers of an answer in 4 KiB
_HEADER_BYTES = 2500


@dataclass(frozen=True, slots=True)
class Link:
    """One typed link of the landing page."""

    rel: str
    href: str
    type: str = ""
    profile: str = ""


def format_url(record: Described, name: str) -> str:
    """Where the record is given in one format."""
    return f"{record.catalog_url}/api/v1/records/{record.rid}?format={name}"


def links(record: Described) -> list[Link]:
    """All links of the landing page."""
    authors = [f"https://orcid.org/{c.orcid}" for c in record.metadata.creators if c.orcid]
    authors += [f"https://ror.org/{c.ror}" for c in record.metadata.creators if c.ror]
    found = [Link("cite-as", record.cited)]
    found += [Link("type", "https://schema.org/Dataset"), Link("type", "https://schema.org/AboutPage")]
    found += [Link("author", url) for url in dict.fromkeys(authors)]
    found += [Link("license", record.license.url)] if record.license.url else []
    found += [
        Link("describedby", format_url(record, f.name), f.media_type, f.profile) for f in FORMATS.values()
    ]
    found += [Link("item", _url(item), item.media_type) for item in _items(record)]
    found += [Link("predecessor-version", record.supersedes)] if record.supersedes else []
    return found


def link_header(record: Described) -> str:
    """The value of the Link header of the landing page: what fits; the linkset that it names has all."""
    found = links(record)
    whole = Link("linkset", format_url(record, "linkset"), LINKSET_TYPE)
    shown, length = [], 0
    for link in (whole, *sorted(found, key=lambda link: link.rel in ("describedby", "item", "author"))):
        printed = _printed(link)
        length += len(printed) + 2
        if length > _HEADER_BYTES:
            break
        shown.append(printed)
    return ", ".join(shown)


def linkset_header(public_url: str, rid: str) -> str:
    """The value of the Link header of a record's JSON."""
    return _printed(Link("linkset", f"{public_url}/api/v1/records/{rid}?format=linkset", LINKSET_TYPE))


def linkset(record: Described) -> bytes:
    """The links of the page, its items and its descriptions, each under its own anchor."""
    page: dict[str, Any] = {"anchor": record.url}
    for link in links(record):
        page.setdefault(link.rel, []).append(_target(link))
    items = [{"anchor": _url(item), "collection": [{"href": record.url}]} for item in _items(record)]
    descriptions = [
        {"anchor": format_url(record, name), "describes": [{"href": record.url, "type": "text/html"}]}
        for name in FORMATS
    ]
    document = {"linkset": [page, *items, *descriptions]}
    return json.dumps(document, ensure_ascii=False, indent=1).encode() + b"\n"


LINKSET = Format(
    "linkset", "Signposting linkset", LINKSET_TYPE, linkset, also=("application/linkset",), ending="json"
)


def _items(record: Described) -> tuple[Distribution, ...]:
    return (*record.data, *record.listed)


def _url(item: Distribution) -> str:
    """The address without what could end it in a header."""
    return item.url.replace("<", "%3C").replace(">", "%3E").replace('"', "%22")


def _target(link: Link) -> dict[str, Any]:
    found: dict[str, Any] = {"href": link.href}
    if link.type:
        found["type"] = link.type
    if link.profile:
        found["profile"] = link.profile
    return found


def _printed(link: Link) -> str:
    kind = f'; type="{link.type}"' if link.type else ""
    profile = f'; profile="{link.profile}"' if link.profile else ""
    return f'<{link.href}>; rel="{link.rel}"{kind}{profile}'
