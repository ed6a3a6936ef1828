"""Groups: who may make them, and who may say who is in them."""

from __future__ import annotations

import re

from sqlalchemy import Connection

from seedkeep.core.errors import InvalidInput, NotFound, Refused
from seedkeep_registrar.accounts.managing import line
from seedkeep_registrar.accounts.principal import Principal, Role
from seedkeep_registrar.context import Registrar
from seedkeep_registrar.store import accounts, groups
from seedkeep_registrar.store.groups import Group

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?")


async def make_group(registrar: Registrar, name: str, title: str) -> Group:
    """A new group.

    Raises:
        InvalidInput: the name is not of lower-case letters, digits and hyphens.
        Conflict: the name is taken.
    """
    if not _NAME.fullmatch(name):
        raise InvalidInput(
            f"{name[:64]!r} is no name for a group", hint="Use lower-case letters, digits and hyphens."
        )
    return await registrar.db.write(groups.create, name, line(title, "the title"), registrar.clock())


async def drop_group(registrar: Registrar, name: str) -> None:
    """Delete a group.

    Raises:
        NotFound: there is none.
    """
    await registrar.db.write(_drop, name)


def _drop(connection: Connection, name: str) -> None:
    groups.drop(connection, by_name(connection, name))


async def put_member(
    registrar: Registrar, sender: Principal, name: str, account_id: int, *, manager: bool
) -> None:
    """Take somebody into a group, or change whether they manage it.

    Raises:
        NotFound: there is no such group or account.
        Refused: the sender is neither an operator nor a manager of the group.
    """
    await registrar.db.write(_put, sender, name, account_id, manager, registrar.clock())


def _put(
    connection: Connection, sender: Principal, name: str, account_id: int, manager: bool, now: float
) -> None:
    group = managed(connection, sender, name)
    found = accounts.by_id(connection, account_id)
    if found is None or found.deleted is not None:
        raise NotFound(f"there is no account {account_id}")
    groups.put_member(connection, group.id, account_id, manager, now)


async def remove_member(registrar: Registrar, sender: Principal, name: str, account_id: int) -> None:
    """Let somebody out of a group; everybody may leave by themselves.

    Raises:
        NotFound: there is no such group, or they are not in it.
        Refused: the sender is neither an operator nor a manager of the group, nor leaves.
    """
    await registrar.db.write(_remove, sender, name, account_id)


def _remove(connection: Connection, sender: Principal, name: str, account_id: int) -> None:
    leaves = sender.account is not None and sender.account.id == account_id
    group = by_name(connection, name) if leaves else managed(connection, sender, name)
    if not groups.remove_member(connection, group.id, account_id):
        raise NotFound(f"account {account_id} is not in the group {name}")


def by_name(connection: Connection, name: str) -> Group:
    """
    Raises:
        NotFound: there is no such group.
    """
    group = groups.by_name(connection, name) if _NAME.fullmatch(name) else None
    if group is None:
        raise NotFound(f"there is no group {name[:64]}")
    return group


def managed(connection: Connection, sender: Principal, name: str) -> Group:
    """The group, in which the sender may say who is in it.

    Raises:
        NotFound: there is no such group.
        Refused: the sender is neither an operator nor a manager of it.
    """
    group = by_name(connection, name)
    if sender.role >= Role.OPERATOR:
        return group
    if sender.account is None or not groups.is_manager(connection, group.id, sender.account.id):
        raise Refused(f"only its managers and operators change who is in the group {name}")
    return group
