"""Changing the e-mail address of an account: a code proves the new one, and the old one is told."""

from __future__ import annotations

from sqlalchemy import Connection

from seedkeep.core.errors import Conflict, InvalidInput
from seedkeep_registrar.accounts import codes, sign_in
from seedkeep_registrar.accounts.sign_in import CODE_S, MAILS_TO_ONE
from seedkeep_registrar.context import Registrar
from seedkeep_registrar.mail.templates import Secret
from seedkeep_registrar.store import accounts, mails, sign_in_codes
from seedkeep_registrar.store.accounts import Account
from seedkeep_registrar.store.mails import Letter
from seedkeep_registrar.store.sign_in_codes import SignInCode


async def ask(registrar: Registrar, account: Account, typed: str) -> tuple[str, str]:
    """Mail a code to a new address, unless somebody else has it, which the answer does not tell.

    Returns:
        The secret that has to come with the code, and the address as it will be kept.

    Raises:
        InvalidInput: it is no address, or the account's already.
    """
    email = sign_in.normal_email(typed)
    if email == account.email:
        raise InvalidInput("this is your address already")
    held, unsent = (codes.secret(registrar.random(codes.SECRET_BYTES)) for _ in range(2))
    code, now = codes.code(registrar.random(codes.CODE_BYTES)), registrar.clock()
    asked = SignInCode(
        id_sha256=codes.digest(held),
        link_sha256=codes.digest(unsent),
        code_sha256=codes.digest(held, code),
        email=email,
        key="",
        label="",
        next="",
        attempts=0,
        created=now,
        expires=now + CODE_S,
        used=None,
        account_id=account.id,
    )
    context = {"email": email, "minutes": int(CODE_S // 60), "code": Secret(codes.shown_code(code))}
    letter = registrar.mailer.write(email, "change_email", context, within_s=CODE_S)
    await registrar.db.write(_ask, asked, letter)
    registrar.mailer.wake()
    return held, email


def _ask(connection: Connection, asked: SignInCode, letter: Letter) -> None:
    taken = accounts.by_email(connection, asked.email) is not None
    mailed = sign_in_codes.count_mailed(connection, asked, asked.created - CODE_S)
    if not taken and mailed < MAILS_TO_ONE:
        sign_in_codes.add(connection, asked)
        mails.add(connection, letter)
    else:  # as much work, for nothing: time is not to tell either
        sign_in_codes.add_unmailed(connection, asked)


async def confirm(registrar: Registrar, account: Account, held: str, typed: str) -> Account | None:
    """Take the new address by its code; None when the code is wrong or opens nothing (any more).

    Args:
        held: what :func:`ask` gave.

    Raises:
        Conflict: somebody has made an account with this address meanwhile.
    """
    code = codes.typed_code(typed)
    if not codes.is_secret(held) or not code:
        return None
    changed = await registrar.db.write(
        _confirm, registrar, account.id, codes.digest(held), codes.digest(held, code)
    )
    registrar.mailer.wake()
    return changed


def _confirm(
    connection: Connection, registrar: Registrar, account_id: int, id_sha256: str, code_sha256: str
) -> Account | None:
    now = registrar.clock()
    found = sign_in_codes.redeem_code(connection, id_sha256, code_sha256, "", now, account_id)
    before = accounts.by_id(connection, account_id)
    if found is None or before is None or before.disabled:
        return None
    if accounts.by_email(connection, found.email) is not None:
        raise Conflict("this address belongs to another account")
    if before.email:
        mails.add(connection, registrar.mailer.write(before.email, "email_changed", {"email": before.email}))
    return accounts.change(connection, account_id, {"email": found.email})
