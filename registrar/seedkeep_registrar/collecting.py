"""Collections of datasets: who may make and change them, and what is on them.

Curators make collections. One belongs to whoever made it, or to a group; its owner, the group's members and
every curator may change it. Each step is kept with who did it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection

from seedkeep.core.errors import InvalidInput, NotFound, Refused
from seedkeep_registrar import times
from seedkeep_registrar.accounts import membership
from seedkeep_registrar.accounts.principal import Principal, Role
from seedkeep_registrar.context import Registrar
from seedkeep_registrar.search.cursor import TOP
from seedkeep_registrar.search.find import count_with_subject, with_subject
from seedkeep_registrar.store import collections, groups, records, taints
from seedkeep_registrar.store.collections import Collection, Entry

MAX_TITLE, MAX_DESCRIPTION, MAX_SUBJECT = 200, 10_000, 500
#: entries added or removed by one request
MAX_AT_ONCE = 1000
_SLUG = re.compile(r"[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?")
_RID = re.compile(r"[0-9a-f]{64}")


def named(connection: Connection, slug: str) -> Collection:
    """
    Raises:
        NotFound: there is no such collection.
    """
    found = collections.by_slug(connection, slug) if _SLUG.fullmatch(slug) else None
    if found is None:
        raise NotFound(f"there is no collection {slug[:64]}", hint="See the list of collections.")
    return found


def may_change(connection: Connection, sender: Principal, collection: Collection) -> bool:
    """Whether somebody may change a collection."""
    if sender.role >= Role.CURATOR or (sender.key and sender.key == collection.owner_key):
        return True
    if sender.account is None:
        return False
    if sender.account.id == collection.owner_account:
        return True
    return collection.owner_group is not None and any(
        group.id == collection.owner_group for group in groups.of_account(connection, sender.account.id)
    )


def who(sender: Principal) -> str:
    """How the history names somebody: never by an address."""
    if sender.account is None:
        return sender.key
    return sender.account.name or f"account {sender.account.id}"


def _text(name: str, value: str, most: int, *, empty: bool = True) -> str:
    value = value.strip()
    if len(value) > most or "\x00" in value or not (value or empty):
        raise InvalidInput(f"{name} is not text of {'up to' if empty else '1 to'} {most} characters")
    return value


async def create(
    registrar: Registrar,
    sender: Principal,
    *,
    slug: str,
    title: str,
    description: str = "",
    subject: str = "",
    group: str = "",
) -> Collection:
    """Make a collection; the sender is a curator.

    Args:
        subject: then it is whatever has this subject, and nobody chooses entries.
        group: name of the group that owns it; "": the sender does.

    Raises:
        InvalidInput: a text is too long, or the slug is not of lower-case letters, digits and hyphens.
        Conflict: the slug is taken.
        NotFound: there is no such group.
    """
    if not _SLUG.fullmatch(slug):
        raise InvalidInput(
            f"{slug[:64]!r} is no short name for a collection",
            hint="Use lower-case letters, digits and hyphens.",
        )
    values = {
        "slug": slug,
        "title": _text("title", title, MAX_TITLE, empty=False),
        "description": _text("description", description, MAX_DESCRIPTION),
        "subject": _text("subject", subject, MAX_SUBJECT),
        "owner_account": sender.account.id if sender.account and not group else None,
        "owner_key": sender.key if not sender.account and not group else "",
    }
    return await registrar.db.write(_create, sender, values, group, registrar.clock())


def _create(
    connection: Connection, sender: Principal, values: dict[str, Any], group: str, now: float
) -> Collection:
    owner = membership.by_name(connection, group).id if group else None
    return collections.create(connection, {**values, "owner_group": owner}, by=who(sender), now=now)


async def change(
    registrar: Registrar, sender: Principal, slug: str, *, title: str, description: str
) -> Collection:
    """Give a collection other texts.

    Raises:
        InvalidInput: a text is too long.
        NotFound: there is no such collection.
        Refused: it is somebody else's.
    """
    title = _text("title", title, MAX_TITLE, empty=False)
    description = _text("description", description, MAX_DESCRIPTION)

    def work(connection: Connection) -> Collection:
        collection = _owned(connection, sender, slug)
        collections.change(
            connection,
            collection,
            title=title,
            description=description,
            by=who(sender),
            now=registrar.clock(),
        )
        return named(connection, slug)

    return await registrar.db.write(work)


async def drop(registrar: Registrar, sender: Principal, slug: str) -> None:
    """Forget a collection; the datasets stay.

    Raises:
        NotFound: there is no such collection.
        Refused: it is somebody else's.
    """
    await registrar.db.write(lambda c: collections.drop(c, _owned(c, sender, slug)))


async def curate(
    registrar: Registrar, sender: Principal, slug: str, *, add: Sequence[str] = (), remove: Sequence[str] = ()
) -> tuple[list[str], list[str]]:
    """Put records on a collection and take others off.

    Args:
        add, remove: rids.

    Returns:
        The rids that were added and removed: what was on it already, or was not, is passed over.

    Raises:
        InvalidInput: too many at once, or the collection follows a subject.
        NotFound: there is no such collection or record.
        Refused: it is somebody else's.
    """
    if len(add) + len(remove) > MAX_AT_ONCE:
        raise InvalidInput(f"at most {MAX_AT_ONCE} entries can change at once")

    def work(connection: Connection) -> tuple[list[str], list[str]]:
        collection = _owned(connection, sender, slug)
        if collection.subject:
            raise InvalidInput(
                f"the collection {slug} is whatever has the subject {collection.subject!r}",
                hint="Edit the subjects of the dataset.",
            )
        for rid in add:
            record = records.by_rid(connection, rid) if _RID.fullmatch(rid) else None
            if record is None or record.withdrawn or taints.standing_on_record(connection, rid):
                raise NotFound(f"this registrar offers no record {rid[:64]}")
        by, now = who(sender), registrar.clock()
        removed = collections.remove(connection, collection, list(remove), by=by, now=now) if remove else []
        added = collections.add(connection, collection, list(add), by=by, now=now) if add else []
        return added, removed

    return await registrar.db.write(work)


def _owned(connection: Connection, sender: Principal, slug: str) -> Collection:
    collection = named(connection, slug)
    if not may_change(connection, sender, collection):
        raise Refused(f"the collection {slug} is somebody else's", hint="Ask a curator of this registrar.")
    return collection


def count(connection: Connection, collection: Collection) -> int:
    """How many datasets are on it."""
    if collection.subject:
        return count_with_subject(connection, collection.subject)
    return collections.count(connection, collection)


def entries(
    connection: Connection, collection: Collection, *, after: int | None, limit: int, newest_first: bool
) -> list[Entry]:
    """What is on it: in its order, or the last added first; one that follows a subject always newest first.

    Args:
        after: number of the last entry of the page before.
    """
    if not collection.subject:
        return collections.entries(
            connection, collection, after=after, limit=limit, newest_first=newest_first
        )
    before = TOP if after is None else after
    found = with_subject(connection, collection.subject, before=before, limit=limit)
    return [Entry(record, record.position, times.seconds(record.created)) for record in found]
