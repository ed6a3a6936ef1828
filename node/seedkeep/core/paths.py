"""Which names a dataset may use, so that every system keeps them as they are.

A name that one program stores and another one silently rewrites (libtorrent shortens long parts and
drops invisible characters, macOS and Windows fold case) would break "exactly those bytes, under
exactly those names". So the rules are strict, and the refusal always shows the offending name:

* UTF-8, Unicode NFC; relative, parts joined by ``/``; no empty part, no ``.`` and no ``..``
* no control characters (NUL among them), no backslash, no invisible direction or joining marks
* a part is at most 240 bytes of UTF-8 (libtorrent cuts longer ones), a path at most 4096 bytes and
  64 parts (bencode readers limit their depth)
* within one directory no two names that differ only by case, and no name that is both a file and a
  directory
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from seedkeep.core.errors import InvalidInput

#: longest name of one file or directory, in bytes of UTF-8
MAX_PART_BYTES = 240
#: longest path, in bytes of UTF-8
MAX_PATH_BYTES = 4096
#: deepest path, counting the file itself
#: a v2 file tree nests one dictionary a level, and readers of metainfo stop at 32 (four are around it)
MAX_PARTS = 28

# libtorrent 2.1 drops the marks listed here; U+2028/9 break lines in every listing.
_FORBIDDEN = re.compile(
    r"[\x00-\x1f\x7f-\x9f\\\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]"
)
# Most names in practice; spares them the full check. No part begins with a dot.
_PLAIN = re.compile(r"[\w-][\w.+ -]*(?:/[\w-][\w.+ -]*)*", re.ASCII)
_RENAME = "Rename it, then try again."


def printable(name: str) -> str:
    """``name`` as it can be shown in one line of a message: escaped where needed, cut when long."""
    shown = ascii(name) if _FORBIDDEN.search(name) or not name.isprintable() else repr(name)
    return shown if len(shown) <= 160 else f"{shown[:120]}…{shown[-20:]} ({len(name):,} characters)"


def is_utf8(path: str) -> bool:
    """Whether a path on this machine, as Python reads it, is UTF-8; libtorrent, JSON and SQLite need that."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def torrent_order(path: str) -> bytes:
    """Sort key of a checked path: the order of BEP 52's file tree (bytes of each part, depth first)."""
    # NUL sorts below everything else and is in no checked name.
    return path.encode().replace(b"/", b"\0")


def fold(name: str) -> str:
    """``name`` with case removed, as a case-insensitive file system compares names (Unicode D145)."""
    if name.isascii():
        return name.lower()
    decomposed = unicodedata.normalize("NFD", name).casefold()
    return unicodedata.normalize("NFD", decomposed)


def check_name(name: str) -> None:
    """Check one part: the name of a dataset, directory or file.

    Raises:
        InvalidInput: naming ``name`` and the rule it breaks.
    """
    if "/" in name:
        raise InvalidInput(f"the name {printable(name)} contains a slash", hint=_RENAME)
    check_path(name)


def check_path(path: str) -> None:
    """Check the path of one file, relative to the root of its dataset.

    Raises:
        InvalidInput: naming ``path`` and the rule it breaks.
    """
    if len(path) <= MAX_PART_BYTES and path.count("/") < MAX_PARTS and _PLAIN.fullmatch(path):
        return
    if not path.isascii() or _FORBIDDEN.search(path):
        _check_characters(path)
    if path.startswith("/"):
        raise InvalidInput(f"the path {printable(path)} is absolute", hint=_RENAME)
    parts = path.split("/")
    if len(path.encode()) > MAX_PATH_BYTES:
        raise InvalidInput(f"the path {printable(path)} is longer than {MAX_PATH_BYTES} bytes", hint=_RENAME)
    if len(parts) > MAX_PARTS:
        raise InvalidInput(f"the path {printable(path)} is deeper than {MAX_PARTS} levels", hint=_RENAME)
    for part in parts:
        if part in ("", ".", ".."):
            raise InvalidInput(f"the path {printable(path)} has the part {part!r}", hint=_RENAME)
        if len(part.encode()) > MAX_PART_BYTES:
            raise InvalidInput(
                f"the name {printable(part)} is longer than {MAX_PART_BYTES} bytes,"
                " and BitTorrent clients would shorten it",
                hint=_RENAME,
            )


def _check_characters(path: str) -> None:
    found = _FORBIDDEN.search(path)
    if found is not None:
        code = ord(found[0])
        if 0xD800 <= code <= 0xDFFF:
            raise InvalidInput(f"the name {printable(path)} is not UTF-8", hint=_RENAME)
        what = "a backslash" if found[0] == "\\" else f"the invisible character U+{code:04X}"
        raise InvalidInput(f"the name {printable(path)} contains {what}", hint=_RENAME)
    if not unicodedata.is_normalized("NFC", path):
        raise InvalidInput(
            f"the name {ascii(path)[:160]} is not in Unicode normal form NFC (composed accents)", hint=_RENAME
        )


class TreeChecker:
    """Checks the paths of one dataset, fed one by one in torrent order (see :func:`torrent_order`).

    Holds only the names of the directories that are open, so that a million files cost little memory.
    """

    def __init__(self) -> None:
        self._last = b""
        self._dirs: list[str] = []
        # One dict per open directory, the root first: folded name → (name, whether it is a directory).
        self._names: list[dict[str, tuple[str, bool]]] = [{}]

    def add(self, path: str) -> None:
        """Check the next path.

        Raises:
            InvalidInput: the path is bad by itself, out of order, repeated, or clashes with an earlier one.
        """
        check_path(path)
        key = torrent_order(path)
        if key <= self._last:
            what = "listed twice" if key == self._last else "out of order"
            raise InvalidInput(f"the path {printable(path)} is {what}")
        self._last = key
        *dirs, name = path.split("/")
        same = 0
        for ours, theirs in zip(dirs, self._dirs, strict=False):
            if ours != theirs:
                break
            same += 1
        del self._dirs[same:]
        del self._names[same + 1 :]
        for depth in range(same, len(dirs)):
            self._enter(path, dirs[depth], is_dir=True)
            self._dirs.append(dirs[depth])
            self._names.append({})
        self._enter(path, name, is_dir=False)

    def _enter(self, path: str, name: str, *, is_dir: bool) -> None:
        earlier = self._names[-1].setdefault(fold(name), (name, is_dir))
        if earlier == (name, is_dir):
            return
        where = "/".join([*self._dirs, earlier[0]])
        if earlier[0] == name:
            raise InvalidInput(f"{printable(where)} is both a file and a directory", hint=_RENAME)
        raise InvalidInput(
            f"{printable(where)} and {printable(path)} differ only by case;"
            " many systems cannot store both in one directory",
            hint="Rename one of them, then try again.",
        )


def check_tree(paths: Iterable[str]) -> None:
    """Check all paths of one dataset, in any order.

    Raises:
        InvalidInput: naming a path that is bad by itself or clashes with another one.
    """
    listed = list(paths)
    for path in listed:
        check_path(path)
    checker = TreeChecker()
    for path in sorted(listed, key=torrent_order):
        checker.add(path)
