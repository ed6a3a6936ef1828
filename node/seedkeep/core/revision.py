"""What happens to a record after its first event: revisions and withdrawal, as a pure state machine.

A record's events form a chain (:mod:`seedkeep.core.events`): one ``record``, then any number of ``revision``,
each of which gives the whole new state, then perhaps one ``withdrawal``, which ends it. Every event but the
first is signed by a steward of the state *before* it, or by the key of the record's home registrar, which
signs for people in browsers and then names them as ``editor``. Dataset and licence never change.

A steward, and nobody else, may give the record another home by a ``rehome``: it is addressed to the new one,
and stands in its log, as everything that follows does.

Example::

    state = RecordState.begin(first_event, first_body)
    state = state.apply(event, body, home_key=str(registrar.key))
    for change in state.changes_since(before):
        print(change.field, change.before, change.after)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from seedkeep.core import jcs
from seedkeep.core.errors import Conflict, InvalidInput, Refused, VerificationFailed
from seedkeep.core.events import Event, check_successor
from seedkeep.core.metadata import Affiliation, Creator, Metadata, parse_metadata
from seedkeep.core.record import (
    Dataset,
    Editor,
    RecordBody,
    check_copies,
    check_text,
    parse_stewards,
    parse_web_seeds,
)

RECORD, REVISION, WITHDRAWAL, REHOME = "record", "revision", "withdrawal", "rehome"
MAX_NOTE = 2000
MAX_ORIGIN = 300
#: a client reads all of them before it believes the newest one
MAX_REVISIONS = 1000


def _want(condition: bool, problem: str) -> None:
    if not condition:
        raise InvalidInput(f"this revision is malformed: {problem}")


def _fields(data: bytes | Mapping[str, Any], needed: set[str], allowed: set[str]) -> Mapping[str, Any]:
    fields = data if isinstance(data, Mapping) else jcs.loads(data)
    _want(isinstance(fields, Mapping), "it is not an object")
    _want(
        needed <= set(fields) <= needed | allowed, f"its fields must be exactly {', '.join(sorted(needed))}"
    )
    _want(fields["v"] == 1, "its version is unknown")
    return fields


@dataclass(frozen=True, slots=True)
class RevisionBody:
    """The body of a ``revision`` event: all that may change, as it is from now on.

    Args:
        stewards: printed keys that may sign the next event; at least one.
        note: why, in the editor's words; may be empty.
        editor: for whom the registrar signed; left out of the JSON when there is none.
    """

    metadata: Metadata
    web_seeds: tuple[str, ...]
    copies: int
    stewards: tuple[str, ...]
    note: str = ""
    editor: Editor | None = None

    def encode(self) -> bytes:
        """The canonical bytes that the event names by digest."""
        fields: dict[str, Any] = {
            "v": 1,
            "metadata": self.metadata.encode(),
            "web_seeds": self.web_seeds,
            "copies": self.copies,
            "stewards": self.stewards,
            "note": self.note,
        }
        return jcs.dumps({**fields, "editor": self.editor.encode()} if self.editor else fields)

    @classmethod
    def parse(cls, data: bytes | Mapping[str, Any]) -> RevisionBody:
        """
        Raises:
            InvalidInput: a field is missing, unknown, of the wrong type or out of range.
        """
        needed = {"v", "metadata", "web_seeds", "copies", "stewards", "note"}
        fields = _fields(data, needed, {"editor"})
        check_copies(fields["copies"])
        check_text("note", fields["note"], MAX_NOTE)
        return cls(
            metadata=parse_metadata(fields["metadata"]),
            web_seeds=parse_web_seeds(fields["web_seeds"]),
            copies=fields["copies"],
            stewards=parse_stewards(fields["stewards"]),
            note=fields["note"],
            editor=Editor.parse(fields["editor"]) if "editor" in fields else None,
        )


@dataclass(frozen=True, slots=True)
class WithdrawalBody:
    """The body of a ``withdrawal`` event: the data is not offered here any more; what was said of it stays.

    Args:
        reason: shown to everybody who asks for the data; not empty.
    """

    reason: str
    editor: Editor | None = None

    def encode(self) -> bytes:
        """The canonical bytes that the event names by digest."""
        fields: dict[str, Any] = {"v": 1, "reason": self.reason}
        return jcs.dumps({**fields, "editor": self.editor.encode()} if self.editor else fields)

    @classmethod
    def parse(cls, data: bytes | Mapping[str, Any]) -> WithdrawalBody:
        """
        Raises:
            InvalidInput: a field is missing, unknown, of the wrong type or out of range.
        """
        fields = _fields(data, {"v", "reason"}, {"editor"})
        check_text("reason", fields["reason"], MAX_NOTE)
        _want(bool(fields["reason"].strip()), "it gives no reason")
        return cls(fields["reason"], Editor.parse(fields["editor"]) if "editor" in fields else None)


@dataclass(frozen=True, slots=True)
class RehomeBody:
    """The body of a ``rehome`` event: another registrar is this record's home from now on.

    Args:
        source, to: origins of the home it had, and of the new one; ``from`` and ``to`` in the JSON.
        reason: in the steward's words; may be empty.
    """

    source: str
    to: str
    reason: str = ""

    def encode(self) -> bytes:
        """The canonical bytes that the event names by digest."""
        return jcs.dumps({"v": 1, "from": self.source, "to": self.to, "reason": self.reason})

    @classmethod
    def parse(cls, data: bytes | Mapping[str, Any]) -> RehomeBody:
        """
        Raises:
            InvalidInput: a field is missing, unknown, of the wrong type or out of range.
        """
        fields = _fields(data, {"v", "from", "to", "reason"}, set())
        for name, limit in (("from", MAX_ORIGIN), ("to", MAX_ORIGIN), ("reason", MAX_NOTE)):
            check_text(name, fields[name], limit)
        return cls(fields["from"], fields["to"], fields["reason"])


def check_editor(event: Event, editor: Editor | None, home_key: str) -> None:
    """Only the home registrar says for whom it signed; else anybody could put words into others' mouths.

    Raises:
        Refused: the event names an editor, and another key has signed it.
    """
    if editor is not None and event.by != home_key:
        raise Refused("only a registrar that signs for somebody names an editor", hint="Leave editor out.")


@dataclass(frozen=True, slots=True)
class Change:
    """What an event changed of one field, in words: a text is one line, a list one line per entry."""

    field: str
    before: tuple[str, ...]
    after: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RecordState:
    """A record after ``head``, its newest event.

    Args:
        home: origin of the registrar it belongs to.
        stewards: printed keys; never empty.
        note: that of the newest revision, or the reason of the withdrawal.
        editor: for whom the registrar signed ``head``, if it did.
        withdrawn: ``head`` is a withdrawal; nothing follows.
    """

    rid: str
    home: str
    dataset: Dataset
    license: str
    supersedes: str
    head: Event
    metadata: Metadata
    web_seeds: tuple[str, ...]
    copies: int
    stewards: tuple[str, ...]
    note: str = ""
    editor: Editor | None = None
    withdrawn: bool = False

    @classmethod
    def begin(cls, event: Event, body: bytes) -> RecordState:
        """The state after a ``record`` event.

        Raises:
            InvalidInput, VerificationFailed: event or body do not hold, or it is another kind of event.
        """
        if event.type != RECORD or event.seq:
            raise InvalidInput(f"an event of type {event.type} does not begin a record")
        event.verify()
        event.check_body(body)
        said = RecordBody.parse(body)
        return cls(
            rid=event.record_id,
            home=event.home,
            dataset=said.dataset,
            license=said.license,
            supersedes=said.supersedes,
            head=event,
            metadata=said.metadata,
            web_seeds=said.web_seeds,
            copies=said.copies,
            stewards=said.stewards or (event.by,),
            editor=said.editor,
        )

    def check_signer(self, key: str, home_key: str) -> None:
        """
        Args:
            key, home_key: as printed; ``home_key`` is that of the home registrar.

        Raises:
            Refused: this key may not sign the next event.
        """
        if key not in (*self.stewards, home_key):
            raise Refused(
                f"{key} is no steward of record {self.rid[:12]}…",
                hint="Ask one of its stewards, or a curator of its registrar.",
            )

    def apply(self, event: Event, body: bytes, *, home_key: str) -> RecordState:
        """The state after the next event.

        Raises:
            InvalidInput: it is malformed, or no event that can follow.
            VerificationFailed: signature, digest, record or home are not what they must be.
            Conflict: it does not follow ``head``, or the record is withdrawn.
            Refused: its signer was neither a steward nor the home registrar, or may name no editor; or it is
                one revision too many.

        ``home_key`` is that of the registrar to which the event is addressed.
        """
        if event.type not in (REVISION, WITHDRAWAL, REHOME):
            raise InvalidInput(f"an event of type {event.type} changes no record")
        event.verify()
        event.check_body(body)
        if self.withdrawn:
            raise Conflict(
                f"record {self.rid[:12]}… is withdrawn: nothing can be changed any more",
                hint="Whoever wants to offer the data again shares it anew.",
            )
        check_successor(self.head, event)
        if event.type != WITHDRAWAL and event.seq > MAX_REVISIONS:
            raise Refused(f"record {self.rid[:12]}… has {MAX_REVISIONS} revisions; it takes no more")
        if event.type == REHOME:
            return self._rehomed(event, RehomeBody.parse(body))
        if event.home != self.home:
            raise VerificationFailed(
                f"this event was made for {event.home}, the record belongs to {self.home}"
            )
        self.check_signer(event.by, home_key)
        if event.type == WITHDRAWAL:
            last = WithdrawalBody.parse(body)
            check_editor(event, last.editor, home_key)
            return self.ended(event, last)
        said = RevisionBody.parse(body)
        check_editor(event, said.editor, home_key)
        return self.revised(event, said)

    def _rehomed(self, event: Event, body: RehomeBody) -> RecordState:
        if (body.source, body.to) != (self.home, event.home) or body.to == self.home:
            raise VerificationFailed(
                f"this event moves record {self.rid[:12]}… from {body.source} to {body.to}, is addressed to"
                f" {event.home}, and the record belongs to {self.home}"
            )
        if event.by not in self.stewards:  # a registrar as such takes no record over, and gives none away
            raise Refused(f"only a steward can give record {self.rid[:12]}… another home")
        return self.moved(event, body)

    def moved(self, event: Event, body: RehomeBody) -> RecordState:
        """The state after a rehome that :meth:`apply` has accepted before; nothing is checked again."""
        return replace(self, head=event, home=body.to, note=body.reason, editor=None)

    def revised(self, event: Event, body: RevisionBody) -> RecordState:
        """The state after a revision that :meth:`apply` has accepted before; nothing is checked again, and
        revisions may be left out, as each gives the whole state."""
        return replace(
            self,
            head=event,
            metadata=body.metadata,
            web_seeds=body.web_seeds,
            copies=body.copies,
            stewards=body.stewards,
            note=body.note,
            editor=body.editor,
        )

    def ended(self, event: Event, body: WithdrawalBody) -> RecordState:
        """The state after a withdrawal that :meth:`apply` has accepted before; nothing is checked again."""
        return replace(self, head=event, note=body.reason, editor=body.editor, withdrawn=True)

    def revision(self, *, note: str = "", editor: Editor | None = None, **changes: Any) -> RevisionBody:
        """The body of a revision that changes these fields (metadata, web_seeds, copies, stewards) alone."""
        now = RevisionBody(self.metadata, self.web_seeds, self.copies, self.stewards, note, editor)
        return replace(now, **changes)

    def changes_since(self, before: RecordState) -> list[Change]:
        """What differs between two states of one record, in the order of the fields."""
        old, new = before.lines(), self.lines()
        return [Change(name, old[name], new[name]) for name in new if old[name] != new[name]]

    def lines(self) -> dict[str, tuple[str, ...]]:
        """Everything that may change, in words for people."""
        m = self.metadata
        return {
            "title": _line(m.title),
            "creators": tuple(map(_creator, m.creators)),
            "description": _line(m.description),
            "subjects": tuple(s.text + (f" ({s.scheme}:{s.id})" if s.scheme else "") for s in m.subjects),
            "funding": tuple(_joined(f.funder, _ror(f.ror), f.award, f.title) for f in m.funding),
            "related": tuple(f"{r.relation} {r.identifier}" for r in m.related),
            "dates": tuple(f"{d.kind} {d.value}" for d in m.dates),
            "contacts": tuple(_joined(c.name, c.email) for c in m.contacts),
            "publisher": _line(m.publisher),
            "version": _line(m.version),
            "language": _line(m.language),
            "dois": m.dois,
            "web seeds": self.web_seeds,
            "copies": (str(self.copies),),
            "stewards": self.stewards,
            "home": (self.home,),
            "withdrawn": _line(self.note if self.withdrawn else ""),
        }


def _line(text: str) -> tuple[str, ...]:
    return (text,) if text else ()


def _joined(*parts: str) -> str:
    return ", ".join(part for part in parts if part)


def _ror(ror: str) -> str:
    return f"ROR {ror}" if ror else ""


def _affiliation(a: Affiliation) -> str:
    return a.name + (f" ({_ror(a.ror)})" if a.ror else "")


def _creator(c: Creator) -> str:
    written = c.name if c.name == _joined(c.family, c.given) or not (c.given or c.family) else ""
    named = written or f"{c.name} (given {c.given or '–'}, family {c.family or '–'})"
    kind = c.kind if c.kind != Creator(c.name).kind else ""
    ids = (kind, f"ORCID {c.orcid}" if c.orcid else "", _ror(c.ror), *map(_affiliation, c.affiliations))
    return _joined(named, *ids)
