"""What a reader trusts of one registrar's log: a state machine without I/O (decisions 5 and 7).

:class:`TrustedLog` keeps the newest checkpoint that has been shown to continue what was trusted before, and
takes nothing that breaks a rule:

1. A checkpoint is loadable only if the registrar's pinned key signed it and it names that registrar's origin.
2. The first checkpoint is taken as it is (trust on first use); the empty tree has the root of RFC 6962.
3. A larger one replaces the trusted one only when it is shown to begin with it.
4. One of the same size has the same root.
5. A smaller one replaces nothing, ever; where the tiles are at hand, it is shown that the trusted one begins
   with it.
6. Two checkpoints by that key of which one does not begin with the other are :class:`Misbehaviour`, whichever
   came first and from wherever; the evidence holds both. What a server fails to show proves nothing against
   the log: :class:`VerificationFailed`, and nothing changes.
7. After a rotation of the registrar's key, what a former one signed stays trusted until the present one has
   signed the same or a larger log. A contradiction between two keys is no evidence, for a thief may have
   signed one half: :class:`VerificationFailed`.
8. A new checkpoint is persisted, with compare-and-swap against the one before, before anything is done in its
   name (cosigning, serving, acting upon entries).

Example::

    offer = trusted.offer(note)
    if offer.relation is Relation.NEWER:
        trusted.accept(offer, {tile: fetch(tile.path) for tile in offer.tiles})
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

from seedkeep.core.errors import Error, VerificationFailed
from seedkeep.core.log.checkpoint import MAX_CHECKPOINT_BYTES, Checkpoint, bare
from seedkeep.core.log.evidence import Evidence, Kind, Misbehaviour
from seedkeep.core.log.tiles import Tile, TileReader, prefix_path, tiles_of_prefix
from seedkeep.core.log.tree import EMPTY_ROOT, roots_of_path
from seedkeep.core.notes import Verifier, read_text


class Relation(Enum):
    """How an offered checkpoint stands to the trusted one."""

    NEWER = "newer"
    SAME = "same"
    OLDER = "older"


@dataclass(frozen=True, slots=True)
class Offer:
    """A checkpoint that its log has signed.

    Args:
        checkpoint, note: what was signed, and the note with the log's own signature alone: anybody can add
            lines to it.
        relation: to what was trusted when it was offered.
        tiles: what :meth:`TrustedLog.accept` (of the offered log) or :meth:`TrustedLog.judge` (of the trusted
            one) needs.
    """

    checkpoint: Checkpoint
    note: str
    relation: Relation
    tiles: tuple[Tile, ...] = ()


class TrustedLog:
    """What a reader trusts of one log; see the module's text for the rules."""

    def __init__(self, verifier: Verifier) -> None:
        """
        Args:
            verifier: the registrar's pinned name and key.
        """
        self.verifier = verifier
        self._checkpoint = Checkpoint(verifier.name, 0, EMPTY_ROOT)
        self._note = ""

    @property
    def checkpoint(self) -> Checkpoint:
        """The trusted one; of size 0 before the first."""
        return self._checkpoint

    @property
    def note(self) -> str:
        """Its signed note, "" before the first: what is persisted and given to :meth:`restore`."""
        return self._note

    @property
    def rotated(self) -> bool:
        """Whether a former key has signed the trusted one."""
        return self._note != "" and not _signed(self._note, self.verifier)

    @classmethod
    def restore(cls, verifier: Verifier, note: str, *, former: Iterable[Verifier] = ()) -> TrustedLog:
        """Take back a persisted :attr:`note`.

        Args:
            verifier: the registrar's present key.
            former: keys that it had before, by one of which the note may be signed.

        Raises:
            InvalidInput, VerificationFailed: the stored state was tampered with.
        """
        trusted = cls(verifier)
        if note:
            signer = next((key for key in former if _signed(note, key)), verifier)
            trusted._checkpoint, trusted._note = Checkpoint.open(note, signer), note
        return trusted

    def offer(self, note: str | bytes) -> Offer:
        """Read a checkpoint (rules 1, 4); nothing changes yet.

        Raises:
            InvalidInput: it is no checkpoint.
            VerificationFailed: its log has not signed it.
            Misbehaviour: it contradicts the trusted one (or the empty tree's root) by itself.
        """
        whole = read_text("a checkpoint", note, MAX_CHECKPOINT_BYTES)
        checkpoint = Checkpoint.open(whole, self.verifier)
        text = bare(whole, self.verifier)
        old = self._checkpoint
        if checkpoint.size == 0 and checkpoint.root != EMPTY_ROOT:
            if self._note:
                raise self._fork(text, self._note)
            raise VerificationFailed(f"{old.origin} signed an empty log whose root is not that of one")
        if checkpoint.size == old.size:
            if checkpoint.root != old.root:
                raise self._fork(self._note, text)
            return Offer(checkpoint, text, Relation.SAME)
        small, large = sorted((checkpoint.size, old.size))
        relation = Relation.NEWER if checkpoint.size > old.size else Relation.OLDER
        return Offer(checkpoint, text, relation, tuple(tiles_of_prefix(small, large)) if small else ())

    def accept(self, offer: Offer, tiles: TileReader) -> None:
        """Trust a newer checkpoint (rule 3).

        Args:
            tiles: ``offer.tiles`` of the offered log.

        Raises:
            InvalidInput, VerificationFailed: the tiles do not fit the offer; nothing changes.
            Misbehaviour: they fit, and the offer does not begin with what is trusted.
        """
        old, new = self._checkpoint.size, offer.checkpoint.size
        self.accept_path(offer, prefix_path(tiles, old, new) if 0 < old < new else [])

    def accept_path(self, offer: Offer, path: Sequence[bytes]) -> None:
        """The same with the consistency proof in hand; its first hash must not be left out."""
        old, new = self._checkpoint, offer.checkpoint
        if new.size <= old.size:
            if new != old:
                raise VerificationFailed(f"{old.origin} was offered at {new.size} entries after {old.size}")
            if self.rotated:
                self._note = offer.note
            return
        if old.size:
            begins, whole = roots_of_path(old.size, new.size, path)
            if whole != new.root:
                raise VerificationFailed(
                    f"what {old.origin} serves does not fit its checkpoint of {new.size}"
                )
            if begins != old.root:
                raise self._fork(self._note, offer.note, path)
        self._checkpoint, self._note = new, offer.note

    def judge(self, offer: Offer, tiles: TileReader) -> None:
        """Check that the trusted log begins with an older one (rule 5).

        Args:
            tiles: ``offer.tiles`` of the trusted log, from one's own store.

        Raises:
            InvalidInput, VerificationFailed: the tiles do not fit the trusted checkpoint.
            Misbehaviour: the log has signed something else before.
        """
        small, large = offer.checkpoint, self._checkpoint
        if not 0 < small.size < large.size:
            return
        path = prefix_path(tiles, small.size, large.size)
        begins, whole = roots_of_path(small.size, large.size, path)
        if whole != large.root:
            raise VerificationFailed(f"the kept tiles of {large.origin} do not fit its checkpoint")
        if begins != small.root:
            raise self._fork(offer.note, self._note, path)

    def _fork(self, old: str, new: str, path: Sequence[bytes] = ()) -> Error:
        if not (_signed(old, self.verifier) and _signed(new, self.verifier)):
            return VerificationFailed(
                f"{self.verifier.name} shows another log than before its key was rotated",
                hint="No single key has signed both: ask its operator what has happened.",
            )
        return Misbehaviour(Evidence(Kind.FORK, self.verifier, (old, new), tuple(path)))


def _signed(note: str, verifier: Verifier) -> bool:
    try:
        Checkpoint.open(note, verifier)
    except VerificationFailed:
        return False
    return True
