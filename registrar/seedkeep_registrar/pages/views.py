"""What the templates are given; made of stored rows and record documents, pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web

from seedkeep.core.licenses import license_of
from seedkeep.core.manifest import FileEntry
from seedkeep.core.metadata import parse_metadata
from seedkeep.core.web_seed import path_below, url_below
from seedkeep_registrar.context import Registrar
from seedkeep_registrar.exports.related import related_url
from seedkeep_registrar.folder_tree import Folder
from seedkeep_registrar.interface.paging import number_in
from seedkeep_registrar.store.folders import Listing

#: files and folders on one page: with their checksums about 60 kB of HTML
FILES_PER_PAGE = 100
#: web seeds to which each file is linked
_LINKS = 3


@dataclass(frozen=True, slots=True)
class Site:
    """What every page says about the registrar.

    Attributes:
        base: path of the public URL, "" or ``/…`` without a slash at its end.
        audit_deadline: as people say it.
        services: name and title of those that one can sign in with.
    """

    base: str
    name: str
    institution: str
    public_url: str
    naan: str
    vkey: str
    audit_deadline: str
    services: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class FilesPage:
    """One page of a folder.

    Attributes:
        path: of the folder, "" for the top.
        above: path and name of the folders around it, outermost first.
        rows: folders (name, path, files, size) and files (name, path, size, sha256, md5, links: host and URL
            on each web seed).
        files: how many are in and below the folder.
        after, next: cursors of this page and the next one, or None.
    """

    path: str
    above: Sequence[tuple[str, str]]
    rows: Sequence[Mapping[str, Any]]
    files: int
    after: int
    next: int | None
    page_size: int


def site_of(registrar: Registrar) -> Site:
    """The registrar as its pages present it."""
    settings = registrar.settings
    return Site(
        base=urlsplit(registrar.public_url).path.rstrip("/"),
        name=settings.name or registrar.origin,
        institution=settings.institution,
        public_url=registrar.public_url,
        naan=settings.naan,
        vkey=str(registrar.vkey),
        audit_deadline=_seconds(settings.audit_deadline_s),
        services=tuple((p.name, p.label) for p in settings.oidc),
    )


def _seconds(count: float) -> str:
    return f"{count:g} seconds" if count < 120 else f"{count / 60:.3g} minutes"


def number_of(request: web.Request, name: str) -> int | None:
    """A cursor of a page, from its query; None on the first page.

    Raises:
        InvalidInput: no page gave it.
    """
    return number_in(request.query.get(name, ""))


def record_view(public_url: str, document: Mapping[str, Any]) -> dict[str, Any]:
    """A record document, with what its page shows besides."""
    metadata = parse_metadata(document["metadata"])
    base = urlsplit(public_url).path.rstrip("/")
    home = document["home_url"]
    return {
        **document,
        "title": metadata.title or document["name"],
        "metadata": metadata,
        "licence": license_of(document["license"]),
        "related": [(_worded(r.relation), r.identifier, _link(r.identifier)) for r in metadata.related],
        "dates": [(_worded(d.kind), d.value) for d in metadata.dates],
        "api_url": f"{public_url}/api/v1/records/{document['rid']}",
        "qr_url": f"{base}/records/{document['rid']}/qr.svg",
        "manifest": document["body"].get("dataset", {}).get("manifest", ""),  # it may have been dropped
        "home_page": f"{home}/{document['ark']}" if document["mirrored"] and home else "",
        "now_at": document["latest"] if document["latest"] != document["rid"] else "",
    }


def _worded(name: str) -> str:
    """``Is supplement to`` from ``IsSupplementTo``."""
    return re.sub("(?<=[a-z])(?=[A-Z])", " ", name).capitalize()


def _link(identifier: str) -> str:
    """Where an identifier leads; "" where no browser could follow it."""
    url = related_url(identifier)
    return url if url.startswith(("http://", "https://")) else ""


def files_page(document: Mapping[str, Any], listing: Listing) -> FilesPage:
    """One page of a folder of a dataset."""
    below = len(listing.path) + 1 if listing.path else 0
    seeds, name, total = document["web_seeds"], document["name"], document["files"]

    def row(entry: Folder | FileEntry) -> dict[str, Any]:
        shown = {"name": entry.path[below:], "path": entry.path}
        if isinstance(entry, Folder):
            return {**shown, "folder": True, "files": entry.files, "size": entry.bytes}
        place = path_below(name, entry.path, files=total)
        return {
            **shown,
            "folder": False,
            "size": entry.size,
            "sha256": entry.sha256,
            "md5": entry.md5,
            "links": [(urlsplit(seed).hostname or seed, url_below(seed, place)) for seed in seeds[:_LINKS]],
        }

    return FilesPage(
        path=listing.path,
        above=[(path, path.rpartition("/")[2]) for path in listing.above],
        rows=[row(entry) for entry in listing.entries],
        files=listing.files,
        after=listing.after,
        next=listing.next,
        page_size=FILES_PER_PAGE,
    )
