"""The note that a fetch leaves beside the data, so that ``seedkeep verify DIR`` knows what it should be.

It is the hidden file ``.<name>.seedkeep`` next to the dataset: small JSON with the names of the record. It
is a pointer, not a proof: what it points to is verified like any other name.
"""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from seedkeep.core import jcs
from seedkeep.core.errors import Error
from seedkeep.record_document import Record

_MOST_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Note:
    """Where a dataset came from; ``name`` is its name when it was fetched."""

    ark: str
    content_id: str
    registrar: str
    name: str


def _path(folder: Path, name: str) -> Path:
    return folder / f".{name}.seedkeep"


def leave_note(folder: Path, record: Record, registrar: str) -> None:
    """Write the note; a place that cannot be written to is no error, and a file that is no note stays."""
    fields = {
        "v": 1,
        "ark": record.ark,
        "content_id": record.content_id,
        "registrar": registrar,
        "name": record.dataset.name,
    }
    place = _path(folder, record.dataset.name)
    draft = place.with_name(f".{secrets.token_hex(8)}.seedkeep")
    with suppress(OSError):
        if os.path.lexists(place) and _read(place) is None:
            return
        try:
            # moved there, so that a link in its place is replaced and not written through
            draft.write_bytes(jcs.dumps(fields) + b"\n")
            draft.replace(place)
        finally:
            draft.unlink(missing_ok=True)


def read_note(root: Path) -> Note | None:
    """The note beside a dataset's directory or file, or None."""
    return _read(_path(root.parent, root.name))


def _read(place: Path) -> Note | None:
    try:
        with place.open("rb") as file:
            fields = jcs.loads(file.read(_MOST_BYTES), limit=_MOST_BYTES)
        names = ("ark", "content_id", "registrar", "name")
        if all(isinstance(fields[n], str) for n in names):
            return Note(*(fields[n] for n in names))
    except (OSError, Error, KeyError, TypeError):
        pass
    return None
