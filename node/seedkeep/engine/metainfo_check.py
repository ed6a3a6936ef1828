"""Is a torrent one that libtorrent handles well? Works on the decoded dictionary, imports no libtorrent.

libtorrent silently rewrites names it does not like. Files stored under other names than the manifest's would
never verify, so such a torrent is refused; and so is one whose pieces let a peer crash the process.
And are the files there that libtorrent would make by itself?
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from seedkeep.core.errors import HostileMetainfo, NotFound
from seedkeep.core.merkle import BLOCK


def named_files(info: dict[bytes, Any]) -> list[str]:
    """The paths, as libtorrent would print them ("name/dir/file", or "name"), that ``info`` spells out.

    Args:
        info: the decoded ``info`` dictionary of a v2-only (BEP 52) or v1-only (BEP 3) torrent.

    Raises:
        HostileMetainfo: the dictionary has no usable names.
    """
    try:
        name = info[b"name"].decode()
        if b"file tree" in info:
            parts = [path for path, _ in _leaves(info[b"file tree"], ())]
            if parts == [(name,)]:
                return [name]
        elif b"files" in info:
            parts = [tuple(part.decode() for part in entry[b"path"]) for entry in info[b"files"]]
        else:
            return [name]
        return ["/".join((name, *path)) for path in parts]
    except (KeyError, AttributeError, TypeError, UnicodeDecodeError) as error:
        raise HostileMetainfo(
            f"The torrent names its files in a way that makes no sense ({error!r})."
        ) from error


def _leaves(tree: dict[bytes, Any], above: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    stack = [(above, iter(tree.items()))]
    while stack:
        path, entries = stack[-1]
        for part, node in entries:
            if part == b"":
                yield path, node
            else:
                stack.append(((*path, part.decode()), iter(node.items())))
                break
        else:
            stack.pop()


def require_same_files(info: dict[bytes, Any], stored: list[str]) -> None:
    """Raise HostileMetainfo, naming the first offender, unless libtorrent would store exactly these names."""
    named = named_files(info)
    for want, got in zip(named, stored, strict=False):
        if want != got:
            raise HostileMetainfo(f"The torrent names a file {want!r} that would be stored as {got!r}.")
    if len(named) != len(stored):
        raise HostileMetainfo(f"The torrent names {len(named)} files, {len(stored)} would be stored.")


def require_safe_pieces(info: dict[bytes, Any]) -> None:
    """Raise HostileMetainfo for a v2 torrent with pieces of one block.

    There libtorrent 2.1.1 crashes when a peer refuses the block hashes of a failed piece.
    """
    if b"file tree" in info and info.get(b"piece length") == BLOCK:
        raise HostileMetainfo(
            "This v2 torrent has pieces of 16 KiB, with which any peer can crash a BitTorrent client.",
            hint="Make it again with pieces of 32 KiB or more.",
        )


def require_there(paths: list[str]) -> None:
    """Raise NotFound, naming the first one, unless all of these are on the disk."""
    for path in paths:
        if not Path(path).exists():
            raise NotFound(f"{path} is not there any more.", hint="Restore it, or share the folder again.")
