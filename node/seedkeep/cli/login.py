"""``seedkeep login``, ``logout`` and ``whoami``: whose key this machine's is."""

from __future__ import annotations

import os
from collections.abc import Sequence

import click

from seedkeep import login as signing_in
from seedkeep.cli.output import Output
from seedkeep.cli.running import json_option, registrar_option, run
from seedkeep.core.errors import Refused
from seedkeep.login import Begun, Identity

#: how often a mistyped code is asked for again
_TRIES = 5


@click.command()
@click.option("--email", default="", metavar="ADDRESS", help="Mail me a code, instead of using a browser.")
@registrar_option
@json_option
def login(email: str, registrars: tuple[str, ...], as_json: bool, quiet: bool) -> None:
    """Bind this machine's key to your account at a registrar.

    What the key signs counts as yours from then on, with the rights that you have there.
    """
    output = Output(as_json=as_json, quiet=quiet)
    known = _by_mail(email, registrars, output) if email else run(_by_browser(registrars, output))
    output.result(known.fields(), known.sentence())


async def _by_browser(registrars: Sequence[str], output: Output) -> Identity:
    from seedkeep.user import open_user

    async with open_user(os.environ, registrars=registrars, signs=True) as user:
        client = await user.resolver.registrar()
        known = await signing_in.identity(client)
        if known.account is not None:
            return known
        begun = await signing_in.begin(client)
        output.instruct(
            f"Open   {begun.url}\nCode   {begun.code}\nKey    {user.key().public}\n"
            "and confirm there that this key is yours. Waiting …"
        )
        return await signing_in.confirmed(client, begun)


def _by_mail(email: str, registrars: Sequence[str], output: Output) -> Identity:
    begun = run(_begin(email, registrars))
    if isinstance(begun, Identity):
        return begun
    output.instruct(f"If you may sign in with {email}, a mail with a code is on its way.")
    for left in reversed(range(_TRIES)):
        # asked for outside of the event loop, so that Ctrl-C ends it
        code = click.prompt("Code from the mail", err=True)
        try:
            return run(_confirm(begun, code, registrars))
        except Refused as error:
            if not left:
                raise
            output.instruct(error.diagnostics())
    raise AssertionError("unreachable")  # pragma: no cover


async def _begin(email: str, registrars: Sequence[str]) -> Begun | Identity:
    from seedkeep.user import open_user

    async with open_user(os.environ, registrars=registrars, signs=True) as user:
        client = await user.resolver.registrar()
        known = await signing_in.identity(client)
        return known if known.account is not None else await signing_in.begin(client, email)


async def _confirm(begun: Begun, code: str, registrars: Sequence[str]) -> Identity:
    from seedkeep.user import open_user

    async with open_user(os.environ, registrars=registrars, signs=True) as user:
        return await signing_in.typed(await user.resolver.registrar(), begun, code)


@click.command()
@registrar_option
@json_option
def logout(registrars: tuple[str, ...], as_json: bool, quiet: bool) -> None:
    """Let this machine's key act for your account no more; the key stays."""
    known = run(_leave(registrars))
    Output(as_json=as_json, quiet=quiet).result(known.fields(), known.sentence())


async def _leave(registrars: Sequence[str]) -> Identity:
    from seedkeep.user import open_user

    async with open_user(os.environ, registrars=registrars) as user:
        return await signing_in.leave(await user.resolver.registrar())


@click.command()
@registrar_option
@json_option
def whoami(registrars: tuple[str, ...], as_json: bool, quiet: bool) -> None:
    """Show whom a registrar takes this machine's key for."""
    known = run(_identity(registrars))
    Output(as_json=as_json, quiet=quiet).result(known.fields(), known.sentence())


async def _identity(registrars: Sequence[str]) -> Identity:
    from seedkeep.user import open_user

    async with open_user(os.environ, registrars=registrars) as user:
        return await signing_in.identity(await user.resolver.registrar())
