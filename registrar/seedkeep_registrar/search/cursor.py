"""Where a page of results ends, as opaque text that the next request brings back; pure."""

from __future__ import annotations

import base64
import json
import math
from dataclasses import dataclass

from seedkeep.core.errors import InvalidInput

#: above every position in a log
TOP = 2**53 - 1
_LONGEST = 200


@dataclass(frozen=True, slots=True)
class Below:
    """Goes on with matches below this position, newest first."""

    position: int


@dataclass(frozen=True, slots=True)
class After:
    """Goes on among the ranked matches below ``top``, after the one with this score and position."""

    top: int
    score: float
    position: int


def encode(cursor: Below | After) -> str:
    """As it stands in a URL."""
    values: list[object] = [cursor.position]
    if isinstance(cursor, After):
        values += [cursor.top, cursor.score]
    return base64.urlsafe_b64encode(json.dumps(values, separators=(",", ":")).encode()).decode().rstrip("=")


def decode(text: str) -> Below | After:
    """
    Raises:
        InvalidInput: no page gave this cursor.
    """
    problem = InvalidInput("this cursor is not one that a page gave", hint="Follow the links of the page.")
    if len(text) > _LONGEST or not text.isascii():
        raise problem
    try:
        values = json.loads(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True))
    except (ValueError, RecursionError) as error:
        raise problem from error
    if not isinstance(values, list) or len(values) not in (1, 3):
        raise problem
    if not all(type(value) is int and 0 <= value <= TOP for value in values[:2]):
        raise problem
    if len(values) == 1:
        return Below(values[0])
    if type(values[2]) not in (int, float) or not math.isfinite(values[2]):
        raise problem
    return After(values[1], float(values[2]), values[0])
