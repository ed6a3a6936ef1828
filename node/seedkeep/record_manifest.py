"""A record's manifest, held against it."""

from __future__ import annotations

import hashlib

from seedkeep.core.errors import VerificationFailed
from seedkeep.core.manifest import Manifest
from seedkeep.record_document import Record


def check_manifest(record: Record, data: bytes) -> Manifest:
    """Read a manifest and check that it is the record's.

    Raises:
        InvalidInput: it is malformed.
        VerificationFailed: it gives another content id, name or size than the record says.
    """
    dataset = record.dataset
    if hashlib.sha256(data).hexdigest() != dataset.manifest:
        raise VerificationFailed(f"the manifest of {record.ark} is not the one its record names")
    manifest = Manifest.parse(data)
    told = (dataset.name, dataset.piece_length, dataset.files, dataset.bytes)
    if (manifest.name, manifest.piece_length, len(manifest.files), manifest.bytes) != told:
        raise VerificationFailed(f"the manifest of {record.ark} contradicts its record")
    if manifest.content_id() != dataset.content_id:
        raise VerificationFailed(
            f"the manifest of {record.ark} lists other bytes than its content id",
            hint="Do not use this record; tell its registrar.",
        )
    return manifest
