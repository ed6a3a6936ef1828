"""Text that XML 1.0 can hold, and documents made of it (https://www.w3.org/TR/xml/#charsets)."""

from __future__ import annotations

import re
from xml.etree.ElementTree import Element, indent, tostring

_UNFIT = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def clean(text: str) -> str:
    """Text with spaces instead of what XML cannot hold even escaped."""
    return _UNFIT.sub(" ", text)


def document(root: Element) -> bytes:
    """The document, UTF-8 with its declaration."""
    indent(root)
    text: bytes = tostring(root, encoding="utf-8", xml_declaration=True)
    return text + b"\n"
