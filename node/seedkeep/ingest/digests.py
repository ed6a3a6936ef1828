"""MD5 and SHA-256 whose state can be written down, so that one huge file can be hashed in two sittings.

``hashlib`` objects cannot be saved. OpenSSL's older functions (``MD5_Init`` and so on) keep their whole
state in a plain struct of known size, run the same assembly, and are exported by every common build of
libcrypto. They are used here after a self-test against ``hashlib``; where they are missing or fail it,
hashing works all the same, only a file that was interrupted half-way starts over.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import hashlib
import platform
import sys
from typing import Any, Protocol

# MD5_CTX has 92 bytes and SHA256_CTX has 112; the rest is never touched.
_STATE_BYTES = 128
_LIBRARIES = ("libcrypto.so.3", "libcrypto.so.1.1")


class Digest(Protocol):
    """What hashlib's objects and ours have in common."""

    def update(self, data: memoryview, /) -> None: ...

    def hexdigest(self) -> str: ...


class PortableDigest:
    """A hash whose state is plain bytes.

    Args:
        functions: init, update and final of one algorithm, from libcrypto.
        size: of the digest, in bytes.
        state: from :attr:`state` of an earlier one on the same :func:`platform_tag`.
    """

    def __init__(self, functions: tuple[Any, Any, Any], size: int, state: bytes | None = None) -> None:
        _, self._update, self._final = functions
        self._size = size
        self._context = ctypes.create_string_buffer(_STATE_BYTES)
        if state is None:
            functions[0](self._context)
        else:
            self._context.raw = state

    def update(self, data: memoryview, /) -> None:
        """Add ``data``, which must lie in a writable buffer (ctypes asks for that). Releases the GIL."""
        source = (ctypes.c_char * len(data)).from_buffer(data)
        self._update(self._context, source, ctypes.c_size_t(len(data)))

    @property
    def state(self) -> bytes:
        """Everything needed to go on later."""
        return self._context.raw

    def hexdigest(self) -> str:
        """The digest of what was added so far."""
        copy = ctypes.create_string_buffer(self._context.raw, _STATE_BYTES)
        out = ctypes.create_string_buffer(self._size)
        self._final(out, copy)
        return out.raw.hex()


def platform_tag() -> str:
    """Names the layout of the states; states of another tag must not be used."""
    return f"openssl-{platform.machine()}-{sys.byteorder}"


def md5(state: bytes | None = None) -> Digest:
    """MD5, portable where that is possible."""
    library = _libcrypto()
    if library is None:
        return hashlib.md5(usedforsecurity=False)
    return PortableDigest((library.MD5_Init, library.MD5_Update, library.MD5_Final), 16, state)


def sha256(state: bytes | None = None) -> Digest:
    """SHA-256, portable where that is possible."""
    library = _libcrypto()
    if library is None:
        return hashlib.sha256()
    return PortableDigest((library.SHA256_Init, library.SHA256_Update, library.SHA256_Final), 32, state)


def portable() -> bool:
    """Whether states can be kept on this machine."""
    return _libcrypto() is not None


@functools.cache
def _libcrypto() -> ctypes.CDLL | None:
    import _hashlib

    # First the very library that hashlib uses: a handle also finds the symbols of what it links to.
    names = [getattr(_hashlib, "__file__", None), *_LIBRARIES]
    for name in names:
        with contextlib.suppress(OSError, AttributeError):
            library = ctypes.CDLL(name) if name else None
            if library is not None and _self_test(library):
                return library
    return None


def _self_test(library: ctypes.CDLL) -> bool:
    text = bytes(range(256)) * 5
    known = (
        ((library.MD5_Init, library.MD5_Update, library.MD5_Final), hashlib.md5(text, usedforsecurity=False)),
        ((library.SHA256_Init, library.SHA256_Update, library.SHA256_Final), hashlib.sha256(text)),
    )
    for functions, expected in known:
        first = PortableDigest(functions, expected.digest_size)
        first.update(memoryview(bytearray(text[:700])))
        second = PortableDigest(functions, expected.digest_size, first.state)
        second.update(memoryview(bytearray(text[700:])))
        if second.hexdigest() != expected.hexdigest():
            return False
    return True
