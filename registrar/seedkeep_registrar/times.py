"""The one form of time on the wire, ``2026-01-31T12:00:00Z``, and Unix seconds."""

from __future__ import annotations

from datetime import UTC, datetime

from seedkeep.core.errors import InvalidInput

_FORM = "%Y-%m-%dT%H:%M:%SZ"


def text(seconds: float) -> str:
    """Unix seconds as printed, cut to whole seconds."""
    return datetime.fromtimestamp(seconds, UTC).strftime(_FORM)


def seconds(printed: str) -> float:
    """
    Raises:
        InvalidInput: it is not such a time.
    """
    try:
        return datetime.strptime(printed, _FORM).replace(tzinfo=UTC).timestamp()
    except ValueError as error:
        raise InvalidInput(f"{printed[:40]!r} is not a time like 2026-01-31T12:00:00Z") from error
