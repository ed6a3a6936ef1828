"""Signing in by e-mail: a link and a code, good once and for 15 minutes; every address gets the same answer.

A person who signs in for the first time gets an account, unless ``sign_up = "closed"``. What it may do:

* everything, when the address is one of ``operator_emails`` (looked at with every sign-in);
* what a member may, unless this registrar takes datasets from members only: there people begin as visitors,
  except those of ``member_domains``, until an operator makes them members.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection

from seedkeep_registrar.accounts import codes
from seedkeep_registrar.context import Registrar
from seedkeep_registrar.mail.address import parse_address
from seedkeep_registrar.mail.templates import Secret
from seedkeep_registrar.settings import CLOSED, MEMBERS, Settings
from seedkeep_registrar.store import account_keys, accounts, mails, sign_in_codes
from seedkeep_registrar.store.accounts import Account, Role
from seedkeep_registrar.store.mails import Letter
from seedkeep_registrar.store.sign_in_codes import SignInCode

CODE_S = 900.0
#: mails of a kind to one address within the time that a code lives; more are not sent, and nobody is told
MAILS_TO_ONE = 5
_NEXT_MAX = 500


@dataclass(frozen=True, slots=True)
class SignedIn:
    """Whose link or code it was, and the path to go to (or "")."""

    account: Account
    next: str


def normal_email(text: str) -> str:
    """The address by which an account is known: case-folded.

    Raises:
        InvalidInput: it is no address.
    """
    return parse_address(text).lower()


def safe_path(text: str) -> str:
    """A path on this registrar that somebody may be sent on to; "" for anything else."""
    plain = text.isascii() and text.isprintable() and " " not in text and "\\" not in text
    return text if plain and len(text) <= _NEXT_MAX and text.startswith("/") and text[1:2] != "/" else ""


async def ask(registrar: Registrar, email: str, *, next: str = "", key: str = "", label: str = "") -> str:
    """Mail a link and a code, if somebody may sign in with this address; the answer does not tell.

    Args:
        email: see :func:`normal_email`.
        next: path to go to afterwards.
        key: mail a code that binds this key to the account, instead.
        label: how that key's machine calls itself.

    Returns:
        The secret that has to come with the code.
    """
    held, link = (codes.secret(registrar.random(codes.SECRET_BYTES)) for _ in range(2))
    code, now = codes.code(registrar.random(codes.CODE_BYTES)), registrar.clock()
    asked = SignInCode(
        id_sha256=codes.digest(held),
        link_sha256=codes.digest(link),
        code_sha256=codes.digest(held, code),
        email=email,
        key=key,
        label=label,
        next=safe_path(next),
        attempts=0,
        created=now,
        expires=now + CODE_S,
        used=None,
    )
    context = {
        "email": email,
        "minutes": int(CODE_S // 60),
        "code": Secret(codes.shown_code(code)),
        "url": Secret(f"{registrar.public_url}/sign-in/link/{link}"),
        "key": key,
        "label": label,
    }
    template = "bind_key" if key else "sign_in"
    letter = registrar.mailer.write(email, template, context, within_s=CODE_S)
    await registrar.db.write(_ask, registrar.settings, asked, letter)
    registrar.mailer.wake()
    return held


def _ask(connection: Connection, settings: Settings, asked: SignInCode, letter: Letter) -> None:
    account = accounts.by_email(connection, asked.email)
    welcome = not account.disabled if account else may_sign_up(settings, asked.email)
    mailed = sign_in_codes.count_mailed(connection, asked, asked.created - CODE_S)
    if welcome and mailed < MAILS_TO_ONE:
        sign_in_codes.add(connection, asked)
        mails.add(connection, letter)
    else:  # as much work, for nothing: time is not to tell either
        sign_in_codes.add_unmailed(connection, asked)


def may_sign_up(settings: Settings, email: str) -> bool:
    """Whether somebody with this address may make an account by themselves."""
    return settings.sign_up != CLOSED or _is_operator(settings, email)


def _is_operator(settings: Settings, email: str) -> bool:
    return email in {normal_email(e) for e in settings.operator_emails}


def first_role(settings: Settings, email: str) -> Role:
    """What somebody may do who comes for the first time.

    Args:
        email: an address that was proven to be theirs, or "".
    """
    if _is_operator(settings, email):
        return Role.OPERATOR
    domains = {domain.lower().lstrip("@") for domain in settings.member_domains}
    known = email.rpartition("@")[2] in domains
    return Role.MEMBER if known or settings.registration != MEMBERS else Role.VISITOR


def arrive(
    connection: Connection, settings: Settings, email: str, now: float, name: str = ""
) -> Account | None:
    """The account of somebody who has proven that an address is theirs, made if need be.

    Returns:
        None when they may not sign in: the account is disabled, or there is none and may be none.
    """
    account = accounts.by_email(connection, email)
    if account is None:
        if not may_sign_up(settings, email):
            return None
        role = first_role(settings, email)
        account = accounts.create(connection, email=email, role=role, now=now, name=name)
    if account.disabled:
        return None
    values: dict[str, object] = {"last_seen": now}
    if _is_operator(settings, email):
        values["role"] = int(Role.OPERATOR)
    return accounts.change(connection, account.id, values)


async def look_at_link(registrar: Registrar, link: str) -> SignInCode | None:
    """What a mailed link would do; None when it is used up."""
    if not codes.is_secret(link):
        return None
    found = await registrar.db.read(sign_in_codes.by_link, codes.digest(link), registrar.clock())
    return found if found is not None and not found.key else None


async def redeem_link(registrar: Registrar, link: str) -> SignedIn | None:
    """Use up a mailed link; None when it opens nothing (any more)."""
    if await look_at_link(registrar, link) is None:
        return None
    return await registrar.db.write(_redeem_link, registrar, codes.digest(link))


def _redeem_link(connection: Connection, registrar: Registrar, link_sha256: str) -> SignedIn | None:
    now = registrar.clock()
    return _enter(connection, registrar, sign_in_codes.redeem_link(connection, link_sha256, now), now)


async def redeem_code(registrar: Registrar, held: str, typed: str, key: str = "") -> SignedIn | None:
    """Use up a mailed code; None when it is wrong or opens nothing (any more).

    Args:
        held: what :func:`ask` gave.
        key: the key that the code was asked for by; it is bound to the account then.

    Raises:
        Conflict: the key acts for another account.
    """
    code = codes.typed_code(typed)
    if not codes.is_secret(held) or not code:
        return None
    return await registrar.db.write(
        _redeem_code, registrar, codes.digest(held), codes.digest(held, code), key
    )


def _redeem_code(
    connection: Connection, registrar: Registrar, id_sha256: str, code_sha256: str, key: str
) -> SignedIn | None:
    now = registrar.clock()
    found = sign_in_codes.redeem_code(connection, id_sha256, code_sha256, key, now)
    entered = _enter(connection, registrar, found, now)
    if found is not None and entered is not None and key:
        account_keys.bind(connection, key, entered.account.id, found.label, now)
    return entered


def _enter(
    connection: Connection, registrar: Registrar, found: SignInCode | None, now: float
) -> SignedIn | None:
    if found is None:
        return None
    account = arrive(connection, registrar.settings, found.email, now)
    return SignedIn(account, found.next) if account else None
