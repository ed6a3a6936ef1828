"""A simulated registrar: log, trust, witness and taints are those of ``core``; disk and wire are memory."""

from __future__ import annotations

import copy
import functools
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from seedkeep.core.errors import Error
from seedkeep.core.events import sign_event
from seedkeep.core.keys import PrivateKey
from seedkeep.core.log import witness
from seedkeep.core.log.checkpoint import Checkpoint
from seedkeep.core.log.cosignature import add_cosignatures, cosign, cosignatures
from seedkeep.core.log.evidence import Evidence, Misbehaviour
from seedkeep.core.log.sync import Fetch, Following, Recall, Store, Trust, follow
from seedkeep.core.log.tiles import (
    ENTRIES,
    FULL,
    Place,
    Places,
    Tile,
    consistency_proof,
    edge_of,
    encode_bundle,
    grow,
    root_of_tiles,
)
from seedkeep.core.log.tree import leaf_hash
from seedkeep.core.log.trusted_log import TrustedLog
from seedkeep.core.notes import Cosigner, Verifier
from seedkeep.core.taints.body import Effect, Order, Subject
from seedkeep.core.taints.entry import Entry, encode_list
from seedkeep.core.taints.head import HEAD_LIFETIME_S, Head
from seedkeep.core.taints.trusted import TrustedTaints
from tests.simulation.world import Actor, Answer, Crashed, Network, Reply, Violation

POLL_S = 60.0
WITNESS_S = 25.0
REISSUE_S = 600.0
SEAL_S = 0.2


def quorum(peers: int) -> int:
    """How many of a log's peers must have cosigned: so many that any two such groups share an honest one."""
    return peers // 2 + 1


@functools.cache
def key_of(name: str) -> PrivateKey:
    return PrivateKey(hashlib.sha256(name.encode()).digest())


@functools.cache
def verifier_of(name: str) -> Verifier:
    return Verifier(name, key_of(name).public)


@functools.cache
def cosigner_of(name: str) -> Cosigner:
    return Cosigner(name, key_of(name).public)


@functools.cache
def event(number: int, home: str, type: str = "record") -> bytes:
    """The leaf of a signed event, a different one for each number."""
    created, body = "2030-03-17T17:46:40Z", str(number).encode()
    return sign_event(key_of("author"), type=type, body=body, home=home, created=created).leaf()


@functools.cache
def taint_of(leaf: bytes) -> Entry | None:
    """The entry of the taint list that an event in the log stands for."""
    if b'"type":"taint"' not in leaf:
        return None
    digest = hashlib.sha256(leaf).hexdigest()
    order = Order(Subject.parse(f"record:{digest}"), "malware", "simulated", Effect.REMOVE)
    return Entry(digest, order, "2030-03-17T17:46:40Z", ("account:1",))


def taints_in(leaves: Sequence[bytes]) -> list[Entry]:
    return [entry for leaf in leaves if (entry := taint_of(leaf)) is not None]


@dataclass
class Copy:
    """What is kept of another registrar's log."""

    note: str = ""
    leaves: list[bytes] = field(default_factory=list)
    places: dict[Place, bytes] = field(default_factory=dict)
    #: the note cosigned last
    cosigned: str = ""


@dataclass
class Disk:
    """All that survives a restart, and is set back by a backup."""

    own: Copy = field(default_factory=Copy)
    #: the newest note that enough witnesses have cosigned
    believed: str = ""
    copies: dict[str, Copy] = field(default_factory=dict)
    #: head note and list of each other registrar
    taints: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    evidence: dict[str, bytes] = field(default_factory=dict)


@dataclass
class Heads:
    """The answer to a poll."""

    notes: dict[str, str]
    taints: dict[str, str]
    evidence: list[bytes]


