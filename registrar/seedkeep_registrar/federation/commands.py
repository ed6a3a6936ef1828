"""``seedkeep registrar peer …``: on the registrar's machine, also while it runs."""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import asdict
from typing import Any

import click
from sqlalchemy import Connection

from seedkeep.core.errors import Conflict, NotFound, Refused, UsageError
from seedkeep.core.keys import PrivateKey
from seedkeep.core.origin import origin_of
from seedkeep_registrar import authorities, times
from seedkeep_registrar.federation import consent
from seedkeep_registrar.federation.client import MAX_DOCUMENT, Introduction, PeerClient, introduced
from seedkeep_registrar.federation.reading import fingerprint
from seedkeep_registrar.operations.command_line import common_options, settings_of, show
from seedkeep_registrar.operations.reading import reading
from seedkeep_registrar.operations.writing import noted, writing
from seedkeep_registrar.store import backlog, events, mirrors, peers
from seedkeep_registrar.store.peers import Peer

_NEXT = {
    peers.ASKED: "it is asked to agree; its operator has to add this registrar, too",
    peers.ACTIVE: "both sides agree: it is followed from now on",
}
_MOST_PROBLEMS = 200


@click.group()
def peer() -> None:
    """Other registrars, which mirror this one's log and cosign it, and which this one mirrors."""


@peer.command()
@click.argument("url")
@click.option("--fingerprint", "expected", metavar="TEXT", help="Of its key, as its operator says it.")
@click.option("--yes", is_flag=True, help="Do not ask whether the key is the right one.")
@common_options
def add(url: str, expected: str | None, *, yes: bool, as_json: bool, quiet: bool, **where: Any) -> None:
    """Agree to follow the registrar at URL; its operator has to add this one, too.

    Its key is kept: whatever it signs later has to be signed with that one.
    """
    settings = settings_of(**where)
    origin_of(url)
    found = asyncio.run(_introduction(url.rstrip("/")))
    printed = fingerprint(found.verifier.key)
    if expected is not None:
        if "".join(expected.split()).lower() != printed.replace(" ", ""):
            raise Refused(
                f"{found.verifier.name} has a key with the fingerprint {printed}, which is another one",
                hint="Ask its operator again; if it should be another one, somebody is in between.",
            )
    elif not yes:
        if as_json:
            raise UsageError("it has to be said whether the key is right", hint="Add --fingerprint or --yes.")
        click.echo(f"{found.verifier.name} has a key with the fingerprint {printed}")
        click.confirm("Is it what its operator says?", abort=True)
    with writing(settings.sqlalchemy_url) as connection:
        if events.log_state(connection).origin == found.verifier.name:
            raise UsageError("this registrar does not follow itself")
        made = consent.wanted_by_operator(
            connection, found.verifier, url=found.url, naan=found.naan, now=time.time()
        )
        noted(connection, "peer.added", made.origin, printed)
    show(_document(made, 0), f"{made.origin}: {_NEXT.get(made.state, made.state)}", as_json=as_json)


async def _introduction(url: str) -> Introduction:
    http = PeerClient(PrivateKey(os.urandom(32)), time.time, os.urandom)  # nothing is signed with it
    try:
        got = await http.get(f"{url}/.well-known/seedkeep", limit=MAX_DOCUMENT)
        return introduced(url, got.body)
    finally:
        await http.close()


@peer.command(name="list")
@common_options
def list_(*, as_json: bool, quiet: bool, **where: Any) -> None:
    """Show all of them, and how each one stands."""
    settings = settings_of(**where)
    with reading(settings.sqlalchemy_url) as connection:
        every, waiting = peers.every(connection), mirrors.waiting(connection)
    shown = [_document(one, waiting.get(one.id, 0)) for one in every]
    lines = [_line(one, waiting.get(one.id, 0)) for one in every]
    show({"peers": shown}, "\n".join(lines) or "no other registrar is known here", as_json=as_json)


