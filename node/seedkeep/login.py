"""Signing in from a terminal: this machine's key is bound to a person's account at a registrar.

Either the person confirms the key in a browser while :func:`confirmed` waits, or types a mailed code.
No password and no session is kept here: from then on, what the key signs counts as the person's.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from seedkeep.core.errors import InvalidInput, Refused
from seedkeep.message_fields import one_line
from seedkeep.registrar_client import RegistrarClient

#: one request waits this long for the person, in seconds
_WAIT_S = 25.0


@dataclass(frozen=True, slots=True)
class Identity:
    """Whom a registrar takes the key for.

    Args:
        account: ``id``, ``email``, ``name`` and more, as told; None: the key acts for no account.
        role: visitor, member, curator or operator.
    """

    registrar: str
    key: str
    role: str
    account: Mapping[str, Any] | None

    def fields(self) -> dict[str, Any]:
        """For ``--json``."""
        return {"registrar": self.registrar, "key": self.key, "role": self.role, "account": self.account}

    def sentence(self) -> str:
        """For people."""
        if self.account is None:
            return f"{self.key}\nacts for no account at {self.registrar}; role: {self.role}"
        names = [one_line(self.account.get(field), 200) for field in ("name", "email")]
        who = names[0] + (f" <{names[1]}>" if names[0] and names[1] else names[1])
        return f"{who or 'somebody without a name'}, {self.role} at {self.registrar}\n{self.key}"


@dataclass(frozen=True, slots=True)
class Begun:
    """A key that waits to be confirmed.

    Args:
        code, url: what the person compares, and where; empty when a code was mailed.
    """

    id: str
    code: str
    url: str


def machine() -> str:
    """How this machine calls itself."""
    return one_line(socket.gethostname(), 100)


async def identity(client: RegistrarClient) -> Identity:
    """Whom the registrar takes this key for.

    Raises:
        Refused: the account is disabled.
        UsageError: there is no key yet.
    """
    told = await client.whoami()
    account = told.get("account")
    if not isinstance(account, Mapping | None):
        raise InvalidInput(f"{client.url} did not say whose key this is")
    return Identity(client.url, one_line(told.get("key"), 60), one_line(told.get("role"), 20), account)


async def begin(client: RegistrarClient, email: str = "") -> Begun:
    """Ask for this key to be bound.

    Args:
        email: where a code is to be mailed; "" for confirming in a browser.
    """
    told = await client.begin_binding(machine(), email)
    begun = Begun(*(one_line(told.get(name)) for name in ("id", "code", "url")))
    if not begun.id or (not email and not begun.url.startswith(("https://", "http://"))):
        raise InvalidInput(f"{client.url} did not say how to confirm this key")
    return begun


async def confirmed(client: RegistrarClient, begun: Begun) -> Identity:
    """Wait until the person has confirmed the key in a browser.

    Raises:
        NotFound: nobody did in time.
        Refused: the person said that it is not theirs.
    """
    while (state := (await client.binding(begun.id, wait=_WAIT_S)).get("state")) == "waiting":
        pass
    if state != "bound":
        raise Refused("the key was refused in the browser: it acts for no account")
    return await identity(client)


async def typed(client: RegistrarClient, begun: Begun, code: str) -> Identity:
    """Confirm the key by the code from the mail.

    Raises:
        Refused: the code is wrong, used or too old.
    """
    await client.confirm_binding(begun.id, code)
    return await identity(client)


async def leave(client: RegistrarClient) -> Identity:
    """Let this key act for its account no more; does nothing when it acts for none."""
    known = await identity(client)
    if known.account is None:
        return known
    await client.unbind()
    return await identity(client)
