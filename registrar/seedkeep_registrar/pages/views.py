"""What the templates are given; made of stored rows and record documents, pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from seedkeep.core.manifest import FileEntry
from seedkeep.core.metadata import parse_metadata
from seedkeep.core.web_seed import path_below
from seedkeep_registrar.context import Registrar

#: files on one page: with their checksums about 60 kB of HTML
FILES_PER_PAGE = 100


@dataclass(frozen=True, slots=True)
class Site:
    """What every page says about the registrar.

    Attributes:
        base: path of the public URL, "" or ``/…`` without a slash at its end.
        audit_deadline: as people say it.
    """

    base: str
    name: str
    institution: str
    public_url: str
    naan: str
    vkey: str
    audit_deadline: str


@dataclass(frozen=True, slots=True)
class FilesPage:
    """One page of a dataset's files.

    Attributes:
        rows: path, ``below`` (path below a web seed), size, sha256 and md5 of each.
        first, last: their numbers, from 1.
        next: cursor of the next page, or "".
        base: the web seed they are linked to, or "".
    """

    rows: Sequence[Mapping[str, Any]]
    first: int
    last: int
    next: str
    page_size: int
    base: str


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
    )


def _seconds(count: float) -> str:
    return f"{count:g} seconds" if count < 120 else f"{count / 60:.3g} minutes"


def record_view(public_url: str, document: Mapping[str, Any]) -> dict[str, Any]:
    """A record document, with what its page shows of the record's body."""
    body = document["body"]
    metadata = parse_metadata(body.get("metadata", {}))  # the body may have been dropped
    return {
        **document,
        "api_url": f"{public_url}/api/v1/records/{document['rid']}",
        "creators": [creator.name for creator in metadata.creators],
        "subjects": [subject.text for subject in metadata.subjects],
        "description": metadata.description,
        "manifest": body.get("dataset", {}).get("manifest", ""),
    }


def files_page(document: Mapping[str, Any], entries: Sequence[FileEntry], after: int) -> FilesPage:
    """One page of files.

    Args:
        entries: those from number ``after`` (from 0) on, at most ``FILES_PER_PAGE``.
    """
    name, total = document["name"], document["files"]
    seeds = document["web_seeds"]
    last = after + len(entries)
    return FilesPage(
        rows=[
            {
                "path": e.path,
                "below": path_below(name, e.path, files=total),
                "size": e.size,
                "sha256": e.sha256,
                "md5": e.md5,
            }
            for e in entries
        ],
        first=after + 1,
        last=last,
        next=str(last) if entries and last < total else "",
        page_size=FILES_PER_PAGE,
        base=seeds[0] if seeds else "",
    )