@peer.command()
@common_options
def problems(*, as_json: bool, quiet: bool, **where: Any) -> None:
    """Show what other registrars have recorded and what does not count here, and why; the newest first."""
    settings = settings_of(**where)
    with reading(settings.sqlalchemy_url) as connection:
        found = backlog.problems(connection, _MOST_PROBLEMS)
    lines = [
        f"{one.state:<8} {one.origin or 'this log'} {one.index}, {one.type} of {one.rid[:12]}…: {one.problem}"
        for one in found
    ]
    text = "".join(c if c.isprintable() or c == "\n" else "?" for c in "\n".join(lines))
    show({"problems": [asdict(one) for one in found]}, text or "everything counts", as_json=as_json)


def _document(one: Peer, waiting: int) -> dict[str, Any]:
    return {
        "origin": one.origin,
        "url": one.url,
        "vkey": one.vkey,
        "fingerprint": fingerprint(one.verifier.key),
        "state": one.state,
        "taint_mode": one.taint_mode,
        "events": one.stored,
        "waiting": waiting,
        "seen": times.text(one.last_ok) if one.last_ok else "",
        "problem": one.problem,
    }


def _line(one: Peer, waiting: int) -> str:
    kept = f"{one.stored} events" + (f", {waiting} of them wait" if waiting else "")
    seen = f"seen {times.text(one.last_ok)}" if one.last_ok else "not seen yet"
    wrong = f"\n    {one.problem}" if one.problem else ""
    text = f"{one.state:<10} {one.origin}  {fingerprint(one.verifier.key)}  {kept}, {seen}{wrong}"
    return "".join(c if c.isprintable() or c == "\n" else "?" for c in text)


@peer.command()
@click.argument("origin")
@click.argument("mode", type=click.Choice(peers.TAINT_MODES))
@common_options
def taints(origin: str, mode: str, *, as_json: bool, quiet: bool, **where: Any) -> None:
    """Choose what becomes of what ORIGIN taints.

    binding: it counts as if it were tainted here. advisory: it is shown. draft: it waits for a curator. What
    it taints of its own records counts in any case. To choose again lets count what waits after a flood.
    """
    settings = settings_of(**where)
    with writing(settings.sqlalchemy_url) as connection:
        known = _known(connection, origin)
        authorities.follow(connection, settings, known, mode, now=time.time())
        noted(connection, "peer.taints", known.origin, mode)
    show({"origin": known.origin, "taint_mode": mode}, f"{known.origin}: {mode}", as_json=as_json)


def _known(connection: Connection, origin: str) -> Peer:
    known = peers.by_origin(connection, origin_of(origin) if "://" in origin else origin)
    if known is None:
        raise NotFound(f"no registrar {origin} is known here", hint="See `peer list`.")
    return known


def _change(name: str, help_: str, action: str, before: tuple[str, ...], after: str) -> None:
    @peer.command(name=name, help=help_)
    @click.argument("origin")
    @common_options
    def change(origin: str, *, as_json: bool, quiet: bool, **where: Any) -> None:
        settings = settings_of(**where)
        with writing(settings.sqlalchemy_url) as connection:
            known = _known(connection, origin)
            if known.state not in before:
                raise Conflict(
                    f"{known.origin} is {known.state}; `peer {name}` is for what is {' or '.join(before)}",
                    hint="See `peer list`.",
                )
            if after == peers.REMOVED and known.state == peers.PROPOSED:
                peers.drop(connection, known.id)
            else:
                peers.set_state(connection, known.id, after)
            noted(connection, action, known.origin, "")
            now = peers.by_id(connection, known.id)
        state = now.state if now else "forgotten"
        show({"origin": known.origin, "state": state}, f"{known.origin} is {state}", as_json=as_json)


_change(
    "pause",
    "Follow ORIGIN no more for now; what it has recorded stays.",
    "peer.paused",
    (peers.ACTIVE,),
    peers.PAUSED,
)
_change(
    "resume",
    "Follow ORIGIN again, with the key that was pinned, or those that followed from it.",
    "peer.resumed",
    (peers.PAUSED, peers.REMOVED),
    peers.ACTIVE,
)
_change(
    "remove",
    "End it with ORIGIN; what it has recorded stays.",
    "peer.removed",
    (peers.PROPOSED, peers.ASKED, peers.ACTIVE, peers.PAUSED, peers.DISTRUSTED),
    peers.REMOVED,
)
_change(
    "trust",
    "Follow ORIGIN again although it was caught lying; the evidence stays.",
    "peer.trusted",
    (peers.DISTRUSTED,),
    peers.ACTIVE,
)
