"""What opens something: tokens for programs, secrets in links and cookies, codes that people type; pure.

Whoever keeps one of these keeps its SHA-256 (:func:`digest`) instead.
"""

from __future__ import annotations

import base64
import hashlib
import re
import zlib

#: bytes of randomness in a token, a link or a cookie
SECRET_BYTES = 32
#: letters of codes that people type: no vowels, nothing that is read as something else (RFC 8628, 6.1)
ALPHABET = "BCDFGHJKLMNPQRSTVWXZ"
CODE_LETTERS = 8
#: randomness for a code of eight letters; so much that no letter is noticeably more likely
CODE_BYTES = 16
PREFIX = "skp_"
_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_SECRET_LETTERS = 43
_CHECK_LETTERS = 6
_TOKEN = re.compile(rf"{PREFIX}[0-9A-Za-z]{{{_SECRET_LETTERS + _CHECK_LETTERS}}}")
_SECRET = re.compile(r"[A-Za-z0-9_-]{43}")


def digest(*parts: str) -> str:
    """SHA-256 of texts of fixed length after one another, as hex."""
    return hashlib.sha256("".join(parts).encode()).hexdigest()


def secret(random: bytes) -> str:
    """32 random bytes as they stand in a link or cookie: 43 base64url characters."""
    return base64.urlsafe_b64encode(random).decode().rstrip("=")


def is_secret(text: str) -> bool:
    """Whether it can have come from :func:`secret`."""
    return _SECRET.fullmatch(text) is not None


def _letters(number: int, alphabet: str, count: int) -> str:
    found = []
    for _ in range(count):
        number, rest = divmod(number, len(alphabet))
        found.append(alphabet[rest])
    return "".join(reversed(found))


def _check(text: str) -> str:
    return _letters(zlib.crc32(text.encode()), _BASE62, _CHECK_LETTERS)


def token(random: bytes) -> str:
    """``skp_``, 43 characters for 32 random bytes, 6 of CRC-32: scanners for leaked secrets find it."""
    body = PREFIX + _letters(int.from_bytes(random, "big"), _BASE62, _SECRET_LETTERS)
    return body + _check(body)


def is_token(text: str) -> bool:
    """Whether it has the form of a token and its checksum holds."""
    return _TOKEN.fullmatch(text) is not None and _check(text[:-_CHECK_LETTERS]) == text[-_CHECK_LETTERS:]


def code(random: bytes) -> str:
    """A code for people, as :func:`typed_code` gives it: eight letters."""
    return _letters(int.from_bytes(random, "big"), ALPHABET, CODE_LETTERS)


def shown_code(code: str) -> str:
    """As it is shown: ``BCDF-GHJK``."""
    return f"{code[:4]}-{code[4:]}"


def typed_code(text: str) -> str:
    """What somebody typed, without what does not matter; "" when it cannot be a code."""
    letters = re.sub(r"[\s-]", "", text[:40]).upper()
    right = len(letters) == CODE_LETTERS and all(letter in ALPHABET for letter in letters)
    return letters if right else ""
