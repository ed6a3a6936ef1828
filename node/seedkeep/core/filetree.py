"""The ``info`` dictionary of a v2-only torrent (BEP 52), whose SHA-256 is a dataset's content id.

Holds exactly ``file tree``, ``meta version``, ``name`` and ``piece length``: no file attributes, times
or sources, so that equal names and bytes always give an equal content id.
"""

from __future__ import annotations

from collections.abc import Iterable

from seedkeep.core.bencode import encode_bytes


def encode_info(name: str, piece_length: int, files: Iterable[tuple[str, int, str]]) -> bytes:
    """The bencoded ``info`` of the files given as (path, size, hex pieces root), in torrent order.

    The paths must have passed :mod:`seedkeep.core.paths`; the root of an empty file is ignored.
    """
    out = [b"d9:file treed"]
    open_dirs: list[str] = []
    for path, size, root in files:
        *dirs, leaf = path.split("/")
        if dirs != open_dirs:
            same = 0
            while same < len(dirs) and same < len(open_dirs) and dirs[same] == open_dirs[same]:
                same += 1
            out.append(b"e" * (len(open_dirs) - same))
            for entered in dirs[same:]:
                out.append(encode_bytes(entered.encode()) + b"d")
            open_dirs = dirs
        out.append(encode_bytes(leaf.encode()))
        out.append(b"d0:d6:lengthi%de" % size)
        out.append(b"11:pieces root32:" + bytes.fromhex(root) + b"ee" if size else b"ee")
    out.append(b"e" * len(open_dirs))
    out.append(
        b"e12:meta versioni2e4:name%b12:piece lengthi%dee" % (encode_bytes(name.encode()), piece_length)
    )
    return b"".join(out)
