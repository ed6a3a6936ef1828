"""What the formats of others need to know of a record, with defaults where the steward said nothing.

Texts are as the steward wrote them, so each format escapes for itself; :func:`one_line` is for those that are
made of lines.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from seedkeep.core.identifiers import Identifier, Kind
from seedkeep.core.licenses import License, license_of
from seedkeep.core.manifest import FileEntry
from seedkeep.core.metadata import Metadata, parse_metadata
from seedkeep.core.web_seed import path_below, url_below

_BROKEN = ("Cc", "Cs", "Zl", "Zp")
#: most files that are listed one by one; the manifest has all of them
MOST_FILES = 100
#: the vocabularies that subjects come from
VOCABULARY_URLS = {
    "NCBITaxon": "https://www.ncbi.nlm.nih.gov/taxonomy",
    "EDAM": "http://edamontology.org",
    "MeSH": "https://meshb.nlm.nih.gov",
}


@dataclass(frozen=True, slots=True)
class Distribution:
    """Something to download: ``sha256`` where it is known beforehand, ``bytes`` too."""

    name: str
    url: str
    media_type: str
    sha256: str = ""
    bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Described:
    """One record.

    Attributes:
        url: the landing page.
        ark: ``ark:/NAAN/sk…``.
        cited: the URL that citations name: of the first DOI if there is one, else the landing page.
        names: what it is called besides, each with the kind of that name; the ARK first.
        year: of publication, four digits.
        created, updated: UTC, as printed.
        data: what can be downloaded; empty when the data are gone.
        catalog_url, catalog_name: the registrar.
        supersedes: landing page of the version before, or "".
    """

    metadata: Metadata
    rid: str
    ark: str
    url: str
    cited: str
    names: tuple[tuple[str, str], ...]
    title: str
    publisher: str
    year: str
    created: str
    updated: str
    license: License
    files: int
    bytes: int
    description: str
    data: tuple[Distribution, ...]
    listed: tuple[Distribution, ...]
    catalog_url: str
    catalog_name: str
    supersedes: str


def one_line(text: str, limit: int = 0) -> str:
    """Text without line breaks and control characters, runs of spaces as one.

    Args:
        limit: most characters, 0 for all; a cut is shown as ``…``.
    """
    plain = "".join(" " if unicodedata.category(c) in _BROKEN else c for c in text)
    line = " ".join(plain.split())
    return line[: limit - 1] + "…" if limit and len(line) > limit else line


def describe(
    document: Mapping[str, Any],
    *,
    publisher: str,
    catalog_url: str,
    catalog_name: str,
    files: Sequence[FileEntry] = (),
) -> Described:
    """What a record document says, for the formats.

    Args:
        publisher: who is named where the metadata names nobody.
        files: the dataset's files, when they are few.
    """
    body = document["body"]  # empty when it was dropped
    metadata = parse_metadata(document["metadata"])
    created = str(document["created"])
    issued = {date.kind: date.value for date in metadata.dates}
    published = issued.get("Issued") or issued.get("Available") or created
    page = str(document["landing_page"])
    manifest = body.get("dataset", {}).get("manifest", "")
    before = document["supersedes"]
    # an LSID is of who resolves it for good, not of a mirror
    home = f"//{document['home']}" if document.get("mirrored") else catalog_url
    host, local = urlsplit(home).hostname, document["ark"].rpartition("/")[2]
    lsid = Identifier(Kind.LSID, f"{host}:{local}", revision=document["seq"])
    names = [
        ("ARK", document["ark"]),
        ("Content id", f"urn:btmh:1220{document['content_id']}"),
        *([("Manifest", f"hash://sha256/{manifest}")] if manifest else []),
        ("LSID", str(lsid)),
    ]
    return Described(
        metadata=metadata,
        rid=document["rid"],
        ark=document["ark"],
        url=page,
        cited=doi_url(metadata.dois[0]) if metadata.dois else page,
        names=tuple(names),
        title=one_line(metadata.title) or document["name"],
        publisher=one_line(metadata.publisher) or publisher,
        year=published[:4],
        created=created,
        updated=document["updated"],
        license=license_of(document["license"]),
        files=document["files"],
        bytes=document["bytes"],
        description=metadata.description.strip(),
        data=_data(document, manifest),
        listed=_listed(document, files),
        catalog_url=catalog_url,
        catalog_name=catalog_name,
        supersedes=f"{catalog_url}/records/{before}" if before else "",
    )


def doi_url(doi: str) -> str:
    """The address of a DOI, with what a URL cannot hold escaped (https://www.doi.org/the-identifier/resources/handbook)."""
    kept = "".join(
        c if c.isascii() and (c.isalnum() or c in "-._~/:;()@!$,*'+=&") else _escaped(c) for c in doi
    )
    return f"https://doi.org/{kept}"


def _escaped(character: str) -> str:
    return "".join(f"%{byte:02X}" for byte in character.encode("utf-8", "replace"))


def _data(document: Mapping[str, Any], manifest: str) -> tuple[Distribution, ...]:
    if not document.get("torrent"):
        return ()
    torrent = "application/x-bittorrent"
    return (
        Distribution("BitTorrent v1 torrent", document["torrent_v1"], torrent),
        Distribution("BitTorrent v2 torrent", document["torrent"], torrent),
        Distribution("Manifest", document["manifest_url"], "application/jsonl", manifest),
    )


def _listed(document: Mapping[str, Any], files: Sequence[FileEntry]) -> tuple[Distribution, ...]:
    seeds = document.get("web_seeds") or []
    if not seeds:
        return ()
    return tuple(
        Distribution(
            file.path,
            url_below(seeds[0], path_below(document["name"], file.path, files=document["files"])),
            media_type_of(file.path),
            file.sha256,
            file.size,
        )
        for file in files[:MOST_FILES]
    )


#: endings whose media type is beyond doubt; everything else is bytes
_TYPES = {
    "txt": "text/plain",
    "md": "text/markdown",
    "csv": "text/csv",
    "tsv": "text/tab-separated-values",
    "json": "application/json",
    "xml": "application/xml",
    "pdf": "application/pdf",
    "gz": "application/gzip",
    "zip": "application/zip",
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "tif": "image/tiff",
    "tiff": "image/tiff",
    "h5": "application/x-hdf5",
    "nc": "application/netcdf",
    "parquet": "application/vnd.apache.parquet",
}


def media_type_of(path: str) -> str:
    """The media type that a file's ending tells."""
    return _TYPES.get(path.rpartition(".")[2].lower(), "application/octet-stream")
