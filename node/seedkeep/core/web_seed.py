"""Where a dataset's files lie below a web seed (BEP 19), and what ``s3://`` and ``swift://`` ones name.

A web seed ends in ``/``; a file is at ``<web seed><name>/<path>``, or at ``<web seed><name>`` when the
dataset is a single file. :func:`seedkeep.core.record.check_web_seed` says which ones are well-formed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote

from seedkeep.core.errors import InvalidInput
from seedkeep.core.paths import check_path
from seedkeep.core.record import check_web_seed

#: what S3 and Swift allow for the name of an object, in bytes of UTF-8
MAX_KEY_BYTES = 1024


@dataclass(frozen=True, slots=True)
class ObjectPlace:
    """A part of an object store: ``s3://bucket/prefix/`` or ``swift://container/prefix/``.

    Args:
        container: the bucket or container.
        prefix: "" or a text ending in ``/``, not quoted.
    """

    kind: Literal["s3", "swift"]
    container: str
    prefix: str

    @classmethod
    def parse(cls, text: str) -> ObjectPlace:
        """Read it; a missing ``/`` at the end is added.

        Raises:
            InvalidInput: it is not an ``s3://`` or ``swift://`` place.
        """
        scheme, mark, rest = text.partition("://")
        if not mark or scheme not in ("s3", "swift"):
            raise InvalidInput(
                f"{text[:200]!r} is not a place in an object store",
                hint="Give s3://bucket/prefix or swift://container/prefix.",
            )
        if not text.endswith("/"):
            text, rest = f"{text}/", f"{rest}/"
        check_web_seed(text)
        container, _, prefix = rest.partition("/")
        if prefix.startswith("/") or "//" in prefix:
            raise InvalidInput(f"{text[:200]!r} has an empty part in its prefix")
        return cls("s3" if scheme == "s3" else "swift", container, prefix)

    def __str__(self) -> str:
        return f"{self.kind}://{self.container}/{self.prefix}"

    def contains(self, other: ObjectPlace) -> bool:
        """Whether ``other`` is this place or lies below it."""
        same = (self.kind, self.container) == (other.kind, other.container)
        return same and other.prefix.startswith(self.prefix)

    def key(self, path: str) -> str:
        """The name of the object that holds the file at ``path`` (see :func:`path_below`).

        Raises:
            InvalidInput: the path breaks the rules of :mod:`seedkeep.core.paths` (so it has no line break,
                and does not leave the place), or the name is longer than object stores allow.
        """
        check_path(path)
        key = self.prefix + path
        if len(key.encode()) > MAX_KEY_BYTES:
            raise InvalidInput(
                f"the object name for {path[:200]!r} has more than {MAX_KEY_BYTES} bytes",
                hint="Choose a shorter prefix, or shorten the file's path.",
            )
        return key


def path_below(name: str, path: str, *, files: int) -> str:
    """The path of a file below a web seed.

    Args:
        name: the dataset's name.
        path: the file's path in the manifest.
        files: how many files the manifest has; one whose path is the name is a single-file dataset.
    """
    return name if files == 1 and path == name else f"{name}/{path}"


def url_below(base: str, path: str) -> str:
    """The URL of the file at ``path`` (see :func:`path_below`) below an http(s) web seed.

    Raises:
        InvalidInput: the path breaks the rules of :mod:`seedkeep.core.paths`.
    """
    check_path(path)
    return base + quote(path, safe="/")
