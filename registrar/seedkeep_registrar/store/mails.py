"""The outbox: every mail until it was handed in, and those about a record for good.

A mail is ``waiting`` until it ends as ``sent``, ``failed``, or ``printed`` (in the log, for want of a mail
server). Whoever takes one to send it moves its next try into the future, so that no other process takes it
meanwhile, and that it comes up again if this one dies.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, Row, delete, func, insert, select, update

from seedkeep_registrar.store.curation_tables import mails

WAITING, SENT, FAILED, PRINTED = "waiting", "sent", "failed", "printed"
_DETAIL = 500
_SHOWN = 200


@dataclass(frozen=True, slots=True)
class Letter:
    """A mail to be sent.

    Args:
        about: rid of the record it is about, or "".
        kept_text: the plain text as it is kept, without what opens something.
        give_up: when it is too late for it, Unix seconds.
        to_curators: it tells people who keep the queue; others do not read it.
    """

    message_id: str
    about: str
    recipient: str
    subject: str
    text: str
    html: str
    kept_text: str
    created: float
    give_up: float
    to_curators: bool = False


@dataclass(frozen=True, slots=True)
class Taken:
    """A mail that this process is to hand in now; ``tries`` counts this one."""

    id: int
    letter: Letter
    tries: int


@dataclass(frozen=True, slots=True)
class Kept:
    """A mail about a record, as it can be read later; ``ended`` is None while it waits."""

    id: int
    message_id: str
    recipient: str
    subject: str
    text: str
    state: str
    detail: str
    created: float
    tries: int
    ended: float | None


def add(connection: Connection, letter: Letter) -> int:
    """Put a mail into the outbox; its number."""
    fields = {name: getattr(letter, name) for name in Letter.__slots__}
    added = connection.execute(
        insert(mails)
        .values(**fields, state=WAITING, detail="", tries=0, next_try=letter.created, ended=None)
        .returning(mails.c.id)
    )
    return int(added.scalar_one())


def next_try(connection: Connection) -> float | None:
    """When the next mail is due, Unix seconds; None when none waits."""
    due: float | None = connection.execute(
        select(func.min(mails.c.next_try)).where(mails.c.state == WAITING)
    ).scalar_one()
    return due


def take(connection: Connection, now: float, again: float) -> Taken | None:
    """Take the mail that is due longest.

    Args:
        again: when it comes up again if nothing is heard of it, Unix seconds.
    """
    row = connection.execute(
        select(mails)
        .where(mails.c.state == WAITING, mails.c.next_try <= now)
        .order_by(mails.c.next_try, mails.c.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    ).first()
    if row is None:
        return None
    tries = row.tries + 1
    connection.execute(update(mails).where(mails.c.id == row.id).values(next_try=again, tries=tries))
    return Taken(row.id, Letter(**{name: getattr(row, name) for name in Letter.__slots__}), tries)


def put_off(connection: Connection, number: int, until: float, why: str) -> None:
    """Try again at ``until``; nothing happens to a mail that has ended."""
    connection.execute(
        update(mails)
        .where(mails.c.id == number, mails.c.state == WAITING)
        .values(next_try=until, detail=why[:_DETAIL])
    )


def end(connection: Connection, number: int, state: str, now: float, detail: str = "") -> None:
    """It was sent, printed, or given up: its secrets go, and all of it if it is about no record."""
    connection.execute(delete(mails).where(mails.c.id == number, mails.c.about == ""))
    connection.execute(
        update(mails)
        .where(mails.c.id == number)
        .values(state=state, detail=detail[:_DETAIL], ended=now, text="", html="")
    )


def about(connection: Connection, rid: str) -> list[Kept]:
    """The mails about a record but those to curators, newest first, at most 200."""
    return _about(connection, mails.c.about == rid, mails.c.to_curators.is_(False))


def all_about(connection: Connection, rid: str) -> list[Kept]:
    """The mails about a record, also those to curators, newest first, at most 200."""
    return _about(connection, mails.c.about == rid)


def _about(connection: Connection, *which: ColumnElement[bool]) -> list[Kept]:
    rows = connection.execute(select(mails).where(*which).order_by(mails.c.id.desc()).limit(_SHOWN))
    return [_kept(row) for row in rows]


def _kept(row: Row[tuple[object, ...]]) -> Kept:
    return Kept(
        id=row.id,
        message_id=row.message_id,
        recipient=row.recipient,
        subject=row.subject,
        text=row.kept_text,
        state=row.state,
        detail=row.detail,
        created=row.created,
        tries=row.tries,
        ended=row.ended,
    )
