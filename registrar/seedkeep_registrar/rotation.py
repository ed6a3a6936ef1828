"""Protecting this registrar's key, and rotating it: on its machine, while it is stopped.

A rotation is done when its transaction is: then the new key, which was made durable before, becomes the
registrar's. The old key's signatures of the present go with it: the head of the taint list and all
checkpoints are signed anew, of the same log and the same list.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import Connection

from seedkeep.core.errors import InvalidInput, UsageError
from seedkeep.core.keyring import KeyRing, TrustedKeys
from seedkeep.core.keys import PrivateKey, PublicKey
from seedkeep.core.log.checkpoint import Checkpoint
from seedkeep.core.notes import Verifier
from seedkeep_registrar import durable
from seedkeep_registrar.identity import KEY_FILE
from seedkeep_registrar.operations import acknowledged
from seedkeep_registrar.store import key_rings, taint_heads, trees
from seedkeep_registrar.store.events import OWN
from seedkeep_registrar.store.trees import Signed

NEXT_KEY_FILE = f"{KEY_FILE}.next"


def trusted_keys(connection: Connection, origin: str, key: PublicKey) -> TrustedKeys:
    """The key rings of this registrar, whose key is the present one.

    Raises:
        UsageError: it is not: an old key was restored, or a rotation has to be finished.
        InvalidInput, VerificationFailed: what is stored does not hold together.
    """
    notes = key_rings.every(connection)
    if not notes:
        return TrustedKeys.pinned(Verifier(origin, key))
    keys = TrustedKeys.begin(notes[0])
    for note in notes[1:]:
        keys.load(note)
    if keys.verifier != Verifier(origin, key):
        raise UsageError(
            f"{KEY_FILE} is not the key that version {keys.ring.version} of this registrar's keys names",
            hint="Finish the rotation with `seedkeep registrar key finish`, or restore that key.",
        )
    return keys


def advance(
    connection: Connection,
    keys: TrustedKeys,
    present: PrivateKey,
    *,
    online: PrivateKey,
    recovery: Sequence[PublicKey],
    threshold: int,
    signers: Sequence[PrivateKey],
    now: float,
) -> KeyRing:
    """Publish the next version of the keys.

    Args:
        keys: the present ones; ``present`` is their online key.
        online: the next online key, or the same one.
        recovery, threshold: who decides from then on; nobody: whoever has the online key.
        signers: recovery keys, of the present version and the next one.

    Raises:
        InvalidInput: there can be no such version.
        VerificationFailed: too few have signed.
    """
    old = keys.ring
    public = tuple(recovery) or (online.public,)
    ring = KeyRing(old.origin, old.version + 1, online.public, public, threshold if recovery else 1)
    deciding = {key.raw for key in (*old.recovery, *ring.recovery)}
    able = {key.public.raw: key for key in (present, online, *signers)}
    note = ring.sign([key for raw, key in able.items() if raw in deciding])
    keys.load(note)
    if not old.version:
        key_rings.add(connection, 0, old.sign([present]))
    key_rings.add(connection, ring.version, note)
    if online.public != present.public:
        taint_heads.forget(connection)
        newest = trees.newest(connection, OWN)
        if newest is not None:
            again = Checkpoint(old.origin, newest.size, newest.root).sign(online)
            trees.sign_anew(connection, OWN, Signed(newest.size, newest.root, again, cosigned=False), now)
    return ring


def prepare(data: Path, random_seed: bytes) -> PrivateKey:
    """Make the next key durable beside the present one."""
    key = PrivateKey(random_seed)
    durable.replace(data / NEXT_KEY_FILE, key.to_pem(), 0o600)
    return key


def finish(connection: Connection, data: Path) -> bool:
    """Let the key that was prepared be the registrar's, if the published version names it; else drop it.

    Returns:
        Whether it is.

    Raises:
        InvalidInput: the file holds no key.
    """
    place = data / NEXT_KEY_FILE
    try:
        pem = place.read_bytes()
    except FileNotFoundError:
        return False
    key = PrivateKey.from_pem(pem)
    notes = key_rings.every(connection)
    if not notes or f"online {key.public}\n" not in notes[-1]:
        place.unlink()
        return False
    newest = trees.newest(connection, OWN)
    if newest is not None:
        durable.replace(data / acknowledged.FILE, newest.note.encode())
    durable.replace(data / KEY_FILE, pem, 0o600)
    place.unlink()
    return True


def public_key(text: str) -> PublicKey:
    """A recovery key as an operator names it: printed, or as a file of the private one.

    Raises:
        InvalidInput, UsageError: it is neither.
    """
    return PublicKey.parse(text) if text.startswith("ed25519:") else private_key(Path(text)).public


def private_key(place: Path) -> PrivateKey:
    """
    Raises:
        UsageError: the file cannot be read, or holds no key.
    """
    try:
        return PrivateKey.from_pem(place.read_bytes())
    except (OSError, InvalidInput) as error:
        raise UsageError(f"{place} holds no key that can be read: {error}") from error
