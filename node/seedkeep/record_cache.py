"""Records, manifests and torrents' hashes kept on disk, so that a fetch goes on when its registrar is down.

Nothing in here is trusted for being here: a record's signatures are checked with its registrar's key, and
a manifest and its hashes against the record, each time they are read. What cannot be read counts as absent.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seedkeep.core import jcs
from seedkeep.core.errors import Error
from seedkeep.core.identifiers import DIGESTS, Identifier, Kind
from seedkeep.core.notes import Verifier
from seedkeep.record_document import Record, may_be
from seedkeep.registrar_http import MAX_JSON_BYTES


@dataclass(frozen=True, slots=True)
class Saved:
    """A record as it was when ``registrar`` (its URL) was last asked; ``keys``: those it is held to."""

    record: Record
    registrar: str
    keys: tuple[Verifier, ...]


class RecordCache:
    """See the module.

    Args:
        path: the directory; made on first use.
    """

    def __init__(self, path: Path) -> None:
        self._records = path / "records"
        self._objects = path / "objects"

    def keep(self, saved: Saved) -> None:
        """Remember a record. A full or read-only disk is no error: it is only a cache."""
        fields = {
            "registrar": saved.registrar,
            "vkeys": [str(key) for key in saved.keys],
            "document": dict(saved.record.document),
        }
        self._write(self._records / f"{saved.record.rid}.json", jcs.dumps(fields))

    def keep_object(self, data: bytes) -> None:
        """Remember a manifest, piece layers or v1 pieces."""
        self._write(self._objects / hashlib.sha256(data).hexdigest(), data)

    def object(self, sha256: str) -> bytes | None:
        """A remembered object with exactly this digest."""
        try:
            data = (self._objects / sha256).read_bytes()
        except OSError:
            return None
        return data if hashlib.sha256(data).hexdigest() == sha256 else None

    def find(self, name: Identifier) -> Iterator[Saved]:
        """Remembered records that ``name`` may mean, the newest first.

        For a file's hash these are the records whose manifest has it.
        """
        with suppress(OSError):
            for path in sorted(self._records.glob("*.json"), key=lambda p: p.stat().st_mtime, reverse=True):
                fields = self._fields(path)
                if fields is not None and self._may_be(fields["document"], name):
                    with suppress(Error, KeyError, TypeError):
                        yield self._checked(fields)

    def record(self, rid: str) -> Saved | None:
        """The remembered record with this rid."""
        fields = self._fields(self._records / f"{rid}.json")
        with suppress(Error, KeyError, TypeError):
            return self._checked(fields) if fields is not None else None
        return None

    def _fields(self, path: Path) -> dict[str, Any] | None:
        try:
            fields = jcs.loads(path.read_bytes(), limit=MAX_JSON_BYTES)
        except (OSError, Error):
            return None
        return fields if isinstance(fields, dict) and isinstance(fields.get("document"), dict) else None

    def _may_be(self, document: dict[str, Any], name: Identifier) -> bool:
        if name.bare and name.value in (document.get("content_id"), document.get("rid")):
            return True
        if name.kind not in DIGESTS and not name.bare:
            return may_be(document, name)
        body = document.get("body")
        dataset = body.get("dataset") if isinstance(body, dict) else None
        manifest = dataset.get("manifest") if isinstance(dataset, dict) else None
        if not isinstance(manifest, str):
            return False
        data = self.object(manifest)
        digest = Kind.SHA256 if name.bare else name.kind
        quoted = f'"{digest.value}":"{name.value}"'.encode()
        return data is not None and (manifest == name.value or quoted in data)

    def _checked(self, fields: dict[str, Any]) -> Saved:
        keys = tuple(Verifier.parse(key) for key in fields["vkeys"])
        return Saved(Record.parse(fields["document"], *keys), str(fields["registrar"]), keys)

    def _write(self, path: Path, data: bytes) -> None:
        draft = path.with_name(f".{secrets.token_hex(8)}")
        with suppress(OSError):
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            try:
                draft.write_bytes(data)
                draft.replace(path)
            finally:
                draft.unlink(missing_ok=True)
