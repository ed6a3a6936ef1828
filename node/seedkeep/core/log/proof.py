"""Proofs to keep beside the data (C2SP tlog-proof): one entry, its way up the tree, the signed checkpoint.

Such a text can be checked offline for ever, by whoever has the entry and the log's key.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass

from seedkeep.core.errors import InvalidInput
from seedkeep.core.log.checkpoint import Checkpoint, parse_hash, parse_number, print_hash
from seedkeep.core.log.tree import MAX_PROOF, leaf_hash, verify_inclusion
from seedkeep.core.notes import MAX_NOTE_BYTES, Note, Verifier, read_text

HEADER = "c2sp.org/tlog-proof@v1"
#: an entry with the largest body that it may name
MAX_EXTRA_BYTES = 320 * 1024
MAX_PROOF_BYTES = MAX_NOTE_BYTES + 2 * MAX_EXTRA_BYTES


@dataclass(frozen=True, slots=True)
class LogProof:
    """The proof that an entry is in a log.

    Args:
        index: the entry's, from 0.
        hashes: the inclusion proof, leaf's sibling first.
        checkpoint: the signed note, with cosignatures.
        extra: unsigned bytes for the reader's convenience, such as the entry itself.
    """

    index: int
    hashes: tuple[bytes, ...]
    checkpoint: str
    extra: bytes = b""

    def encode(self) -> str:
        """The text of a ``.tlog-proof`` file."""
        extra = [f"extra {base64.b64encode(self.extra).decode()}"] if self.extra else []
        lines = [HEADER, *extra, f"index {self.index}", *(print_hash(h) for h in self.hashes)]
        return "".join(f"{line}\n" for line in lines) + f"\n{self.checkpoint}"

    @classmethod
    def parse(cls, data: str | bytes) -> LogProof:
        """
        Raises:
            InvalidInput: it is no such text; nothing is said yet about what it proves.
        """
        text = read_text("a log proof", data, MAX_PROOF_BYTES)
        head, gap, checkpoint = text.partition("\n\n")
        lines = head.split("\n")
        if lines.pop(0) != HEADER or not gap or not lines:
            raise InvalidInput("this is not a log proof (c2sp.org/tlog-proof@v1)")
        extra = _extra(lines.pop(0)) if lines[0].startswith("extra ") else b""
        if not lines or not lines[0].startswith("index "):
            raise InvalidInput("a log proof lacks its index")
        index = parse_number("a log proof's index", lines.pop(0).removeprefix("index "))
        if len(lines) > MAX_PROOF:
            raise InvalidInput(f"a log proof has more than {MAX_PROOF} hashes")
        Checkpoint.parse(Note.parse(checkpoint).text)
        hashes = tuple(parse_hash("a log proof's hash", line) for line in lines)
        proof = cls(index, hashes, checkpoint, extra)
        if proof.encode() != text:
            raise InvalidInput("a log proof is not in canonical form")
        return proof

    def verify(self, leaf: bytes, log: Verifier) -> Checkpoint:
        """Check that ``leaf`` stands in the log of ``log``.

        Returns:
            The checkpoint; who has cosigned it is for :mod:`seedkeep.core.log.policy`.

        Raises:
            InvalidInput: the checkpoint is malformed.
            VerificationFailed: the log has not signed it, or the entry is not in it.
        """
        checkpoint = Checkpoint.open(self.checkpoint, log)
        verify_inclusion(leaf_hash(leaf), self.index, checkpoint.size, self.hashes, checkpoint.root)
        return checkpoint


def _extra(line: str) -> bytes:
    try:
        raw = base64.b64decode(line.removeprefix("extra "), validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidInput("a log proof's extra data is not base64") from error
    if len(raw) > MAX_EXTRA_BYTES:
        raise InvalidInput(f"a log proof's extra data is over {MAX_EXTRA_BYTES} bytes")
    return raw
