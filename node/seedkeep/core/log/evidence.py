"""Evidence against a log: a small JSON document that anyone checks offline, with nothing but the log's key.

* ``fork``: two checkpoints that the log has signed and that cannot both be true. Either they have the same
  size and different roots, or a path leads to the larger one's root and shows that it begins with another
  tree than the smaller one (:func:`~seedkeep.core.log.tree.roots_of_path`).
* ``broken-entry``: an entry that is in the log (inclusion proof, signed checkpoint) and is no event, or an
  event with a bad signature.
* ``wrong-home``: the same for an event that is addressed to another registrar.

Only what proves itself is evidence; a server that answers nonsense, or nothing, has signed nothing.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from seedkeep.core import jcs
from seedkeep.core.errors import Error, InvalidInput, VerificationFailed
from seedkeep.core.log.checkpoint import MAX_CHECKPOINT_BYTES, Checkpoint, parse_hash, print_hash
from seedkeep.core.log.entry import WrongHome, read_entry
from seedkeep.core.log.tree import (
    EMPTY_ROOT,
    MAX_PROOF,
    MAX_SIZE,
    leaf_hash,
    roots_of_path,
    verify_inclusion,
)
from seedkeep.core.notes import Verifier, read_text

MAX_EVIDENCE_BYTES = 256 * 1024
_FIELDS = {"v", "kind", "log", "notes", "path", "index", "entry"}


class Kind(Enum):
    """What a log has done."""

    FORK = "fork"
    BROKEN_ENTRY = "broken-entry"
    WRONG_HOME = "wrong-home"


@dataclass(frozen=True, slots=True)
class Evidence:
    """What shows it.

    Args:
        kind: what has been done.
        log: by whom.
        notes: the signed checkpoints: two of a fork, the smaller first, one otherwise.
        path: hashes: of the way between two sizes of a fork, or the inclusion proof of an entry.
        index, entry: where the entry stands, and the entry; 0 and empty with a fork.
    """

    kind: Kind
    log: Verifier
    notes: tuple[str, ...]
    path: tuple[bytes, ...] = ()
    index: int = 0
    entry: bytes = b""

    def encode(self) -> bytes:
        """The JSON document."""
        return jcs.dumps(
            {
                "v": 1,
                "kind": self.kind.value,
                "log": str(self.log),
                "notes": list(self.notes),
                "path": [print_hash(h) for h in self.path],
                # as text: the numbers of JSON end at 2^53
                "index": str(self.index),
                "entry": base64.b64encode(self.entry).decode(),
            }
        )

    @classmethod
    def parse(cls, data: bytes | str | Mapping[str, Any]) -> Evidence:
        """Read a document; whether it proves anything is for :meth:`check`.

        Raises:
            InvalidInput: it is no such document.
        """
        fields = data if isinstance(data, Mapping) else jcs.loads(data, limit=MAX_EVIDENCE_BYTES)
        if not isinstance(fields, Mapping) or set(fields) != _FIELDS or fields["v"] != 1:
            raise InvalidInput(f"evidence has exactly the fields {', '.join(sorted(_FIELDS))}")
        texts = all(isinstance(fields[name], str) for name in ("kind", "log", "index", "entry"))
        if not texts or fields["kind"] not in {k.value for k in Kind}:
            raise InvalidInput("a field of this evidence is malformed")
        notes, path = (_texts(name, fields[name]) for name in ("notes", "path"))
        index = fields["index"]
        if not (index.isascii() and index.isdigit() and len(index) < 20 and int(index) <= MAX_SIZE):
            raise InvalidInput("the index of this evidence is malformed")
        try:
            entry = base64.b64decode(fields["entry"], validate=True)
        except (binascii.Error, ValueError) as error:
            raise InvalidInput("the entry of this evidence is not base64") from error
        return cls(
            Kind(fields["kind"]),
            Verifier.parse(fields["log"]),
            tuple(read_text("a checkpoint", note, MAX_CHECKPOINT_BYTES) for note in notes),
            tuple(parse_hash("a hash of this evidence", text) for text in path),
            int(index),
            entry,
        )

    def check(self) -> str:
        """Check that it proves what it says, against the key that it names.

        Returns:
            One sentence: what the log has done. Whether :attr:`log` is the key of the registrar that one
            knows under that name is for the reader to compare.

        Raises:
            InvalidInput, VerificationFailed: it proves nothing.
        """
        seen = [Checkpoint.open(note, self.log) for note in self.notes]
        if self.kind is Kind.FORK:
            return self._check_fork(seen)
        if len(seen) != 1:
            raise InvalidInput("the evidence of an entry has one checkpoint")
        (checkpoint,) = seen
        leaf = leaf_hash(self.entry)
        verify_inclusion(leaf, self.index, checkpoint.size, self.path, checkpoint.root)
        where = f"{self.log.name} put into its log, as entry {self.index},"
        try:
            read_entry(self.entry, self.log.name)
        except WrongHome as error:
            if self.kind is Kind.WRONG_HOME:
                return f"{where} an event of another registrar: {error.what}."
        except Error as error:
            if self.kind is Kind.BROKEN_ENTRY:
                return f"{where} what cannot be there: {error.what}."
        raise VerificationFailed(
            f"the entry shown as evidence against {self.log.name} is not {self.kind.value}"
        )

    def _check_fork(self, seen: list[Checkpoint]) -> str:
        if len(seen) != 2 or seen[0].size > seen[1].size or self.entry or self.index:
            raise InvalidInput("the evidence of a fork has two checkpoints, the smaller first, and no entry")
        old, new = seen
        if old.size == new.size:
            if old.root == new.root:
                raise VerificationFailed("these two checkpoints agree")
            return f"{self.log.name} signed two different logs of {old.size} entries."
        if old.size == 0:
            if old.root == EMPTY_ROOT:
                raise VerificationFailed("these two checkpoints agree")
            return f"{self.log.name} signed a log without entries whose root is not that of an empty one."
        begins, whole = roots_of_path(old.size, new.size, self.path)
        if whole != new.root:
            raise VerificationFailed("the path shown does not lead to the larger checkpoint")
        if begins == old.root:
            raise VerificationFailed("these two checkpoints agree")
        return (
            f"{self.log.name} signed a log of {new.size} entries that does not begin with "
            f"the {old.size} entries it had signed before."
        )


def _texts(name: str, value: Any) -> list[str]:
    if (
        not isinstance(value, list)
        or len(value) > MAX_PROOF + 1
        or not all(isinstance(v, str) for v in value)
    ):
        raise InvalidInput(f"{name} of this evidence is not a list of texts")
    return list(value)


class Misbehaviour(VerificationFailed):
    """A log has been caught; ``evidence`` shows it to anyone. Trust in that log ends here."""

    code = "misbehaviour"

    def __init__(self, evidence: Evidence) -> None:
        super().__init__(
            evidence.check(), hint="Keep the evidence, and ask the registrar's operators what happened."
        )
        self.evidence = evidence
