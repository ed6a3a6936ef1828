"""What a witness answers to ``POST /add-checkpoint`` (C2SP tlog-witness), without I/O.

Whoever serves it looks up key and last cosigned checkpoint of the request's origin, decides, and on
:class:`Accepted` persists the checkpoint (compare-and-swap against what it decided with) *before* it cosigns.
"""

from __future__ import annotations

from dataclasses import dataclass

from seedkeep.core.errors import InvalidInput, VerificationFailed
from seedkeep.core.log.checkpoint import Checkpoint, parse_hash, parse_number, print_hash
from seedkeep.core.log.tree import EMPTY_ROOT, MAX_PROOF, verify_consistency
from seedkeep.core.notes import MAX_NOTE_BYTES, Note, Verifier, read_text

SIZE_TYPE = "text/x.tlog.size"
MAX_REQUEST_BYTES = MAX_NOTE_BYTES + 4096


@dataclass(frozen=True, slots=True)
class AddCheckpoint:
    """The request.

    Args:
        old_size: entries that the witness is thought to have cosigned last.
        proof: from there to the checkpoint (RFC 6962, 2.1.2).
        note: the signed checkpoint.
    """

    old_size: int
    proof: tuple[bytes, ...]
    note: str

    @property
    def origin(self) -> str:
        """The first line of the checkpoint: whose log it claims to be."""
        return self.note.partition("\n")[0]

    def encode(self) -> str:
        """The request's body."""
        lines = [f"old {self.old_size}", *(print_hash(h) for h in self.proof)]
        return "".join(f"{line}\n" for line in lines) + f"\n{self.note}"

    @classmethod
    def parse(cls, data: str | bytes) -> AddCheckpoint:
        """
        Raises:
            InvalidInput: it is no such body (400); nothing is said yet about its signature.
        """
        text = read_text("a request to cosign", data, MAX_REQUEST_BYTES)
        head, gap, note = text.partition("\n\n")
        first, *lines = head.split("\n")
        if not gap or not first.startswith("old ") or len(lines) > MAX_PROOF:
            raise InvalidInput("this is no request to cosign: old size, proof, an empty line, a checkpoint")
        old = parse_number("the old size", first.removeprefix("old "))
        Checkpoint.parse(Note.parse(note).text)
        return cls(old, tuple(parse_hash("a hash of the proof", line) for line in lines), note)


@dataclass(frozen=True, slots=True)
class Accepted:
    """The checkpoint is to be persisted, then cosigned."""

    checkpoint: Checkpoint


@dataclass(frozen=True, slots=True)
class Declined:
    """The answer is an error.

    Args:
        status: 400, 403, 404, 409 or 422.
        body: what is said; with 409 the size cosigned last, of type :data:`SIZE_TYPE`.
    """

    status: int
    body: str


def decide(
    request: AddCheckpoint, trusted: Checkpoint | None, verifier: Verifier | None
) -> Accepted | Declined:
    """Decide on a request.

    Args:
        trusted: the checkpoint cosigned last for :attr:`AddCheckpoint.origin`, if any.
        verifier: the key of that origin's log, None when it is not known.
    """
    if verifier is None or verifier.name != request.origin:
        return Declined(404, f"the log {request.origin[:200]} is not known here\n")
    try:
        checkpoint = Checkpoint.open(request.note, verifier)
    except VerificationFailed as error:
        return Declined(403, f"{error.what}\n")
    if request.old_size > checkpoint.size:
        return Declined(400, f"old size {request.old_size} is over the checkpoint's {checkpoint.size}\n")
    last = trusted or Checkpoint(verifier.name, 0, EMPTY_ROOT)
    if request.old_size != last.size:
        return Declined(409, f"{last.size}\n")
    try:
        verify_consistency(last.size, last.root, checkpoint.size, checkpoint.root, request.proof)
    except VerificationFailed as error:
        return Declined(422, f"{error.what}\n")
    return Accepted(checkpoint)
