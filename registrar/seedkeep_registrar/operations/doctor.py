"""``registrar doctor``: what an operator should look at before others rely on this registrar.

Looks at the settings, the data folder, the database, the mail server, and at the registrar itself through its
public URL, as the world would. Changes nothing and sends no mail.
"""

from __future__ import annotations

import asyncio
import resource
import shutil
import stat
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import aiohttp
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from seedkeep.core import jcs
from seedkeep.core.errors import Error, InvalidInput
from seedkeep.core.keys import PrivateKey
from seedkeep.core.log.checkpoint import Checkpoint
from seedkeep.core.log.tiles import Places, root_of_tiles, tiles_of_root
from seedkeep.core.notes import Verifier
from seedkeep.core.origin import origin_of
from seedkeep.core.units import print_size
from seedkeep_registrar import migrations, times
from seedkeep_registrar.identity import KEY_FILE
from seedkeep_registrar.mail.smtp import MailServer
from seedkeep_registrar.operations.snapshot import schema_of
from seedkeep_registrar.settings import Settings
from seedkeep_registrar.store import peers, trees
from seedkeep_registrar.store.events import OWN
from seedkeep_registrar.store.peers import Peer

OK, WARNING, FAILURE = "ok", "warning", "failure"
_PATIENCE = aiohttp.ClientTimeout(total=10)
_MAX_ANSWER = 64 * 1024
_MAX_SKEW_S = 60
_TEST_NAAN = "99999"
_HANDLES = 4096


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at: ``level`` is ok, warning or failure."""

    level: str
    about: str
    what: str
    hint: str = ""


async def examine(settings: Settings, engine: Engine, now: float) -> AsyncIterator[Finding]:
    """Look at everything, one after the other."""
    for finding in await asyncio.to_thread(_data_folder, settings):
        yield finding
    for finding in await asyncio.to_thread(_database, engine):
        yield finding
    for finding in _settings(settings):
        yield finding
    yield await _mail(settings)
    async with aiohttp.ClientSession(timeout=_PATIENCE) as session:
        yield await _public_url(settings, session, now)
        yield await _log(settings, engine, session)
        for peer in await asyncio.to_thread(_peers, engine):
            yield await _peer(peer, session)


def _data_folder(settings: Settings) -> list[Finding]:
    data, about = settings.data, "data folder"
    if not data.is_dir():
        return [Finding(FAILURE, about, f"{data} is not there", "Start the registrar once, or set data.")]
    found = []
    for path, most in ((data, 0o700), (data / KEY_FILE, 0o600)):
        try:
            mode = stat.S_IMODE(path.stat().st_mode)
        except OSError as error:
            found.append(Finding(FAILURE, about, f"{path}: {error.strerror}"))
            continue
        if mode & ~most:
            hint = f"chmod {most:o} {path}"
            found.append(Finding(FAILURE, about, f"{path} can be used by others (mode {mode:o})", hint))
    free = shutil.disk_usage(data).free
    if free < 4 * settings.min_free_bytes:
        hint = "Make room: below min_free_bytes nothing can be registered."
        found.append(Finding(WARNING, about, f"only {print_size(free)} are free on the disk of {data}", hint))
    handles = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if handles < _HANDLES:
        hint = f"Raise the limit to {_HANDLES} or more (systemd: LimitNOFILE=)."
        found.append(Finding(WARNING, "open files", f"a process may open only {handles} files", hint))
    return found or [Finding(OK, about, f"{data}, {print_size(free)} free")]


def _database(engine: Engine) -> list[Finding]:
    about = "database"
    try:
        with engine.connect() as connection:
            kind, present, newest = connection.dialect.name, schema_of(connection), _newest(connection)
    except SQLAlchemyError as error:
        reason = str(getattr(error, "orig", error)).splitlines()[0]
        return [Finding(FAILURE, about, f"it cannot be reached: {reason}", "Look at database_url.")]
    if present != newest:
        hint = "It is brought up to date when the registrar starts; take a snapshot first."
        return [Finding(WARNING, about, f"its schema is {present or 'empty'}, this program's {newest}", hint)]
    found = [Finding(OK, about, f"{kind}, schema {present}")]
    if kind == "sqlite":
        hint = "Set database_url to a PostgreSQL database when it grows, or for several processes."
        found.append(Finding(OK, about, "SQLite serves one process", hint))
    return found


def _newest(connection: Connection) -> str:
    return ScriptDirectory.from_config(migrations.config_for(connection)).get_current_head() or ""


def _settings(settings: Settings) -> list[Finding]:
    found = []
    if settings.naan == _TEST_NAAN:
        hint = "Get one from https://arks.org (free), and set naan before you register what should last."
        found.append(
            Finding(WARNING, "naan", f"{_TEST_NAAN} is for tests: its ARKs name nothing lasting", hint)
        )
    if len(set(settings.curators)) < 2:
        hint = "Name two or more curators, so that no single person can remove data."
        found.append(
            Finding(WARNING, "curators", f"{len(set(settings.curators))} named in the settings", hint)
        )
    if not settings.name or not settings.institution:
        hint = "Set name and institution: every page shows them."
        found.append(Finding(WARNING, "name", "the pages do not say who runs this registrar", hint))
    if not settings.public_url:
        hint = "Set public_url: the names of records and of the log are made from it, and can never change."
        found.append(Finding(FAILURE, "public_url", "it is not set", hint))
    elif not settings.public_url.startswith("https://"):
        hint = "Put it behind nginx with a certificate, see configs/nginx.conf."
        found.append(Finding(WARNING, "public_url", f"{settings.public_url} is not encrypted", hint))
    if settings.public_url.startswith("https://") and not settings.trusted_proxies:
        hint = "Name the proxy in trusted_proxies, or limits count all clients as one."
        found.append(Finding(WARNING, "trusted_proxies", "no reverse proxy is trusted", hint))
    return found


async def _mail(settings: Settings) -> Finding:
    if not settings.smtp_url:
        hint = "Set smtp_url: without it nobody can sign up by e-mail."
        return Finding(WARNING, "mail", "no mail server: mails are printed in the log", hint)
    try:
        await MailServer.parse(settings.smtp_url).reach()
    except Error as error:
        return Finding(FAILURE, "mail", error.what, error.hint)
    return Finding(OK, "mail", "the mail server answers and takes the password")


async def _public_url(settings: Settings, session: aiohttp.ClientSession, now: float) -> Finding:
    about, url = "public_url", settings.public_url.rstrip("/")
    if not url:
        return Finding(WARNING, about, "nothing to look at")
    try:
        said = await _discover(url, session)
        key = PrivateKey.from_pem(await asyncio.to_thread((settings.data / KEY_FILE).read_bytes))
        if said.get("vkey") != str(Verifier(origin_of(url), key.public)):
            hint = "Another registrar, or another data folder, answers there."
            return Finding(FAILURE, about, f"{url} answers with another key than the one in data", hint)
        skew = abs(times.seconds(said["now"]) - now)
    except (aiohttp.ClientError, TimeoutError, OSError, Error, KeyError) as error:
        hint = "Start the registrar, and look at DNS, proxy and certificate."
        return Finding(FAILURE, about, f"{url} does not answer as this registrar: {error or 'timeout'}", hint)
    if skew > _MAX_SKEW_S:
        hint = "Keep it in time (NTP): signed requests are refused over 300 s."
        return Finding(FAILURE, "clock", f"{url} is {skew:.0f} s away from this clock", hint)
    return Finding(OK, about, f"{url} answers with this registrar's key")


async def _log(settings: Settings, engine: Engine, session: aiohttp.ClientSession) -> Finding:
    """Whether the head of the log is what its tiles give, and what the public URL shows."""
    about, url = "log", f"{settings.public_url.rstrip('/')}/log/checkpoint"
    try:
        newest, root = await asyncio.to_thread(_sealed, engine)
    except (SQLAlchemyError, KeyError, InvalidInput) as error:
        hint = "See what `seedkeep registrar check` finds, and restore a snapshot."
        return Finding(FAILURE, about, f"its tiles cannot be read: {type(error).__name__}", hint)
    if newest is None:
        return Finding(WARNING, about, "it has no checkpoint yet", "Start the registrar once.")
    if newest.root != root:
        hint = "See what `seedkeep registrar check` finds, and restore a snapshot."
        return Finding(FAILURE, about, f"its tiles contradict its checkpoint of {newest.size} events", hint)
    try:
        key = PrivateKey.from_pem(await asyncio.to_thread((settings.data / KEY_FILE).read_bytes))
        async with session.get(url, allow_redirects=False) as answer:
            answer.raise_for_status()
            note = await answer.content.read(_MAX_ANSWER)
        shown = Checkpoint.open(note, Verifier(origin_of(settings.public_url), key.public))
    except (aiohttp.ClientError, TimeoutError, OSError, Error) as error:
        hint = "The proxy has to pass on everything below /log."
        return Finding(FAILURE, about, f"{url} does not show this registrar's log: {error}", hint)
    if shown.size < newest.size:
        hint = "Something between caches the checkpoint: it must not be kept for more than some seconds."
        return Finding(WARNING, about, f"{url} shows {shown.size} of {newest.size} events", hint)
    return Finding(OK, about, f"{newest.size} events, sealed and shown")


def _sealed(engine: Engine) -> tuple[trees.Signed | None, bytes]:
    """The newest checkpoint, and the root that the tiles give for its size."""
    with engine.connect() as connection:
        newest = trees.newest(connection, OWN)
        size = newest.size if newest else 0
        tiles = trees.tiles(connection, OWN, [tile.place for tile in tiles_of_root(size)])
        return newest, root_of_tiles(Places(tiles), size)


def _peers(engine: Engine) -> list[Peer]:
    try:
        with engine.connect() as connection:
            return peers.every(connection, peers.ACTIVE, peers.DISTRUSTED)
    except SQLAlchemyError:
        return []  # of an older version, or out of reach: told already


async def _peer(peer: Peer, session: aiohttp.ClientSession) -> Finding:
    about = f"peer {peer.origin}"
    if peer.state == peers.DISTRUSTED:
        return Finding(FAILURE, about, "it was caught lying: see /federation", "Ask its operators.")
    if peer.unheard:
        return Finding(
            FAILURE,
            about,
            "a backup was restored: nothing is registered before it has said how far the log was",
            f"Start the registrar. If this one is gone for good: seedkeep registrar peer pause {peer.origin}",
        )
    try:
        said = await _discover(peer.url, session)
    except (aiohttp.ClientError, TimeoutError, Error) as error:
        return Finding(
            WARNING, about, f"{peer.url} does not answer: {error or 'timeout'}", "Ask its operator."
        )
    if said.get("vkey") != peer.vkey:
        return Finding(
            FAILURE, about, "it answers with another key than the one pinned", "Ask its operators."
        )
    return Finding(OK, about, f"it answers with its key; {peer.stored} of its events are here")


async def _discover(url: str, session: aiohttp.ClientSession) -> dict[str, Any]:
    async with session.get(f"{url}/.well-known/seedkeep", allow_redirects=False) as answer:
        answer.raise_for_status()
        said = jcs.loads(await answer.content.read(_MAX_ANSWER), limit=_MAX_ANSWER)
        return said if isinstance(said, dict) else {}
