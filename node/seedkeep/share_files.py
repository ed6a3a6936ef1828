"""A dataset's manifest and torrents as files, for whoever registers it in a browser or seeds it elsewhere."""

from __future__ import annotations

from pathlib import Path

from seedkeep.core.errors import Error
from seedkeep.core.metainfo import torrent_v1, torrent_v2
from seedkeep.ingest.run import Ingested


def save_files(ingested: Ingested, folder: Path) -> list[Path]:
    """Write ``NAME.manifest.jsonl``, ``NAME.torrent`` and ``NAME.v1.torrent``, over what has these names.

    Raises:
        Error: the folder cannot be written.
    """
    manifest = ingested.manifest
    contents = {
        f"{manifest.name}.manifest.jsonl": manifest.encode(),
        f"{manifest.name}.torrent": torrent_v2(manifest, ingested.layers),
        f"{manifest.name}.v1.torrent": torrent_v1(manifest, ingested.pieces_v1),
    }
    written = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in contents.items():
            draft = folder / f"{name}.part"
            draft.write_bytes(data)
            written.append(draft.replace(folder / name))
    except OSError as error:
        raise Error(
            f"{folder} cannot be written: {error.strerror}", hint="Choose another folder with --save."
        ) from error
    return written
