"""Datasets that wait for a curator: what was submitted, how it stands, and who decided what.

A submission is ``waiting``; a curator makes it ``approved`` (it is a record then), ``returned`` (something
has to be changed first) or ``rejected``. What is returned may still be approved or rejected. It is
``replaced`` when its submitter sends the same content with another description.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, func, insert, or_, select, update

from seedkeep.core.decision import APPROVE, REJECT, RETURN
from seedkeep.core.events import Event
from seedkeep_registrar.store.curation_tables import decisions, submissions

WAITING, APPROVED, RETURNED, REJECTED, REPLACED = "waiting", "approved", "returned", "rejected", "replaced"
STATES = (WAITING, APPROVED, RETURNED, REJECTED, REPLACED)
#: the state that a decision leads to
STATE_AFTER = {APPROVE: APPROVED, RETURN: RETURNED, REJECT: REJECTED}
#: states in which a curator may still decide
OPEN = (WAITING, RETURNED)


@dataclass(frozen=True, slots=True)
class Submission:
    """One submitted event.

    Args:
        rid: its hash, the rid of the record if one is made.
        by: the key that signed it; ``account_id``: the account that sent it, if it is known.
        received: Unix seconds.
    """

    rid: str
    leaf: bytes
    body: bytes
    body_sha256: str
    by: str
    account_id: int | None
    content_id: str
    infohash_v1: str
    name: str
    title: str
    files: int
    bytes: int
    license: str
    manifest: str
    piece_layers: str
    pieces_v1: str
    state: str
    received: float

    @property
    def event(self) -> Event:
        """The event that the submitter signed."""
        return Event.parse(self.leaf)


@dataclass(frozen=True, slots=True)
class Sender:
    """Who may have sent something: an account, if there is one, and the keys that act for them."""

    keys: frozenset[str]
    account_id: int | None

    def sent(self, submission: Submission) -> bool:
        """Whether they have sent this."""
        by_account = self.account_id is not None and self.account_id == submission.account_id
        return by_account or submission.by in self.keys


@dataclass(frozen=True, slots=True)
class Decided:
    """One decision as it stands in the log; ``at`` in Unix seconds."""

    event: str
    submission: str
    position: int
    decision: str
    reason: str
    by: str
    editor: dict[str, str] | None
    at: float


@dataclass(frozen=True, slots=True)
class Numbered:
    """A submission and its number in the queue, by which lists are paged."""

    number: int
    submission: Submission


def add(connection: Connection, submission: Submission) -> None:
    """Put it into the queue; what the same sender sent of this content before, and is open, is replaced."""
    connection.execute(
        update(submissions)
        .where(
            _same_sender(submission),
            submissions.c.content_id == submission.content_id,
            submissions.c.state.in_(OPEN),
        )
        .values(state=REPLACED)
    )
    connection.execute(
        insert(submissions).values({name: getattr(submission, name) for name in Submission.__slots__})
    )


def _same_sender(submission: Submission) -> ColumnElement[bool]:
    # the registrar's own key signs for many accounts
    return and_(
        submissions.c.by == submission.by,
        submissions.c.account_id.is_not_distinct_from(submission.account_id),
    )


def by_rid(connection: Connection, rid: str) -> Submission | None:
    """One submission."""
    row = connection.execute(select(submissions).where(submissions.c.rid == rid)).first()
    return _submission(row) if row else None


def same(connection: Connection, by: str, content_id: str, body_sha256: str) -> Submission | None:
    """The newest submission in which this key said the same of the same content."""
    row = connection.execute(
        select(submissions)
        .where(
            submissions.c.by == by,
            submissions.c.content_id == content_id,
            submissions.c.body_sha256 == body_sha256,
            submissions.c.state != REPLACED,
        )
        .order_by(submissions.c.number.desc())
        .limit(1)
    ).first()
    return _submission(row) if row else None


def set_state(connection: Connection, rid: str, state: str) -> None:
    """What a decision led to."""
    connection.execute(update(submissions).where(submissions.c.rid == rid).values(state=state))


def waiting_of_sender(connection: Connection, submission: Submission) -> int:
    """How many wait of whoever has sent this one."""
    query = select(func.count()).select_from(submissions)
    query = query.where(submissions.c.state == WAITING, _same_sender(submission))
    return int(connection.execute(query).scalar_one())


def page(
    connection: Connection,
    *,
    states: tuple[str, ...],
    after: int,
    limit: int,
    sender: Sender | None = None,
) -> list[Numbered]:
    """Submissions, the one that waits longest first.

    Args:
        states: only those in these; empty for all.
        after: only those with a greater number.
        sender: only those of somebody; None for everybody's.
    """
    query = select(submissions).where(submissions.c.number > after)
    if states:
        query = query.where(submissions.c.state.in_(states))
    if sender is not None:
        theirs: ColumnElement[bool] = submissions.c.by.in_(sender.keys)
        if sender.account_id is not None:
            theirs = or_(theirs, submissions.c.account_id == sender.account_id)
        query = query.where(theirs)
    rows = connection.execute(query.order_by(submissions.c.number).limit(limit))
    return [Numbered(row.number, _submission(row)) for row in rows]


def received_before(connection: Connection, count: int) -> float:
    """When the submission came in before which ``count`` others came, Unix seconds; 0 if there is none."""
    query = select(submissions.c.received).order_by(submissions.c.number.desc()).offset(count).limit(1)
    return float(connection.execute(query).scalar() or 0.0)


def of_content(connection: Connection, content_id: str) -> list[Submission]:
    """Whatever was submitted of one content, newest first, at most 50."""
    rows = connection.execute(
        select(submissions)
        .where(submissions.c.content_id == content_id)
        .order_by(submissions.c.number.desc())
        .limit(50)
    )
    return [_submission(row) for row in rows]


def names_object(connection: Connection, sha256: str) -> bool:
    """Whether an open submission needs this object."""
    query = select(submissions.c.number).where(
        or_(
            submissions.c.manifest == sha256,
            submissions.c.piece_layers == sha256,
            submissions.c.pieces_v1 == sha256,
        ),
        submissions.c.state.in_(OPEN),
    )
    return connection.execute(query.limit(1)).first() is not None


def decide(connection: Connection, decided: Decided) -> None:
    """Keep a decision, and change the submission's state accordingly."""
    connection.execute(insert(decisions).values({name: getattr(decided, name) for name in Decided.__slots__}))
    set_state(connection, decided.submission, STATE_AFTER[decided.decision])


def decisions_on(connection: Connection, rid: str) -> list[Decided]:
    """The decisions about a submission, oldest first."""
    rows = connection.execute(
        select(decisions).where(decisions.c.submission == rid).order_by(decisions.c.position)
    )
    return [Decided(**row._mapping) for row in rows]


def _submission(row: Row[Any]) -> Submission:
    return Submission(**{name: row._mapping[name] for name in Submission.__slots__})
