"""CSL-JSON, the input of citation processors (https://github.com/citation-style-language/schema)."""

from __future__ import annotations

from typing import Any

from seedkeep_registrar.exports.described import Described
from seedkeep_registrar.exports.people import Name, name_of


def csl(record: Described) -> dict[str, Any]:
    """The item."""
    metadata = record.metadata
    issued = [int(part) for part in record.created[:10].split("-")]
    found = {
        "id": record.ark,
        "type": "dataset",
        "title": record.title,
        "author": [_name(name_of(c)) for c in metadata.creators],
        "issued": {"date-parts": [issued if record.created.startswith(record.year) else [int(record.year)]]},
        "publisher": record.publisher,
        "version": metadata.version,
        "DOI": metadata.dois[0] if metadata.dois else "",
        "URL": record.url,
        "archive_location": record.ark,
        "abstract": record.description,
        "keyword": ", ".join(metadata.keywords),
        "language": metadata.language,
        "source": record.catalog_name,
        "custom": {"license": record.license.url or record.license.id},  # CSL has no field for it
    }
    return {name: value for name, value in found.items() if value not in ("", [])}


def _name(name: Name) -> dict[str, str]:
    return {"family": name.family, "given": name.given} if name.family else {"literal": name.literal}