class Registrar(Actor):
    """Keeps a log, mirrors and cosigns those of its peers, and carries their taints."""

    def __init__(self, network: Network, name: str, peers: Sequence[str]) -> None:
        super().__init__(network, name)
        self.peers = [peer for peer in peers if peer != name]
        self.needed = quorum(len(self.peers))
        self.disk = Disk()
        #: chance that the process dies after one of its steps
        self.fragile = 0.0
        #: of an honest registrar: all it ever said its log was
        self.history: list[bytes] = []
        self.honest = True
        #: after a restore from a backup: peers that it has not caught up with yet
        self.to_hear: set[str] = set()
        self._forget()

    def _forget(self) -> None:
        self._pending: list[tuple[bytes, Reply]] = []
        self._busy: set[str] = set()
        self._refused: set[tuple[str, str]] = set()
        self._heard: dict[tuple[str, str], str] = {}
        self._witnessed: dict[str, int] = {}
        self._head: tuple[float, int, int, str] = (0.0, -1, -1, "")
        self._taints: dict[str, TrustedTaints] = {}

    def begin(self) -> None:
        self._forget()
        for peer in self.peers:
            self.every(POLL_S, functools.partial(self._poll, peer))
        self.every(WITNESS_S, self._ask_witnesses)

    def restore(self, backup: Disk) -> None:
        """Start from a backup: nothing is written, signed or cosigned before every peer was heard."""
        self.crash()
        self.disk = copy.deepcopy(backup)
        self.to_hear = set(self.peers)
        self.start()

    # --- its own log ---

    def seal(self, leaves: Sequence[bytes]) -> None:
        """Append and sign, in one transaction."""
        own = self.disk.own
        edge = {place: own.places[place] for place in edge_of(len(own.leaves))}
        places = own.places | grow(len(own.leaves), edge, [leaf_hash(leaf) for leaf in leaves])
        whole = [*own.leaves, *leaves]
        root = root_of_tiles(Places(places), len(whole))
        note = Checkpoint(self.name, len(whole), root).sign(key_of(self.name))
        self.disk.own = Copy(note, whole, places)
        if self.honest:
            if whole[: len(self.history)] != self.history:
                raise Violation(f"{self.name} is honest and has forked its log")
            self.history = whole

    def _seal_pending(self) -> None:
        pending, self._pending = self._pending, []
        known = set(self.disk.own.leaves)
        fresh = list(dict.fromkeys(leaf for leaf, _ in pending if leaf not in known))
        if fresh:
            self.seal(fresh)
        self._step()
        for _, reply in pending:
            reply("acknowledged")

    def _append(self, leaf: bytes, reply: Reply) -> None:
        if self.to_hear:
            return
        self._pending.append((leaf, reply))
        if len(self._pending) == 1:
            life = self.life
            self.world.after(SEAL_S, lambda: self._seal_pending() if self.life == life else None)

    def _step(self) -> None:
        if self.world.random.random() < self.fragile:
            raise Crashed(self)

    # --- answers ---

    def handle(self, caller: str, request: tuple[Any, ...], reply: Reply) -> None:
        match request:
            case ("append", bytes(leaf)):
                self._append(leaf, reply)
            case ("heads",):
                reply(self.heads())
            case ("tiles", str(origin), list(paths)):
                found = self._tiles(origin, paths)
                if found is not None:
                    reply(found)
            case ("taints", str(origin)):
                if origin == self.name:
                    reply(encode_list(taints_in(self.disk.own.leaves)))
                elif origin in self.disk.taints:
                    reply(self.disk.taints[origin][1])
            case ("checkpoint", str(origin)):
                reply(self.disk.believed if origin == self.name else self._copy(origin).note)
            case ("add-checkpoint", str(body)):
                self._add_checkpoint(caller, body, reply)

    def heads(self) -> Heads:
        notes = {origin: copy.note for origin, copy in self.disk.copies.items() if self._whole(copy)}
        if self.disk.own.note:
            notes[self.name] = self.disk.own.note
        taints = {origin: note for origin, (note, _) in self.disk.taints.items()}
        if not self.to_hear:
            taints[self.name] = self._taint_head()
        return Heads(notes, taints, list(self.disk.evidence.values()))

    def _whole(self, copy: Copy) -> bool:
        return bool(copy.note) and copy.note.split("\n", 2)[1] == str(len(copy.leaves))

    def _copy(self, origin: str) -> Copy:
        return self.disk.own if origin == self.name else self.disk.copies.setdefault(origin, Copy())

    def _tiles(self, origin: str, paths: Sequence[str]) -> list[bytes] | None:
        copy, found = self._copy(origin), []
        for tile in map(Tile.parse, paths):
            if tile.level == ENTRIES:
                start = tile.index * FULL
                leaves = copy.leaves[start : start + tile.width]
                data = encode_bundle(leaves) if len(leaves) == tile.width else b""
            else:
                data = copy.places.get(tile.place, b"")[: tile.max_bytes]
            if not data:
                return None
            found.append(data)
        return found

    def _taint_head(self) -> str:
        own = self.disk.own
        entries = taints_in(own.leaves)
        at, version, size, note = self._head
        if (version, size) != (len(entries), len(own.leaves)) or self.clock() > at + REISSUE_S:
            digest = hashlib.sha256(encode_list(entries)).hexdigest()
            expires = int(self.clock()) + HEAD_LIFETIME_S
            note = Head(self.name, len(entries), len(own.leaves), digest, expires).sign(key_of(self.name))
            self._head = (self.clock(), len(entries), len(own.leaves), note)
        return note

    # --- following others ---

    def _poll(self, peer: str) -> None:
        self.call(peer, ("heads",), lambda answer: self._hear(peer, answer))

    def _hear(self, peer: str, answer: Answer) -> None:
        if not isinstance(answer, Heads):
            return
        for document in answer.evidence:
            self._take_evidence(document)
        for origin, note in answer.notes.items():
            if origin in self.peers or (origin == self.name and self.to_hear):
                self.hear(origin, note, peer)
        for origin, note in answer.taints.items():
            if origin in self.peers:
                self._hear_taints(origin, note, peer)
        if all(self._settled(origin, note, peer) for origin, note in answer.notes.items()):
            self.to_hear.discard(peer)

    def _settled(self, origin: str, note: str, peer: str) -> bool:
        """Whether what ``peer`` said of a log is stored here, or was looked at and refused.

        Of its own log nothing is refused: what carries its own signature has been there.
        """
        if origin in self.disk.evidence or (origin != self.name and (origin, peer) in self._refused):
            return True
        try:
            size = Checkpoint.open(note, verifier_of(origin)).size
        except Error:
            return True
        return size <= len(self._copy(origin).leaves)

    def hear(self, origin: str, note: str, source: str) -> None:
        """Follow the log of ``origin`` to ``note``; ``source`` has the tiles."""
        if origin in self._busy or origin in self.disk.evidence or self._heard.get((origin, source)) == note:
            return
        copy = self._copy(origin)
        edge = {place: copy.places[place] for place in edge_of(len(copy.leaves))}
        trusted = TrustedLog.restore(verifier_of(origin), copy.note)
        self._busy.add(origin)
        following = follow(trusted, note, len(copy.leaves), edge)
        self._drive(following, origin, note, source, None)

    def _drive(
        self, following: Following, origin: str, note: str, source: str, answer: Sequence[bytes] | None
    ) -> None:
        copy = self._copy(origin)
        try:
            while True:
                step = following.send(answer)
                answer = None
                match step:
                    case Fetch(tiles):
                        request = ("tiles", origin, [tile.path for tile in tiles])
                        self.call(
                            source, request, lambda got: self._go_on(following, origin, note, source, got)
                        )
                        return
                    case Recall(tiles):
                        answer = [copy.places[tile.place][: tile.max_bytes] for tile in tiles]
                    case Trust(before, fresh):
                        if copy.note != before:
                            raise Violation("the trusted note changed in between")
                        copy.note = fresh
                        self._step()
                    case Store(start, entries, changed):
                        if start != len(copy.leaves):
                            raise Violation("entries were not stored one after the other")
                        copy.leaves += [entry.leaf for entry in entries]
                        copy.places |= changed
                        self._step()
        except StopIteration:
            self._heard[origin, source] = note
            if origin == self.name:
                self.history = max(self.history, self.disk.own.leaves, key=len)
        except Misbehaviour as caught:
            self._take_evidence(caught.evidence.encode())
        except Error:
            self._refused.add((origin, source))
        self._busy.discard(origin)

    def _go_on(self, following: Following, origin: str, note: str, source: str, answer: Answer) -> None:
        if isinstance(answer, list):
            self._drive(following, origin, note, source, answer)
        else:
            self._busy.discard(origin)

    def _take_evidence(self, document: bytes) -> None:
        try:
            evidence = Evidence.parse(document)
            evidence.check()
        except Error:
            return
        name = evidence.log.name
        if name in (*self.peers, self.name) and evidence.log == verifier_of(name):
            self.disk.evidence.setdefault(name, document)

    # --- cosigning ---

    def _add_checkpoint(self, caller: str, body: str, reply: Reply) -> None:
        try:
            request = witness.AddCheckpoint.parse(body)
        except Error:
            return
        origin = request.origin
        if origin not in self.peers or origin in self.disk.evidence or self.to_hear:
            return
        copy = self._copy(origin)
        last = Checkpoint.open(copy.cosigned, verifier_of(origin)) if copy.cosigned else None
        answer = witness.decide(request, last, verifier_of(origin))
        if isinstance(answer, witness.Declined):
            reply((answer.status, answer.body))
            return
        checkpoint = answer.checkpoint
        if len(copy.leaves) < checkpoint.size:
            self.hear(origin, request.note, caller)
        elif root_of_tiles(Places(copy.places), checkpoint.size) == checkpoint.root:
            copy.cosigned = request.note
            self._step()
            reply((200, cosign(checkpoint.text, self.name, key_of(self.name), int(self.clock()))))
        else:
            self.hear(origin, request.note, caller)

    def _ask_witnesses(self) -> None:
        own = self.disk.own
        if not own.note or self.to_hear:
            return
        signed = {c.name for c in cosignatures(own.note, [cosigner_of(p) for p in self.peers])}
        for peer in self.peers:
            if peer not in signed:
                old = min(self._witnessed.get(peer, 0), len(own.leaves))
                proof = consistency_proof(Places(own.places), old, len(own.leaves))
                body = witness.AddCheckpoint(old, tuple(proof), own.note).encode()
                self.call(peer, ("add-checkpoint", body), functools.partial(self._cosigned, peer, own.note))

    def _cosigned(self, peer: str, note: str, answer: Answer) -> None:
        own = self.disk.own
        match answer:
            case (409, str(size)):
                self._witnessed[peer] = int(size)
            case (200, str(line)) if own.note.split("\n\n")[0] == note.split("\n\n")[0]:
                self._witnessed[peer] = len(own.leaves)
                known = [cosigner_of(p) for p in self.peers]
                try:
                    own.note = add_cosignatures(own.note, line, known)
                    if len(cosignatures(own.note, known)) >= self.needed:
                        self.disk.believed = own.note
                except Error:
                    pass

    # --- taints ---

    def trusted_taints(self, origin: str) -> TrustedTaints:
        if origin not in self._taints:
            note, data = self.disk.taints.get(origin, ("", b""))
            self._taints[origin] = TrustedTaints.restore(verifier_of(origin), note, data)
        return self._taints[origin]

    def _hear_taints(self, origin: str, note: str, source: str) -> None:
        hear_taints(self, origin, note, source, self.disk.taints, self.trusted_taints(origin))


def hear_taints(
    actor: Actor,
    origin: str,
    note: str,
    source: str,
    disk: dict[str, tuple[str, bytes]],
    taints: TrustedTaints,
) -> None:
    """Take a head, and its list from whoever told it; both are stored together."""

    def take(answer: Answer) -> None:
        if isinstance(answer, bytes):
            try:
                taints.load_list(answer)
            except Error:
                return
            disk[origin] = taints.dump()

    if disk.get(origin, ("", b""))[0] == note:
        return
    try:
        if taints.load_head(note, now=actor.clock()):
            actor.call(source, ("taints", origin), take)
        else:
            disk[origin] = taints.dump()
    except Error:
        return
