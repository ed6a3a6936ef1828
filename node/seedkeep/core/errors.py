"""The one family of errors that people see.

Every error that leaves Seedkeep on purpose derives from :class:`Error`. Its text says what happened
and to which thing; ``hint`` says what to do next. The command line prints :meth:`Error.diagnostics`
and exits with ``exit_code``; it never shows a traceback for one of these.
"""

from __future__ import annotations

from typing import ClassVar


class Error(Exception):
    """Something went wrong that a person can understand and act on.

    Args:
        what: one sentence: what happened, to which thing.
        hint: one sentence: what to do next (may be empty).
    """

    exit_code: ClassVar[int] = 1
    #: stable machine-readable name, used in ``--json`` output and in HTTP problem documents
    code: ClassVar[str] = "failed"

    def __init__(self, what: str, *, hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.hint = hint

    def diagnostics(self) -> str:
        """The text for the person at the terminal: what happened, then what to do about it."""
        return f"{self.what}\n{self.hint}" if self.hint else self.what


class UsageError(Error):
    """The command, a setting or an argument makes no sense as given."""

    exit_code = 2
    code = "usage"


class NotFound(Error):
    """Nobody we asked knows this name."""

    exit_code = 3
    code = "not_found"


class Withdrawn(NotFound):
    """The record's steward offers the data no more; what was said of it is still to be read."""

    code = "withdrawn"


class Tainted(Error):
    """A signed order forbids holding or fetching this data."""

    exit_code = 4
    code = "tainted"


class VerificationFailed(Error):
    """Bytes, a signature or a statement are not what they claim to be."""

    exit_code = 5
    code = "verification_failed"


class InvalidInput(Error):
    """A document, name or number from outside breaks the rules; nothing was changed."""

    code = "invalid_input"


class HostileMetainfo(InvalidInput):
    """A torrent that breaks the rules of BEP 3/52 or of our paths, or exceeds a limit."""

    code = "hostile_metainfo"


class Unreachable(Error):
    """A server did not answer, or not in time; trying again later may help."""

    code = "unreachable"


class Refused(Error):
    """The other side understood and said no; trying again unchanged will not help."""

    code = "refused"


class Conflict(Refused):
    """The other side's state has moved on; look again, then decide."""

    code = "conflict"


class NoSpace(Error):
    """The pledge or the disk has no room for this."""

    code = "no_space"
