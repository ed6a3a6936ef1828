"""Groups of people: a name that settings, stewards and collections can refer to, and who is in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from seedkeep.core.errors import Conflict
from seedkeep_registrar.store.accounts import Account, account_of
from seedkeep_registrar.store.accounts_tables import accounts, group_members, groups
from seedkeep_registrar.store.collections_tables import collections


@dataclass(frozen=True, slots=True)
class Group:
    """One group; ``members``: how many there are."""

    id: int
    name: str
    title: str
    created: float
    members: int


@dataclass(frozen=True, slots=True)
class Member:
    """Somebody in a group; ``manager``: may add and remove others."""

    account: Account
    manager: bool


def _counted() -> Any:
    count = select(func.count()).where(group_members.c.group_id == groups.c.id).scalar_subquery()
    return select(groups.c.id, groups.c.name, groups.c.title, groups.c.created, count.label("members"))


def _group(row: Row[Any]) -> Group:
    return Group(**row._mapping)


def create(connection: Connection, name: str, title: str, now: float) -> Group:
    """A new group.

    Raises:
        Conflict: the name is taken.
    """
    savepoint = connection.begin_nested()
    try:
        connection.execute(insert(groups).values(name=name, title=title, created=now))
    except IntegrityError as error:
        savepoint.rollback()
        raise Conflict(f"there is a group {name} already") from error
    savepoint.commit()
    made = by_name(connection, name)
    assert made is not None
    return made


def drop(connection: Connection, group: Group) -> None:
    """Forget a group; its collections are nobody's then, so that curators look after them."""
    theirs = collections.c.owner_group == group.id
    connection.execute(update(collections).where(theirs).values(owner_group=None))
    connection.execute(delete(group_members).where(group_members.c.group_id == group.id))
    connection.execute(delete(groups).where(groups.c.id == group.id))


def by_name(connection: Connection, name: str) -> Group | None:
    """One group."""
    row = connection.execute(_counted().where(groups.c.name == name)).first()
    return _group(row) if row else None


def every(connection: Connection) -> list[Group]:
    """All groups by name."""
    return [_group(row) for row in connection.execute(_counted().order_by(groups.c.name))]


def of_account(connection: Connection, account_id: int) -> list[Group]:
    """The groups somebody is in."""
    inside = select(group_members.c.group_id).where(group_members.c.account_id == account_id)
    query = _counted().where(groups.c.id.in_(inside)).order_by(groups.c.name)
    return [_group(row) for row in connection.execute(query)]


def members(connection: Connection, group_id: int) -> list[Member]:
    """Who is in a group, longest first."""
    query = select(accounts, group_members.c.manager).join(
        group_members, group_members.c.account_id == accounts.c.id
    )
    query = query.where(group_members.c.group_id == group_id).order_by(group_members.c.added, accounts.c.id)
    return [Member(account_of(row), bool(row.manager)) for row in connection.execute(query)]


def is_manager(connection: Connection, group_id: int, account_id: int) -> bool:
    """Whether somebody may add and remove others."""
    query = select(group_members.c.manager).where(
        group_members.c.group_id == group_id, group_members.c.account_id == account_id
    )
    return bool(connection.execute(query).scalar())


def put_member(connection: Connection, group_id: int, account_id: int, manager: bool, now: float) -> None:
    """Take somebody in, or change whether they are a manager."""
    here = (group_members.c.group_id == group_id, group_members.c.account_id == account_id)
    if connection.execute(update(group_members).where(*here).values(manager=manager)).rowcount:
        return
    savepoint = connection.begin_nested()
    values = {"group_id": group_id, "account_id": account_id, "manager": manager, "added": now}
    try:
        connection.execute(insert(group_members).values(values))
    except IntegrityError:  # taken in by another process at this moment
        savepoint.rollback()
    else:
        savepoint.commit()


def remove_member(connection: Connection, group_id: int, account_id: int) -> bool:
    """Let somebody out; whether they were in it."""
    gone = delete(group_members).where(
        group_members.c.group_id == group_id, group_members.c.account_id == account_id
    )
    return bool(connection.execute(gone).rowcount)
