"""``NAME.tlog-proof``: the proof that a record is in its registrar's log, kept beside the data.

It is a C2SP tlog-proof whose extra line holds the record's first event and its body. With the registrar's key
it tells offline, for as long as there are copies, what the data must be: the body names the content id and
the digest of the manifest, the event the body, the tree the event, and the signed checkpoint the tree.
"""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from seedkeep.core import jcs
from seedkeep.core.errors import Error, InvalidInput, VerificationFailed
from seedkeep.core.events import Event
from seedkeep.core.log.checkpoint import Checkpoint
from seedkeep.core.log.proof import MAX_EXTRA_BYTES, MAX_PROOF_BYTES, LogProof
from seedkeep.core.manifest import Manifest
from seedkeep.core.metainfo import info_v1, infohash_v1_of
from seedkeep.core.notes import Verifier
from seedkeep.core.record import RecordBody
from seedkeep.record_document import Record

SUFFIX = ".tlog-proof"


@dataclass(frozen=True, slots=True)
class ProofFile:
    """What such a file says; nothing of it is checked before :meth:`verify`."""

    proof: LogProof
    event: Event
    body: RecordBody
    body_bytes: bytes

    @classmethod
    def of(cls, record: Record) -> ProofFile:
        """The proof of a record's first event."""
        return cls(record.proof, record.event, record.body, jcs.dumps(record.document["body"]))

    def encode(self) -> str:
        """The file."""
        extra = jcs.dumps({"event": jcs.loads(self.event.leaf()), "body": jcs.loads(self.body_bytes)})
        return replace(self.proof, extra=extra).encode()

    @classmethod
    def parse(cls, data: bytes | str) -> ProofFile:
        """
        Raises:
            InvalidInput: it is no such file.
        """
        proof = LogProof.parse(data)
        extra = jcs.loads(proof.extra, limit=MAX_EXTRA_BYTES) if proof.extra else None
        if not isinstance(extra, dict) or set(extra) != {"event", "body"}:
            raise InvalidInput("this log proof does not come with the event and the body that it is for")
        event, body = Event.parse(extra["event"]), RecordBody.parse(extra["body"])
        return cls(proof, event, body, jcs.dumps(extra["body"]))

    def verify(self, log: Verifier) -> Checkpoint:
        """Check that the record is in the log of its home.

        Raises:
            VerificationFailed: a digest, a signature or the proof does not hold.
        """
        if self.event.home != log.name or self.event.type != "record":
            raise VerificationFailed(f"this is no proof of a record of {log.name}")
        self.event.verify()
        self.event.check_body(self.body_bytes)
        return self.proof.verify(self.event.leaf(), log)

    def check_data(self, manifest: Manifest, pieces_v1: bytes) -> None:
        """Check that data is what the record says.

        Args:
            manifest, pieces_v1: computed from the bytes.

        Raises:
            VerificationFailed: it is something else.
        """
        dataset = self.body.dataset
        found = (manifest.content_id(), manifest.digest(), infohash_v1_of(info_v1(manifest, pieces_v1)))
        if found != (dataset.content_id, dataset.manifest, dataset.infohash_v1):
            raise VerificationFailed(
                f"this is not the dataset {dataset.name} that the log proof is for",
                hint="Without --offline, `seedkeep verify` tells which files differ.",
            )


def place_of(root: Path) -> Path:
    """Where the proof of a dataset's directory or file lies."""
    return root.with_name(root.name + SUFFIX)


def leave_proof(folder: Path, record: Record) -> None:
    """Write the proof beside the data; a place that cannot be written to is no error, and a file that is no
    such proof stays."""
    place = place_of(folder / record.dataset.name)
    draft = place.with_name(f".{secrets.token_hex(8)}{SUFFIX}")
    with suppress(OSError):
        if os.path.lexists(place) and read_proof(place) is None:
            return
        try:
            # moved there, so that a link in its place is replaced and not written through
            draft.write_text(ProofFile.of(record).encode(), encoding="utf-8")
            draft.replace(place)
        finally:
            draft.unlink(missing_ok=True)


def read_proof(place: Path) -> ProofFile | None:
    """The proof at a place, or None."""
    try:
        with place.open("rb") as file:
            return ProofFile.parse(file.read(MAX_PROOF_BYTES + 1))
    except (OSError, Error):
        return None
