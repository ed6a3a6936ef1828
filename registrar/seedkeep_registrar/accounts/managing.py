"""What people may change of their account, and operators of others'; the rules behind API and pages."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Connection

from seedkeep.core import metadata
from seedkeep.core.errors import Conflict, InvalidInput, NotFound, Refused
from seedkeep_registrar.accounts import codes
from seedkeep_registrar.accounts.principal import SCOPES, Principal, role_of_key
from seedkeep_registrar.accounts.sign_in import first_role, normal_email
from seedkeep_registrar.context import Registrar
from seedkeep_registrar.store import account_keys, accounts, api_tokens, sessions
from seedkeep_registrar.store.accounts import Account, Role
from seedkeep_registrar.store.api_tokens import Token

MAX_NAME = 200
MAX_TOKENS = 50
MAX_TOKEN_DAYS = 366
_DAY_S = 86400.0


@dataclass(frozen=True, slots=True)
class Profile:
    """What people say of themselves; see :class:`seedkeep_registrar.store.accounts.Account`."""

    name: str
    orcid: str
    institution: str
    ror: str


def profile(name: str, orcid: str, institution: str, ror: str) -> Profile:
    """A profile from what somebody typed.

    Raises:
        InvalidInput: a text is too long or has control characters, or an identifier has a typing error.
    """
    return Profile(
        name=line(name, "the name"),
        orcid=metadata.orcid(orcid) if orcid.strip() else "",
        institution=line(institution, "the institution"),
        ror=metadata.ror(ror) if ror.strip() else "",
    )


def line(text: str, what: str, limit: int = MAX_NAME) -> str:
    """One line of text, without spaces around it.

    Raises:
        InvalidInput: it is longer than ``limit`` characters or has control characters.
    """
    found = text.strip()
    if len(found) > limit or not found.isprintable():
        raise InvalidInput(f"{what} is not one line of at most {limit} characters")
    return found


def role(word: str) -> Role:
    """A role by its name.

    Raises:
        InvalidInput: there is none of this name.
    """
    for one in Role:
        if one.word == word:
            return one
    raise InvalidInput(f"there is no role {word[:40]!r}", hint="Write visitor, member, curator or operator.")


async def change_profile(registrar: Registrar, account: Account, new: Profile) -> Account:
    """Write a profile down."""
    values = {"name": new.name, "orcid": new.orcid, "institution": new.institution, "ror": new.ror}
    changed = await registrar.db.write(accounts.change, account.id, values)
    assert changed is not None
    return changed


async def set_queue_mails(registrar: Registrar, account: Account, *, wanted: bool) -> Account:
    """Whether somebody, as a curator, is mailed what comes into the queue."""
    changed = await registrar.db.write(accounts.change, account.id, {"queue_mails": wanted})
    assert changed is not None
    return changed


async def add_account(registrar: Registrar, email: str, name: str, given: Role | None) -> Account:
    """Make an account for somebody else, who signs in by e-mail later.

    Args:
        given: their role; None: what they would begin with by themselves.

    Raises:
        InvalidInput: the address is none.
        Conflict: there is one.
    """
    address = normal_email(email)
    begins = first_role(registrar.settings, address) if given is None else given
    return await registrar.db.write(_add, address, line(name, "the name"), begins, registrar.clock())


def _add(connection: Connection, email: str, name: str, given: Role, now: float) -> Account:
    if accounts.by_email(connection, email) is not None:
        raise Conflict(f"there is an account for {email} already")
    return accounts.create(connection, email=email, role=given, now=now, name=name)


async def govern(
    registrar: Registrar,
    operator: Principal,
    account_id: int,
    *,
    given: Role | None = None,
    disabled: bool | None = None,
) -> Account:
    """Change what somebody may do; it counts at once, also for storage managers that use one of their keys.

    Args:
        operator: who decides; never about themselves, so that an operator always remains.
        given: the new role; None leaves it.
        disabled: True also ends all sessions and tokens; None leaves it.

    Raises:
        NotFound: there is no such account.
        Refused: it is the operator's own, or was deleted by its person.
    """
    if operator.account is not None and operator.account.id == account_id:
        raise Refused("nobody can change what they themselves may do", hint="Ask another operator.")
    values: dict[str, object] = {}
    if given is not None:
        values["role"] = int(given)
    if disabled is not None:
        values["disabled"] = disabled
    return await registrar.db.write(_govern, account_id, values, registrar.clock())


def _govern(connection: Connection, account_id: int, values: dict[str, object], now: float) -> Account:
    known = accounts.by_id(connection, account_id)
    if known is not None and known.deleted is not None:
        raise Refused("this account was deleted by its person, nothing of it can be changed")
    changed = (
        accounts.change(connection, account_id, values) if values else accounts.by_id(connection, account_id)
    )
    if changed is None:
        raise NotFound(f"there is no account {account_id}")
    if changed.disabled:
        sessions.end_all(connection, account_id)
        api_tokens.revoke_all(connection, account_id, now)
    return changed


async def remove_key(registrar: Registrar, account: Account, key: str) -> bool:
    """Let a key act for an account no longer; whether it did.

    Raises:
        Refused: the settings name it as a curator's or operator's: without the account it would be another
            person, who could agree with the first.
    """
    if role_of_key(registrar.settings, key) >= Role.CURATOR:
        raise Refused(
            "the registrar's settings name this key, so it stays with its person",
            hint="Ask the operator to take it out of the settings first.",
        )
    return await registrar.db.write(account_keys.unbind, key, account.id)


async def make_token(
    registrar: Registrar, account: Account, *, name: str, scopes: Iterable[str], days: int
) -> tuple[Token, str]:
    """A new token, and its secret, which is shown this once.

    Args:
        days: after which it no longer works.

    Raises:
        InvalidInput: no name, no scope or an unknown one, or a time out of range.
        Conflict: the account has as many tokens as it may have.
    """
    called, wanted = line(name, "the name of the token", 100), set(scopes)
    if not called:
        raise InvalidInput("the token has no name", hint="Say what it is for.")
    if not wanted or wanted - set(SCOPES):
        raise InvalidInput("choose one or more scopes", hint=f"There are {', '.join(SCOPES)}.")
    if not 1 <= days <= MAX_TOKEN_DAYS:
        raise InvalidInput(f"a token works for 1 to {MAX_TOKEN_DAYS} days")
    secret, now = codes.token(registrar.random(codes.SECRET_BYTES)), registrar.clock()
    token = Token(
        id=registrar.random(8).hex(),
        account_id=account.id,
        name=called,
        scopes=tuple(scope for scope in SCOPES if scope in wanted),
        created=now,
        expires=now + days * _DAY_S,
        last_used=None,
        revoked=None,
    )
    await registrar.db.write(_add_token, token, codes.digest(secret))
    return token, secret


def _add_token(connection: Connection, token: Token, token_sha256: str) -> None:
    if len(api_tokens.of_account(connection, token.account_id)) >= MAX_TOKENS:
        raise Conflict(f"this account has {MAX_TOKENS} tokens", hint="Revoke those that are not needed.")
    api_tokens.add(connection, token, token_sha256)
