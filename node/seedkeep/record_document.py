"""A registrar's record document, verified from its first event to its newest. See ``docs/protocol.md``."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass
from typing import Any

from seedkeep.core import jcs
from seedkeep.core.errors import InvalidInput, Refused, VerificationFailed
from seedkeep.core.events import Event
from seedkeep.core.identifiers import DIGESTS, Identifier, Kind, mint_ark
from seedkeep.core.log.proof import MAX_PROOF_BYTES, LogProof
from seedkeep.core.notes import Verifier
from seedkeep.core.record import Dataset, RecordBody
from seedkeep.core.revision import MAX_REVISIONS, RecordState
from seedkeep.message_fields import HEX64, Fields, usable_tracker, usable_web_seed

_ARK_VALUE = re.compile(r"ark:/([0-9bcdfghjkmnpqrstvwxz]{5,9})/[0-9bcdfghjkmnpqrstvwxz]{3,40}")


@dataclass(frozen=True, slots=True)
class Copies:
    """How many copies of a dataset there are, by what is known of them."""

    wanted: int
    complete: int
    audited: int
    fetching: int

    @classmethod
    def parse(cls, value: Any) -> Copies:
        """Raises InvalidInput."""
        f = Fields(value, "a record's copies")
        return cls(f.count("wanted"), f.count("complete"), f.count("audited"), f.count("fetching"))


def may_be(document: Mapping[str, Any], name: Identifier) -> bool:
    """Whether a record document may be the one that ``name`` means; digests of files may mean any."""
    if name.kind in DIGESTS or name.bare:
        return True
    if name.kind is Kind.DOI:
        metadata = document.get("metadata")
        dois = metadata.get("dois") if isinstance(metadata, dict) else None
        return isinstance(dois, list) and name.value in dois
    if name.kind is Kind.LSID:
        return str(document.get("ark")).rpartition("/")[2] == name.value.rpartition(":")[2]
    mine = str(document.get(name.kind.value))
    return (mine.removeprefix("ark:/") if name.kind is Kind.ARK else mine) == name.value


@dataclass(frozen=True, slots=True)
class Record:
    """A record whose events, bodies and log proofs were verified; ``document`` is the whole answer.

    What a registrar merely tells about the dataset (copies, trackers, web seeds) is in ``document`` and
    typed by the properties; it is not signed by anybody.

    Args:
        event, body, proof: of its first event.
        states: after each of its events, the first one first; what is said of it now is in the last one.
    """

    document: Mapping[str, Any]
    event: Event
    body: RecordBody
    proof: LogProof
    ark: str
    states: tuple[RecordState, ...]

    @property
    def state(self) -> RecordState:
        """The record as it is now."""
        return self.states[-1]

    @property
    def latest(self) -> str:
        """Rid of its newest version as the registrar tells it; its own when there is none."""
        told = self.document.get("latest")
        return told if isinstance(told, str) and HEX64.fullmatch(told) else self.rid

    @property
    def rid(self) -> str:
        """Hash of the first event, 64 hex."""
        return self.event.record_id

    @property
    def dataset(self) -> Dataset:
        """What was shared."""
        return self.body.dataset

    @property
    def content_id(self) -> str:
        """The v2 info-hash, 64 hex."""
        return self.body.dataset.content_id

    @property
    def copies(self) -> Copies:
        """Copies as the registrar counts them; raises InvalidInput."""
        return Copies.parse(self.document.get("copies"))

    @property
    def trackers(self) -> tuple[str, ...]:
        """Announce URLs; malformed ones are left out."""
        return self._urls("trackers", usable_tracker)

    @property
    def web_seeds(self) -> tuple[str, ...]:
        """http(s) web seeds a client can use; malformed ones are left out."""
        return self._urls("web_seeds", usable_web_seed)

    def text(self, name: str) -> str:
        """A text of the document such as ``magnet`` or ``landing_page``, or ""."""
        value = self.document.get(name)
        return value if isinstance(value, str) and value.isprintable() else ""

    def _urls(self, name: str, good: Callable[[Any], bool]) -> tuple[str, ...]:
        told = self.document.get(name)
        return tuple(dict.fromkeys(u for u in told[:100] if good(u))) if isinstance(told, list) else ()

    @classmethod
    def parse(cls, document: Any, *registrars: Verifier) -> Record:
        """Verify a record document, of whichever registrar it was asked.

        Args:
            document: with all its events after the first one, as they are in a history, under ``chain``
                when there are several (see :func:`lacks_chain`).
            registrars: whose keys are known; each event must be in the log of that one to which it is
                addressed. The first of several with one name counts; the others are keys that it had before,
                which have signed in people's names.

        Raises:
            InvalidInput: it is malformed.
            VerificationFailed: a signature, digest or name does not hold, or somebody changed the record who
                was not entitled to.
        """
        f = Fields(document, "a record")
        logs = {registrar.name: registrar for registrar in reversed(registrars)}
        event = Event.parse(f.object("event"))
        event.verify()
        event.check_body(jcs.dumps(f.object("body")))
        body = RecordBody.parse(f.object("body"))
        proof = _proof(f, event, _log(event, logs))
        if event.type != "record":
            raise VerificationFailed(f"{event.record_id[:12]}… is no record")
        ark = f.text("ark", limit=80)
        found = _ARK_VALUE.fullmatch(ark)
        if not found or ark != f"ark:/{mint_ark(found[1], event.record_id)}":
            raise VerificationFailed(f"{ark!r} is not the ARK of record {event.record_id[:12]}…")
        told = (f.text("rid"), f.text("content_id"), f.text("infohash_v1"), f.text("name"))
        dataset = body.dataset
        if told != (event.record_id, dataset.content_id, dataset.infohash_v1, dataset.name):
            raise VerificationFailed(f"the document of record {event.record_id[:12]}… contradicts its body")
        states = _states(f, event, logs, {(one.name, str(one.key)) for one in registrars})
        _check_told(document, states[-1])
        return cls(dict(document), event, body, proof, ark, states)

    def check_name(self, name: Identifier) -> None:
        """Check that this is the record asked for; names of single files are the manifest's business.

        Raises:
            VerificationFailed: the registrar answered with another record.
        """
        if not may_be(self.document, name):
            raise VerificationFailed(
                f"asked for {name}, the registrar answered with {self.ark}, which is another dataset"
            )


def lacks_chain(document: Mapping[str, Any]) -> bool:
    """Whether events between the first and the newest one are needed to verify a record document."""
    seq = document.get("seq", 0)
    return type(seq) is int and seq > 1 and "chain" not in document


def _log(event: Event, logs: Mapping[str, Verifier]) -> Verifier:
    """The log that an event must be in.

    Raises:
        VerificationFailed: its key is not known.
    """
    log = logs.get(event.home)
    if log is None:
        raise VerificationFailed(
            f"record {event.record_id[:12]}… was not made for {' or '.join(logs)}, but for {event.home},"
            " whose key is not known here",
            hint=f"Name the registrar {event.home} with --registrar.",
        )
    return log


def _states(
    f: Fields, first: Event, logs: Mapping[str, Verifier], homes: Set[tuple[str, str]]
) -> tuple[RecordState, ...]:
    """The states after each event; every one follows the last, and was signed by who might.

    Args:
        homes: name and key, present or former, of every registrar that is known.
    """
    states = [RecordState.begin(first, jcs.dumps(f.object("body")))]
    if states[0].editor is not None and (first.home, first.by) not in homes:
        raise VerificationFailed(f"record {first.record_id[:12]}… names an editor, and no registrar says so")
    seq = f.count("seq", default=0)
    if seq == 1 and "chain" not in f:
        later: tuple[Mapping[str, Any], ...] = (f.object("revision"),)
    else:
        later = f.items("chain", _object, most=MAX_REVISIONS + 1)
    for signed in later:
        entry = Fields(signed, "an event of a record")
        event = Event.parse(entry.object("event"))
        log = _log(event, logs)
        try:
            # that it is in the log is proved under the present key
            home_key = event.by if (event.home, event.by) in homes else str(log.key)
            after = states[-1].apply(event, jcs.dumps(entry.object("body")), home_key=home_key)
        except (Refused, InvalidInput) as error:
            raise VerificationFailed(
                f"a change of record {first.record_id[:12]}… does not hold: {error.what}",
                hint="Ask its steward and its registrar.",
            ) from error
        _proof(entry, event, log)
        states.append(after)
    if len(states) != seq + 1:
        raise VerificationFailed(f"of record {first.record_id[:12]}… not all events are shown")
    return tuple(states)


def _proof(f: Fields, event: Event, log: Verifier) -> LogProof:
    """The proof that an event is in the registrar's log.

    Raises:
        VerificationFailed: it is not, as far as this shows.
    """
    proof = LogProof.parse(f.text("proof", limit=MAX_PROOF_BYTES))
    proof.verify(event.leaf(), log)
    return proof


def _object(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise InvalidInput("the chain of a record has an entry that is no object")
    return value


def _check_told(document: Mapping[str, Any], state: RecordState) -> None:
    """What the document says in short must be what the events say."""
    said = {
        "head": state.head.hash(),
        "metadata": state.metadata.encode(),
        "supersedes": state.supersedes,
        "stewards": list(state.stewards),
    }
    wrong = [name for name, value in said.items() if document.get(name, value) != value]
    if wrong or bool(document.get("withdrawn")) != state.withdrawn:
        raise VerificationFailed(f"the document of record {state.rid[:12]}… contradicts its events")
