"""What a curator decided about a dataset that was submitted: the body of a ``decision`` event.

A decision begins a chain of its own (``seq`` 0): the submission that it names by the hash of its event may
never become a record. It is signed by the curator's key, or by the registrar's, which then names the curator
as ``editor``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from seedkeep.core import jcs
from seedkeep.core.errors import InvalidInput
from seedkeep.core.record import Editor, check_text

DECISION = "decision"
APPROVE, RETURN, REJECT = "approve", "return", "reject"
DECISIONS = (APPROVE, RETURN, REJECT)
MAX_REASON = 2000
_HEX64 = re.compile(r"[0-9a-f]{64}")


def _want(condition: bool, problem: str) -> None:
    if not condition:
        raise InvalidInput(f"this decision is malformed: {problem}")


@dataclass(frozen=True, slots=True)
class DecisionBody:
    """
    Args:
        submission: hash of the submitted event, which is the rid of the record if it is made.
        decision: one of :data:`DECISIONS`.
        reason: for the submitter and for everybody who reads the log; needed unless it is an approval.
        editor: the curator for whom the registrar signed; left out of the JSON when there is none.
    """

    submission: str
    decision: str
    reason: str = ""
    editor: Editor | None = None

    def __post_init__(self) -> None:
        _want(bool(_HEX64.fullmatch(self.submission)), "submission is not 64 hex digits")
        _want(self.decision in DECISIONS, f"decision is not one of {', '.join(DECISIONS)}")
        check_text("reason", self.reason, MAX_REASON)
        if self.decision != APPROVE and not self.reason.strip():
            raise InvalidInput(f"to {self.decision} a submission, give a reason")

    def encode(self) -> bytes:
        """The canonical bytes that the event names by digest."""
        fields: dict[str, Any] = {
            "v": 1,
            "submission": self.submission,
            "decision": self.decision,
            "reason": self.reason,
        }
        return jcs.dumps({**fields, "editor": self.editor.encode()} if self.editor else fields)

    @classmethod
    def parse(cls, data: bytes | Mapping[str, Any]) -> DecisionBody:
        """
        Raises:
            InvalidInput: a field is missing, unknown, of the wrong type or out of range.
        """
        fields = data if isinstance(data, Mapping) else jcs.loads(data)
        needed = {"v", "submission", "decision", "reason"}
        _want(isinstance(fields, Mapping), "it is not an object")
        _want(
            needed <= set(fields) <= needed | {"editor"},
            f"its fields must be exactly {', '.join(sorted(needed))}",
        )
        _want(fields["v"] == 1, "its version is unknown")
        for name in needed - {"v"}:
            _want(isinstance(fields[name], str), f"{name} is not text")
        editor = Editor.parse(fields["editor"]) if "editor" in fields else None
        return cls(fields["submission"], fields["decision"], fields["reason"], editor)
