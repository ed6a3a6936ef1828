"""The one way in which node and command line talk to a registrar (``docs/protocol.md``).

What it promises:

* nothing is believed that was not verified: the registrar's key is the pinned one, a record's event, body
  and proof hold, objects have the digest and the shape that the record names;
* only requests that may be repeated are repeated (reads, uploads, submitting one signed event);
* every failure is a :class:`seedkeep.core.errors.Error`; a tainted record is
  :class:`seedkeep.registrar_http.TaintedRecord`, with the reasons.

Example::

    client = RegistrarClient(url, key=key, session=session, now=time.time, pinned=None)
    record = await client.record(rid)
    manifest = await client.manifest(record)
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp

from seedkeep.core.audit import LeafAt, Opening
from seedkeep.core.errors import (
    InvalidInput,
    NotFound,
    Unreachable,
    UsageError,
    VerificationFailed,
    Withdrawn,
)
from seedkeep.core.events import Event
from seedkeep.core.keyring import MAX_RING_BYTES, MAX_VERSION, TrustedKeys
from seedkeep.core.keys import PrivateKey
from seedkeep.core.manifest import Manifest
from seedkeep.core.metainfo import check_layers
from seedkeep.core.notes import MAX_NOTE_BYTES, Verifier
from seedkeep.core.statements import Action, Attestation, Removal
from seedkeep.core.taints.entry import MAX_LIST_BYTES
from seedkeep.key_rings import KeyRings
from seedkeep.message_fields import utc
from seedkeep.record_document import Record
from seedkeep.record_manifest import check_manifest
from seedkeep.registrar_http import ATTEMPTS, ToldWithdrawn, Transport
from seedkeep.registrar_messages import (
    Heartbeat,
    Lease,
    Match,
    NodeProfile,
    Peer,
    Queued,
    RegistrarInfo,
    Report,
    audit_id,
    leaf_at,
    opened,
    signed_event,
)
from seedkeep.registrar_queue import RegistrarQueue
from seedkeep.registrar_records import RegistrarRecords, WithdrawnRecord

MAX_WAIT_S = 60.0
_MOST_PAGES, _INFO_S = 1000, 3600.0
_SHA256_BYTES = 32
_SHA1_BYTES = 20
_LONGEST_MANIFEST_LINE = 9000


class RegistrarClient:
    """One registrar.

    Args:
        url: its base URL.
        key: signs what is written; None for a client that only reads.
        session: for all requests; the caller closes it.
        now: Unix seconds.
        pinned: the key this registrar must have, or None on first contact.
        on_first_contact: is told the key when ``pinned`` is None.
        on_peers: is told the registrar's key and the peers that it names.
        keys: of other registrars, whose records it may mirror.
        rings: remembers how registrars came to have their keys.
        attempts: how often a repeatable request is tried.
    """

    def __init__(
        self,
        url: str,
        *,
        key: PrivateKey | None,
        session: aiohttp.ClientSession,
        now: Callable[[], float],
        pinned: Verifier | None,
        on_first_contact: Callable[[Verifier], None] | None = None,
        on_peers: Callable[[Verifier, Sequence[Peer]], None] | None = None,
        keys: Callable[[], Sequence[Verifier]] = tuple,
        rings: KeyRings | None = None,
        attempts: int = ATTEMPTS,
    ) -> None:
        self._http = Transport(url, key=key, session=session, now=now, attempts=attempts)
        self._now = now
        self._pinned = pinned
        self._on_first_contact = on_first_contact
        self._on_peers = on_peers
        self._rings = rings
        self._info: RegistrarInfo | None = None
        self._asked = 0.0
        self._asking = asyncio.Lock()
        #: its records with all their events
        self.chains = RegistrarRecords(self._http, self.info, keys)
        #: what waits for its curators
        self.queue = RegistrarQueue(self._http, self.info)

    @property
    def url(self) -> str:
        """The base URL, without ``/`` at the end."""
        return self._http.url

    async def info(self) -> RegistrarInfo:
        """What the registrar says of itself; remembered for an hour, and as long as it is down.

        Raises:
            VerificationFailed: it shows another key than the pinned one, and no key ring leads there.
        """
        async with self._asking:
            if self._info is None or self._now() - self._asked > _INFO_S:
                try:
                    self._info = await self._ask_info()
                except Unreachable:
                    if self._info is None:
                        raise
                self._asked = self._now()
            return self._info

    async def _ask_info(self) -> RegistrarInfo:
        answer = await self._http.get("/.well-known/seedkeep", limit=1 << 20)
        info = RegistrarInfo.parse(answer.json())
        former = (await self._follow_keys(info)).former
        if self._on_peers:
            self._on_peers(info.vkey, info.peers)
        return replace(info, former=former)

    async def _follow_keys(self, info: RegistrarInfo) -> TrustedKeys:
        """Follow the registrar's key rings from what is trusted to what it says it has; hold it to that."""
        if info.key_version > MAX_VERSION:
            raise InvalidInput(f"{self.url} says that its keys have version {info.key_version}")
        pinned = self._pinned
        if pinned is not None:
            keys = self._rings.load(pinned) if self._rings else TrustedKeys.pinned(pinned)
        elif info.key_version:
            keys = TrustedKeys.begin(await self._key_ring(0))
        else:
            keys = TrustedKeys.pinned(info.vkey)
        known = keys.ring.version
        for version in range(known + 1, info.key_version + 1):
            keys.load(await self._key_ring(version))
        keys.check(info.vkey, info.key_version)
        if self._rings and keys.ring.version > known:
            self._rings.keep(keys)
        if pinned is None and self._on_first_contact:
            self._on_first_contact(keys.verifier)
        self._pinned = keys.verifier
        return keys

    async def _key_ring(self, version: int) -> bytes:
        path = f"/.well-known/seedkeep/keys/{version}"
        return (await self._http.get(path, limit=MAX_RING_BYTES, accept="text/plain")).body

    # --- records and objects -------------------------------------------------------------------------

    async def record(self, rid_or_content_id: str) -> Record:
        """A verified record.

        Args:
            rid_or_content_id: 64 hex digits.

        Raises:
            NotFound, WithdrawnRecord, TaintedRecord, VerificationFailed, InvalidInput, Unreachable.
        """
        wanted = rid_or_content_id.lower()
        try:
            return await self.chains.read(wanted)
        except Withdrawn:
            raise
        except NotFound as error:
            for match in await self.resolve(f"urn:btmh:1220{wanted}"):
                record = await self.chains.read(match.rid)
                if record.content_id != wanted:
                    raise VerificationFailed(f"{self.url} gave {record.ark} for {wanted[:12]}…") from error
                return record
            raise error

    async def resolve(self, name: str) -> list[Match]:
        """What ``name`` may mean; empty when the registrar does not know it.

        Raises:
            TaintedRecord, Unreachable, InvalidInput.
            WithdrawnRecord: all that it may mean is withdrawn.
        """
        await self.info()
        try:
            answer = (await self._http.get(f"/api/v1/resolve?id={quote(name, safe='')}")).json()
        except ToldWithdrawn as error:
            record = await self.chains.withdrawn(error)
            raise WithdrawnRecord(record, await self.chains.keys_of(record)) from error
        except NotFound:
            return []
        matches = answer.get("matches")
        if not isinstance(matches, list) or len(matches) > 1000:
            raise InvalidInput(f"{self.url} answered a question for a name with something else")
        return [Match.parse(m) for m in matches]

    async def suggestion(self, name: str) -> str:
        """What the registrar takes an ARK for that it does not know: ``Did you mean ark:/…?``, or ""."""
        await self.info()
        try:
            await self._http.get(f"/api/v1/resolve?id={quote(name, safe='')}")
        except NotFound as error:
            return error.hint if error.hint.startswith("Did you mean ") else ""
        return ""

    async def records(
        self, *, limit: int = 100, cursor: str = ""
    ) -> tuple[list[Mapping[str, Any]], str | None]:
        """Short documents, newest first, unverified; and the cursor of the next page, or None."""
        query = f"?limit={limit}" + (f"&cursor={quote(cursor, safe='')}" if cursor else "")
        answer = (await self._http.get(f"/api/v1/records{query}")).json()
        following = answer.get("next")
        return _objects(answer, "records"), following if isinstance(following, str) else None

    async def manifest(self, record: Record) -> Manifest:
        """The manifest, verified against the record: digest, content id, name and totals."""
        dataset = record.dataset
        limit = min(4096 + dataset.files * _LONGEST_MANIFEST_LINE, 1 << 32)
        data = await self._object(dataset.manifest, limit)
        return await asyncio.to_thread(check_manifest, record, data)

    async def layers(self, record: Record, manifest: Manifest | None = None) -> bytes:
        """The v2 piece layers, verified by digest, and against ``manifest`` when it is given."""
        dataset = record.dataset
        most = (dataset.bytes // dataset.piece_length + dataset.files) * _SHA256_BYTES
        data = await self._object(dataset.piece_layers, most)
        if manifest is not None:
            await asyncio.to_thread(check_layers, manifest, data)
        return data

    async def pieces_v1(self, record: Record) -> bytes:
        """The v1 pieces, verified by digest and length."""
        dataset = record.dataset
        size = -(-dataset.bytes // dataset.piece_length) * _SHA1_BYTES
        data = await self._object(dataset.pieces_v1, size)
        if len(data) != size:
            raise VerificationFailed(f"the v1 pieces of {record.ark} have {len(data)} bytes, not {size}")
        return data

    async def _object(self, sha256: str, limit: int) -> bytes:
        answer = await self._http.get(f"/api/v1/objects/{sha256}", limit=limit, accept="*/*")
        found = await asyncio.to_thread(lambda: hashlib.sha256(answer.body).hexdigest())
        if found != sha256:
            raise VerificationFailed(f"the object {sha256[:12]}… of {self.url} is not what its name says")
        return answer.body

    async def put_object(self, sha256: str, data: bytes | Path) -> bool:
        """Upload an object unless it is there; so an interrupted share goes on where it was.

        Returns:
            Whether anything had to be sent.

        Raises:
            InvalidInput: it is larger than the registrar takes.
        """
        info = await self.info()
        size = len(data) if isinstance(data, bytes) else (await asyncio.to_thread(data.stat)).st_size
        if size > info.max_object_bytes:
            raise InvalidInput(
                f"a list of this dataset has {size} bytes; {self.url} takes at most {info.max_object_bytes}",
                hint="Share it in several parts, or ask the registrar to raise max_object_bytes.",
            )
        path = f"/api/v1/objects/{sha256}"
        if await self._http.head(path):
            return False
        await self._http.put(info.public_url, path, sha256, data)
        return True

    async def submit(self, event: Event, body: bytes) -> Record | Queued:
        """Register a signed event; again with the same event gives the same record.

        Returns:
            The record, or what waits for a curator. A curator may have approved the same body as signed
            before by the same key: then it is that event's record.

        Raises:
            Conflict, Refused: a curator has returned or rejected it; the reason is told.
        """
        base = (await self.info()).public_url
        answer = await self._http.post(base, "/api/v1/events", signed_event(event, body), again=True)
        if answer.status == 202:
            return Queued.parse(answer.json())
        record = Record.parse(answer.json(), (await self.info()).vkey)
        if (record.event.by, record.event.body_sha256) != (event.by, event.body_sha256):
            raise VerificationFailed(f"{self.url} recorded another event than the one it was sent")
        return record

    # --- storage managers ----------------------------------------------------------------------------

    async def enrol(self, profile: NodeProfile) -> Mapping[str, Any]:
        """Make this node known, or update what is known of it."""
        fields = {**asdict(profile), "subjects": list(profile.subjects)}
        return await self._post("/api/v1/nodes", fields, again=True)

    async def heartbeat(self, report: Report, *, wait: float = 0.0) -> Heartbeat:
        """Report and be told; the answer may be held back up to ``wait`` seconds (60 at most)."""
        wait = min(max(wait, 0.0), MAX_WAIT_S)
        base, path = (await self.info()).public_url, f"/api/v1/heartbeat?wait={wait:g}"
        answer = await self._http.post(base, path, report.fields(), wait=wait)
        return await answer.read(Heartbeat.parse)

    async def claim(self, content_id: str) -> Lease:
        """Take on a dataset.

        Raises:
            Conflict: enough nodes have it.
            TaintedRecord.
        """
        return Lease.parse(await self._post("/api/v1/claims", {"content_id": content_id}, again=True))

    async def release(self, content_id: str, reason: str) -> None:
        """Give a claim back."""
        await self._post(f"/api/v1/claims/{content_id}/release", {"reason": reason[:500]}, again=True)

    async def attest(self, *, content_id: str, manifest: str, infohash_v1: str) -> None:
        """Say, signed, that every file's bytes were checked.

        Args:
            manifest: SHA-256 of the manifest.
            infohash_v1: as computed from the bytes on this node's disk.
        """
        key, at = self._signer()
        statement = Attestation(content_id, manifest, infohash_v1, str(key.public), at)
        await self._post("/api/v1/attestations", statement.sign(key), again=True)

    async def audit_commit(self, audit: str, commitments: Sequence[str]) -> tuple[LeafAt, ...]:
        """Answer the first round; gives the leaves to be opened."""
        answer = await self._post(f"/api/v1/audits/{audit_id(audit)}/commit", {"commitments": [*commitments]})
        opened = answer.get("open")
        if not isinstance(opened, list) or len(opened) > 1000:
            raise InvalidInput(f"{self.url} did not say which blocks of an audit to open")
        return tuple(leaf_at(item) for item in opened)

    async def audit_refuse(self, audit: str, why: str) -> None:
        """Refuse an audit; ``why``: tainted, missing or busy."""
        await self._post(f"/api/v1/audits/{audit_id(audit)}/commit", {"refused": why})

    async def audit_open(self, audit: str, openings: Sequence[Opening]) -> tuple[str, str]:
        """Answer the second round; gives the outcome and the detail in words."""
        told = {"openings": [opened(one) for one in openings]}
        answer = await self._post(f"/api/v1/audits/{audit_id(audit)}/open", told)
        return str(answer.get("outcome", ""))[:40], str(answer.get("detail", ""))[:600]

    async def removal_receipt(
        self, *, taint: str, content_id: str, action: Action, bytes: int, at: str
    ) -> None:
        """Say, signed, how this node has obeyed a taint, and when."""
        key, _ = self._signer()
        statement = Removal(taint, content_id, action, bytes, str(key.public), at)
        await self._post("/api/v1/receipts", statement.sign(key), again=True)

    async def report_web_seed(self, *, content_id: str, web_seed: str, reason: str) -> None:
        """Report a web seed that does not serve what the record says."""
        fields = {"content_id": content_id, "web_seed": web_seed, "reason": reason[:500]}
        await self._post("/api/v1/web-seed-reports", fields)

    async def nodes(self) -> list[Mapping[str, Any]]:
        """The registrar's nodes, as it tells them."""
        return await self._every("/api/v1/nodes", "nodes")

    # --- taints --------------------------------------------------------------------------------------

    async def taint_head(self) -> str:
        """The signed head note, not yet judged: see :class:`seedkeep.core.taints.trusted.TrustedTaints`."""
        answer = await self._http.get("/api/v1/taints/head", limit=MAX_NOTE_BYTES, accept="text/plain")
        try:
            return answer.body.decode()
        except UnicodeDecodeError as error:
            raise InvalidInput(f"the taint head of {self.url} is not UTF-8") from error

    async def taint_list(self, sha256: str) -> bytes:
        """The list a head names; its digest is checked by whoever loads it."""
        path = f"/api/v1/taints/lists/{sha256}"
        return (await self._http.get(path, limit=MAX_LIST_BYTES, accept="*/*")).body

    async def taints(self) -> list[Mapping[str, Any]]:
        """All taints with their state, as the registrar tells them."""
        return await self._every("/api/v1/taints", "taints")

    async def add_taint(self, event: Event, body: bytes) -> Mapping[str, Any]:
        """Ask for a taint, or approve another curator's."""
        return await self._post("/api/v1/taints", signed_event(event, body), again=True)

    async def lift_taint(self, taint: str, event: Event, body: bytes) -> Mapping[str, Any]:
        """Lift a taint."""
        path = f"/api/v1/taints/{quote(taint, safe='')}/lift"
        return await self._post(path, signed_event(event, body), again=True)

    # --- accounts ------------------------------------------------------------------------------------

    async def whoami(self) -> Mapping[str, Any]:
        """What the registrar knows of whoever has this key: ``role``, and ``account`` or None."""
        return (await self._http.ask("GET", (await self.info()).public_url, "/api/v1/account")).json()

    async def begin_binding(self, label: str, email: str = "") -> Mapping[str, Any]:
        """Ask for this key to act for an account: to be confirmed in a browser, or by a code mailed."""
        return await self._post("/api/v1/account/bindings", {"label": label, "email": email})

    async def binding(self, binding: str, *, wait: float) -> Mapping[str, Any]:
        """How a binding stands, after at most ``wait`` seconds (60 at most).

        Raises:
            NotFound: it has run out.
        """
        path = f"/api/v1/account/bindings/{quote(binding, safe='')}?wait={wait:g}"
        return (await self._http.ask("GET", (await self.info()).public_url, path, wait=wait)).json()

    async def confirm_binding(self, binding: str, code: str) -> Mapping[str, Any]:
        """Confirm a binding by the code from the mail.

        Raises:
            Refused: the code is wrong, used or too old.
        """
        return await self._post(f"/api/v1/account/bindings/{quote(binding, safe='')}/code", {"code": code})

    async def unbind(self) -> None:
        """Let this key act for its account no more.

        Raises:
            Refused: it acts for none.
        """
        key, _ = self._signer()
        path = f"/api/v1/account/keys/{quote(str(key.public), safe=':')}"
        await self._http.ask("DELETE", (await self.info()).public_url, path)

    # -------------------------------------------------------------------------------------------------

    async def _every(self, path: str, name: str) -> list[Mapping[str, Any]]:
        """All items of a paged list."""
        found: list[Mapping[str, Any]] = []
        query = "?limit=1000"
        for _ in range(_MOST_PAGES):
            answer = (await self._http.get(path + query)).json()
            found += _objects(answer, name)
            following = answer.get("next")
            if not isinstance(following, str):
                return found
            query = f"?limit=1000&cursor={quote(following, safe='')}"
        raise InvalidInput(f"the list of {name} of {self.url} has no end")

    def _signer(self) -> tuple[PrivateKey, str]:
        """The key to sign a statement with, and the time."""
        if self._http.key is None:
            raise UsageError("a statement needs a key to sign with", hint="See `seedkeep key new`.")
        return self._http.key, utc(self._now())

    async def _post(
        self, path: str, fields: Mapping[str, Any], *, again: bool = False, wait: float = 0.0
    ) -> dict[str, Any]:
        base = (await self.info()).public_url
        return (await self._http.post(base, path, fields, again=again, wait=wait)).json()


def _objects(answer: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    found = answer.get(name)
    if not isinstance(found, list) or not all(isinstance(item, Mapping) for item in found):
        raise InvalidInput(f"a registrar's list of {name} is malformed")
    return found
