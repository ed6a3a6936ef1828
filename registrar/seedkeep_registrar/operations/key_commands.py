"""``seedkeep registrar key show | protect | rotate | finish``: who decides about the registrar's key."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from sqlalchemy import Connection

from seedkeep.core.errors import UsageError
from seedkeep.core.keyring import KeyRing, TrustedKeys
from seedkeep.core.keys import SEED_BYTES, PrivateKey
from seedkeep_registrar import identity, rotation
from seedkeep_registrar.operations.command_line import common_options, settings_of, show
from seedkeep_registrar.operations.reading import reading
from seedkeep_registrar.operations.writing import writing
from seedkeep_registrar.settings import Settings
from seedkeep_registrar.store import events


@click.group()
def key() -> None:
    """The key that signs everything here, and the recovery keys that decide about it."""


def _fields(ring: KeyRing) -> dict[str, Any]:
    return {
        "origin": ring.origin,
        "version": ring.version,
        "online": str(ring.online),
        "vkey": str(ring.verifier),
        "recovery": sorted(str(key) for key in ring.recovery),
        "threshold": ring.threshold,
        "protected": ring.recovery != (ring.online,),
    }


def _words(ring: KeyRing) -> str:
    if ring.recovery == (ring.online,):
        decides = "whoever has it decides about it: `seedkeep registrar key protect` changes that"
    else:
        decides = f"{ring.threshold} of {len(ring.recovery)} recovery keys decide about it"
    return f"{ring.verifier}\nversion {ring.version}; {decides}"


def _keys(connection: Connection, settings: Settings) -> tuple[TrustedKeys, PrivateKey]:
    present = rotation.private_key(settings.data / identity.KEY_FILE)
    origin = events.log_state(connection).origin
    return rotation.trusted_keys(connection, origin, present.public), present


@key.command(name="show")
@common_options
def show_key(*, as_json: bool, quiet: bool, **where: Any) -> None:
    """Show the key, its version, and who decides about it."""
    settings = settings_of(**where)
    with reading(settings.sqlalchemy_url) as connection:
        ring = _keys(connection, settings)[0].ring
    show(_fields(ring), _words(ring), as_json=as_json)


def _signing(command: Callable[..., None]) -> Callable[..., None]:
    return click.option(
        "--sign",
        "signers",
        type=click.Path(path_type=Path),
        multiple=True,
        metavar="FILE",
        help="Private recovery key (PEM) that agrees; as many as are needed.",
    )(command)


@contextmanager
def _stopped(settings: Settings) -> Iterator[Connection]:
    """The database of a registrar that does not run meanwhile."""
    handle = identity.lock_folder(settings.data, shared=False)
    try:
        with writing(settings.sqlalchemy_url) as connection:
            yield connection
    finally:
        os.close(handle)


@key.command()
@click.argument("recovery", nargs=-1, required=True, metavar="KEY...")
@click.option("--threshold", type=int, required=True, help="How many of them have to agree.")
@_signing
@common_options
def protect(
    recovery: tuple[str, ...],
    threshold: int,
    signers: tuple[Path, ...],
    *,
    as_json: bool,
    quiet: bool,
    **where: Any,
) -> None:
    """Let KEY... decide about the registrar's key from now on: recovery keys, printed or as PEM files.

    They are kept away from this machine, by several people. Those of now agree, and a threshold of the new
    ones (give their PEM files with --sign). `seedkeep key new` makes such keys.
    """
    settings = settings_of(**where)
    keys = [rotation.public_key(one) for one in recovery]
    with _stopped(settings) as connection:
        trusted, present = _keys(connection, settings)
        ring = rotation.advance(
            connection,
            trusted,
            present,
            online=present,
            recovery=keys,
            threshold=threshold,
            signers=[rotation.private_key(place) for place in signers],
            now=time.time(),
        )
    show(_fields(ring), _words(ring), as_json=as_json)


@key.command()
@_signing
@common_options
def rotate(signers: tuple[Path, ...], *, as_json: bool, quiet: bool, **where: Any) -> None:
    """Make a new key for the registrar, which must be stopped; clients and nodes follow by themselves.

    What the old key signs from then on counts nowhere. The recovery keys stay.
    """
    settings = settings_of(**where)
    agreeing = [rotation.private_key(place) for place in signers]
    with _stopped(settings) as connection:
        rotation.finish(connection, settings.data)
        trusted, present = _keys(connection, settings)
        old = trusted.ring
        protected = old.recovery != (old.online,)
        ring = rotation.advance(
            connection,
            trusted,
            present,
            online=rotation.prepare(settings.data, secrets.token_bytes(SEED_BYTES)),
            recovery=old.recovery if protected else (),
            threshold=old.threshold,
            signers=agreeing,
            now=time.time(),
        )
    with _stopped(settings) as connection:
        rotation.finish(connection, settings.data)
    show(_fields(ring), _words(ring), as_json=as_json)


@key.command()
@common_options
def finish(*, as_json: bool, quiet: bool, **where: Any) -> None:
    """Finish a rotation that was interrupted, or drop it if it was not published yet."""
    settings = settings_of(**where)
    if not (settings.data / rotation.NEXT_KEY_FILE).exists():
        raise UsageError("no rotation was interrupted here")
    with _stopped(settings) as connection:
        done = rotation.finish(connection, settings.data)
        ring = _keys(connection, settings)[0].ring
    told = "The new key is the registrar's." if done else "Nothing had been published; the key stays."
    show({**_fields(ring), "finished": done}, f"{told}\n{_words(ring)}", as_json=as_json)
