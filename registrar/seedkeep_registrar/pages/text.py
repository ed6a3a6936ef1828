"""How names, numbers and dates from anywhere are shown on a page; pure.

A name can try to look like another one: by characters that turn the direction of reading, that break the
line or that are not visible at all. Those are shown as their code points; everything else is isolated in
``<bdi>``, so that right-to-left names are read rightly and disturb nothing around them.
"""

from __future__ import annotations

import unicodedata
from datetime import datetime

from markupsafe import Markup, escape

from seedkeep.core.units import print_size
from seedkeep_registrar import times

_KEPT = frozenset("\n")
_HIDDEN = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
#: a text longer than this is cut on a page, with the rest behind a disclosure
LONG_TEXT = 1500
_LONG_PATH = 500


def _hidden(character: str) -> bool:
    return unicodedata.category(character) in _HIDDEN and character not in _KEPT


def shown(text: object, limit: int = 0) -> Markup:
    """Any text, safe to stand in a page: escaped, isolated, nothing hidden in it.

    Args:
        limit: most characters, 0 for all; a cut is shown as ``…``.
    """
    plain = str(text)
    if limit and len(plain) > limit:
        plain = plain[: limit - 1] + "…"
    if plain.isascii() and plain.isprintable():
        return Markup("<bdi>%s</bdi>") % plain
    parts = [
        Markup('<span class="hidden-character" title="a hidden character">%s</span>') % f"U+{ord(c):04X}"
        if _hidden(c)
        else escape(c)
        for c in plain
    ]
    return Markup("<bdi>%s</bdi>") % Markup("").join(parts)


def sentence(text: str, limit: int = 0) -> Markup:
    """A message as a sentence: ``it is gone`` becomes ``It is gone.``; names stay as they are."""
    plain = text.strip()
    first = plain.partition(" ")[0]
    if first.isalpha() and first.islower():
        plain = plain[:1].upper() + plain[1:]
    if plain and plain[-1] not in ".!?…:":
        plain += "."
    return shown(plain, limit)


def path(text: str) -> Markup:
    """A file's path, which may break after each slash; the manifest has what is cut from a very long one."""
    cut = text if len(text) <= _LONG_PATH else text[:_LONG_PATH] + "…"
    return Markup("/<wbr>").join(shown(part) for part in cut.split("/"))


def plain_line(text: object, limit: int = 120) -> str:
    """Any text for a place that takes no markup, such as ``<title>``: hidden characters as spaces."""
    line = "".join(" " if _hidden(c) or c == "\n" else c for c in str(text))
    return line if len(line) <= limit else line[: limit - 1] + "…"


def split_long(text: str) -> tuple[str, str]:
    """The part of a text that is shown at once, and the rest; cut between words where that is possible."""
    if len(text) <= LONG_TEXT:
        return text, ""
    space = text.rfind(" ", LONG_TEXT - 200, LONG_TEXT)
    at = space if space > 0 else LONG_TEXT
    return text[:at], text[at:]


def number(value: int) -> str:
    """``1,234,567`` with narrow no-break spaces, as ISO 80000 has it."""
    return f"{value:,}".replace(",", "\u202f")


def size(value: float) -> str:
    """``18.4 MB``, which does not break."""
    return print_size(value).replace(" ", "\u00a0")


def plural(count: int, one: str, many: str = "") -> str:
    """``1 file``, ``12 files``."""
    return f"{number(count)}\u00a0{one if count == 1 else many or one + 's'}"


def moment(text: str) -> Markup:
    """``<time>`` of a UTC time in ISO form; anything else is shown as it is."""
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        return shown(text, 40)
    said = f"{when.day}\u00a0{when:%B}\u00a0{when:%Y}, {when:%H:%M}\u00a0UTC"
    return Markup('<time datetime="%s">%s</time>') % (text, said)


def clock(seconds: float) -> Markup:
    """``<time>`` of Unix seconds."""
    return moment(times.text(seconds))


def duration(seconds: int) -> str:
    """``40 s``, ``5 min``, ``3 h`` or ``2 days``; rounded up, so that nothing seems quicker than it was."""
    for size, unit, below in ((1, "s", 120), (60, "min", 7200), (3600, "h", 48 * 3600)):
        if seconds < below:
            return f"{-(-seconds // size)} {unit}"
    return f"{-(-seconds // 86400)} days"


def day(text: str) -> Markup:
    """``<time>`` with the day alone."""
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        return shown(text, 40)
    return Markup('<time datetime="%s">%s</time>') % (text, f"{when.day}\u00a0{when:%B}\u00a0{when:%Y}")


def grouped(digest: str, width: int = 8) -> Markup:
    """A digest that may break after every ``width`` digits, and is copied without the breaks."""
    groups = [digest[i : i + width] for i in range(0, len(digest), width)]
    return Markup("<wbr>").join(groups)
