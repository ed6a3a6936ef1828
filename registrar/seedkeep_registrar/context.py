"""What the parts of a running registrar share; it hangs in the aiohttp application under ``REGISTRAR``.

Reading from the database, in a handler::

    registrar = request.app[REGISTRAR]
    state = await registrar.db.read(datasets.by_infohash, info_hash)

Store functions take a connection first and are run by :meth:`Database.read` or :meth:`Database.write`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from aiohttp import web

from seedkeep.core.keyring import TrustedKeys
from seedkeep.core.keys import PrivateKey
from seedkeep.core.notes import Verifier
from seedkeep_registrar.changes import Changes
from seedkeep_registrar.database import Database
from seedkeep_registrar.log.proofs import Proofs
from seedkeep_registrar.mail.mailer import Mailer
from seedkeep_registrar.objects import ObjectStore
from seedkeep_registrar.processes.signals import Signals
from seedkeep_registrar.replication.wakeups import Wakeups
from seedkeep_registrar.settings import Settings
from seedkeep_registrar.taint_head import TaintHead
from seedkeep_registrar.workers import Workers


@dataclass
class Followed:
    """The registrars that follow this one and are followed by it, as this process has last seen them.

    Args:
        trackers: announce URLs of theirs.
    """

    trackers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Registrar:
    """The running registrar.

    Args:
        public_url: how others reach it; no ``/`` at its end.
        origin: ``host[:port][/path]`` of the public URL; the name in checkpoints and taint heads.
        key: signs checkpoints and taint heads.
        vkey: name and public half of it.
        keys: how it came to have that key, and those that it had before.
        db: the database.
        proofs: that events are in the log.
        objects: manifests, layers and v1 pieces, by SHA-256.
        workers: runs heavy pure functions outside the loop.
        signals: what the processes of this registrar tell each other, and which one leads.
        changes: tells who wants to know that a dataset was registered, or that taints changed.
        wakeups: ends the waiting of long-polled heartbeats.
        taint_head: the current signed head.
        mailer: sends mails, from an outbox that survives a restart.
        clock: Unix time in seconds.
        random: that many random bytes.
        followed: other registrars.
    """

    settings: Settings
    public_url: str
    origin: str
    key: PrivateKey
    vkey: Verifier
    keys: TrustedKeys
    db: Database
    proofs: Proofs
    objects: ObjectStore
    workers: Workers
    signals: Signals
    changes: Changes
    wakeups: Wakeups
    taint_head: TaintHead
    mailer: Mailer
    clock: Callable[[], float]
    random: Callable[[int], bytes]
    followed: Followed = field(default_factory=Followed)

    @property
    def trackers(self) -> tuple[str, ...]:
        """The announce URLs that go into torrents and magnets; those of other registrars are among them, so
        that who asks one of them for peers finds all, and goes on finding them when one is gone."""
        own = (f"{self.public_url}/announce",) if self.settings.builtin_tracker else ()
        return tuple(dict.fromkeys((*own, *self.settings.trackers, *self.followed.trackers)))

    def web_seeds(self, content_id: str, recorded: tuple[str, ...], home_url: str) -> tuple[str, ...]:
        """The base URLs a client can use for the recorded web seeds: private storage shows as ``/ws/…/`` of
        the registrar at ``home_url``, which has the credentials."""
        plain = tuple(dict.fromkeys(w for w in recorded if w.startswith(("http://", "https://"))))
        private = any(w.startswith(("s3://", "swift://")) for w in recorded)
        return (*plain, f"{home_url}/ws/{content_id}/") if private and home_url else plain

    @property
    def own_keys(self) -> frozenset[str]:
        """Its present key and those that it had before, as printed."""
        return frozenset(str(one.key) for one in (self.keys.verifier, *self.keys.former))


REGISTRAR: web.AppKey[Registrar] = web.AppKey("registrar", Registrar)
