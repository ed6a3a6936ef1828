"""A real registrar in this process, on a free loopback port, and what a client needs to talk to it.

``registrar`` runs on SQLite; ``any_registrar`` runs a test twice, on SQLite and on PostgreSQL. Both give a
:class:`RegistrarUnderTest`, whose clock can be moved. ``start_registrar`` runs one with other settings.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import tempfile
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web_app
from sqlalchemy import create_engine

from seedkeep.core import jcs
from seedkeep.core.events import Event, sign_event
from seedkeep.core.httpsig import sign_request
from seedkeep.core.keys import PrivateKey
from seedkeep.core.metadata import Metadata, Subject
from seedkeep.core.metainfo import info_v1, infohash_v1_of
from seedkeep.core.record import Dataset, RecordBody
from seedkeep.core.statements import Attestation
from seedkeep.core.taints.body import TaintBody
from seedkeep_registrar.context import Registrar
from seedkeep_registrar.migrations import upgrade
from seedkeep_registrar.server import running
from seedkeep_registrar.settings import Settings
from tests.support import datasets
from tests.support.described_answers import Described

LIMIT = aiohttp.ClientTimeout(total=90)
#: what answers must be like, as the first registrar of this process describes it
_DESCRIBED: list[Described] = []


class Clock:
    """The time, which a test can move."""

    def __init__(self) -> None:
        self.offset = 0.0

    def __call__(self) -> float:
        return time.time() + self.offset


def utc(seconds: float) -> str:
    """Unix seconds as printed."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def new_key() -> PrivateKey:
    """A fresh key."""
    return PrivateKey(os.urandom(32))


@dataclass(frozen=True)
class Answer:
    """One HTTP answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


async def checked(method: str, path: str, answer: aiohttp.ClientResponse) -> Answer:
    """The answer, which is as the OpenAPI document says."""
    body = await answer.read()
    for described in _DESCRIBED:
        described.check(method, path, answer.status, answer.headers, body)
    return Answer(answer.status, answer.headers, body)


@dataclass(frozen=True)
class Shareable:
    """A small dataset with its three objects, ready to be registered."""

    data: datasets.Dataset
    pieces_v1: bytes

    @property
    def objects(self) -> dict[str, bytes]:
        """Manifest, layers and v1 pieces by SHA-256."""
        every = (self.data.manifest.encode(), self.data.layers, self.pieces_v1)
        return {hashlib.sha256(o).hexdigest(): o for o in every}

    def dataset(self) -> Dataset:
        """What a record says of it."""
        m = self.data.manifest
        return Dataset(
            name=m.name,
            content_id=m.content_id(),
            infohash_v1=infohash_v1_of(info_v1(m, self.pieces_v1)),
            files=len(m.files),
            bytes=m.bytes,
            piece_length=m.piece_length,
            manifest=m.digest(),
            piece_layers=hashlib.sha256(self.data.layers).hexdigest(),
            pieces_v1=hashlib.sha256(self.pieces_v1).hexdigest(),
        )

    def body(self, **changes: Any) -> RecordBody:
        """A record's body; ``changes`` are fields of it."""
        defaults = RecordBody(
            self.dataset(), Metadata(title="A test", subjects=(Subject("tests"),)), copies=3
        )
        return replace(defaults, **changes)


def shareable(name: str = "sample", content: Mapping[str, bytes] | None = None) -> Shareable:
    """A dataset of these files; without them three, one larger than a piece."""
    files = content or {
        "big.bin": hashlib.shake_256(name.encode()).digest(100_000),
        "sub/small.txt": f"small {name}\n".encode(),
        "sub/empty": b"",
    }
    data = datasets.dataset_of(name, files)
    m = data.manifest
    whole = b"".join(data.content[f.path] for f in m.files)
    pieces = b"".join(
        hashlib.sha1(whole[at : at + m.piece_length]).digest() for at in range(0, len(whole), m.piece_length)
    )
    return Shareable(data, pieces)


@dataclass
class Person:
    """Somebody with a key who talks to a registrar by signed requests."""

    url: str
    origin: str
    session: aiohttp.ClientSession
    key: PrivateKey = field(default_factory=new_key)
    clock: Clock = field(default_factory=Clock)

    def __str__(self) -> str:
        return str(self.key.public)

    async def get(
        self, path: str, *, headers: Mapping[str, str] | None = None, method: str = "GET"
    ) -> Answer:
        """An unsigned request."""
        async with self.session.request(
            method, self.url + path, headers=headers, timeout=LIMIT, allow_redirects=False
        ) as answer:
            return await checked(method, path, answer)

    def signature(self, method: str, path: str, body: bytes, **changes: Any) -> dict[str, str]:
        """The headers that sign a request; ``changes`` are arguments of ``sign_request``."""
        given = {
            "sha256": hashlib.sha256(body).hexdigest(),
            "created": int(self.clock()),
            "nonce": os.urandom(16).hex(),
        }
        return sign_request(self.key, method, self.url + path, **{**given, **changes})

    async def send(
        self, method: str, path: str, body: bytes, *, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """A signed request; other ``headers`` may be given instead of the right ones."""
        signed = self.signature(method, path, body) if headers is None else headers
        async with self.session.request(
            method, self.url + path, data=body, headers=signed, timeout=LIMIT
        ) as answer:
            return await checked(method, path, answer)

    async def post(self, path: str, message: Any) -> Answer:
        """A signed POST of JSON."""
        return await self.send("POST", path, jcs.dumps(message))

    # --- sharing -------------------------------------------------------------------------------------

    async def upload(self, what: Shareable) -> None:
        """Put the three objects there."""
        for sha256, data in what.objects.items():
            answer = await self.send("PUT", f"/api/v1/objects/{sha256}", data)
            assert answer.status in (200, 201), answer

    def event(
        self, body: bytes, kind: str = "record", *, after: Event | None = None, **changes: Any
    ) -> Event:
        """A signed event; ``changes`` are arguments of ``sign_event``."""
        given = {"home": self.origin, "created": utc(self.clock()), "after": after}
        return sign_event(self.key, type=kind, body=body, **{**given, **changes})

    async def submit(self, event: Event, body: bytes, path: str = "/api/v1/events") -> Answer:
        """Send an event with its body."""
        return await self.post(path, {"event": json.loads(event.leaf()), "body": json.loads(body)})

    async def register(self, what: Shareable, **changes: Any) -> dict[str, Any]:
        """Upload and register a dataset; the record document comes back."""
        await self.upload(what)
        body = what.body(**changes).encode()
        answer = await self.submit(self.event(body), body)
        assert answer.status == 201, answer
        return dict(answer.json)

    async def taint(
        self, subject: str, category: str = "court-order", reason: str = "a court said so", **more: str
    ) -> Answer:
        """Propose or approve a taint on ``content:…``, ``record:…`` or ``root:…``.

        Args:
            more: further fields of its body.
        """
        body = jcs.dumps({"v": 1, "subject": subject, "category": category, "reason": reason, **more})
        TaintBody.parse(body)
        return await self.submit(self.event(body, "taint"), body, "/api/v1/taints")

    # --- storing -------------------------------------------------------------------------------------

    async def introduce(self, *, pledge: int = 10**9, **more: Any) -> Answer:
        """Become a storage manager."""
        fields = {"pledge": pledge, "port": 6881, "operator": "", "institution": "", "country": "",
                  "subjects": [], "software": "test"}  # fmt: skip
        return await self.post("/api/v1/nodes", {**fields, **more})

    async def beat(
        self,
        claims: Mapping[str, str] | None = None,
        *,
        wait: float = 0,
        taints: int | None = 0,
        companions: Sequence[str] = (),
        **more: Any,
    ) -> dict[str, Any]:
        """A heartbeat.

        Args:
            claims: state by content id.
            taints: version of the taint list this node has.
        """
        fields = {
            "state": "active",
            "pledge": 10**9,
            "used": 0,
            "reserved": 0,
            "port": 6881,
            "claims": [{"content_id": c, "state": s, "bytes": 1} for c, s in (claims or {}).items()],
            "taints": None if taints is None else {"version": taints, "log_size": 0},
            "problems": [],
            "companions": list(companions),
        }
        answer = await self.post(f"/api/v1/heartbeat?wait={wait:g}", {**fields, **more})
        assert answer.status == 200, answer
        return dict(answer.json)

    async def claim(self, content_id: str) -> Answer:
        """Take a dataset on."""
        return await self.post("/api/v1/claims", {"content_id": content_id})

    async def attest(self, what: Shareable, **changes: Any) -> Answer:
        """Attest all bytes of a dataset; ``changes`` are fields of the attestation."""
        d = what.dataset()
        fields = {
            "content_id": d.content_id,
            "manifest": d.manifest,
            "infohash_v1": d.infohash_v1,
            "node": str(self),
            "at": utc(self.clock()),
        }
        return await self.post("/api/v1/attestations", Attestation(**{**fields, **changes}).sign(self.key))

    async def hold(self, what: Shareable) -> None:
        """Introduce itself, claim the dataset and attest it."""
        assert (await self.introduce()).status in (200, 201)
        assert (await self.claim(what.dataset().content_id)).status == 201
        assert (await self.attest(what)).status == 201


@dataclass
class RegistrarUnderTest:
    """A running registrar.

    Args:
        context: its inside, for arranging what cannot be arranged by requests.
        curator: a person whose key is the only curator's (unless other settings were given).
    """

    context: Registrar
    session: aiohttp.ClientSession
    clock: Clock
    curator: Person

    @property
    def url(self) -> str:
        """The public URL."""
        return self.context.public_url

    def person(self, key: PrivateKey | None = None) -> Person:
        """Somebody else; the clock is theirs."""
        clock = Clock()
        clock.offset = self.clock.offset
        return Person(self.url, self.context.origin, self.session, key or new_key(), clock)


@cache
def _migrated() -> bytes:
    """An SQLite database with the registrar's empty tables: making them takes longer than most tests."""
    with tempfile.TemporaryDirectory(prefix="seedkeep-") as folder:
        place = Path(folder) / "registrar.sqlite"
        engine = create_engine(f"sqlite:///{place}")
        upgrade(engine)
        engine.dispose()
        return place.read_bytes()


def _lay_out(settings: Settings) -> None:
    """Where SQLite is used for the first time, put the tables there."""
    place = settings.data / "registrar.sqlite"
    if settings.sqlalchemy_url == f"sqlite:///{place}" and not settings.data.exists():
        settings.data.mkdir(mode=0o700, parents=True)
        place.write_bytes(_migrated())


@asynccontextmanager
async def start_registrar(data: Path, **settings: Any) -> AsyncIterator[RegistrarUnderTest]:
    """Run a registrar in ``data`` with these settings; a second one on the same data must have ended."""
    clock = Clock()
    curator = PrivateKey(hashlib.sha256(b"curator").digest())
    given: dict[str, Any] = {
        "data": data,
        "listen": "127.0.0.1:0",
        "curators": (str(curator.public),),
        "zeroconf": False,
        "heartbeat_s": 2.0,
        "min_free_bytes": 0,
    }
    whole = Settings(**{**given, **settings})
    await asyncio.to_thread(_lay_out, whole)
    try:
        async with (
            running(whole, clock=clock) as context,
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session,
        ):
            # a public URL that was given may lead nowhere from here
            if not _DESCRIBED and "public_url" not in settings:
                async with session.get(f"{context.public_url}/api/v1/openapi.json", timeout=LIMIT) as answer:
                    _DESCRIBED.append(Described(await answer.json()))
            person = Person(context.public_url, context.origin, session, curator, clock)
            yield RegistrarUnderTest(context, session, clock, person)
    finally:
        # aiohttp keeps the last 1024 applications in it, 3 MB each
        web_app._cached_build_middleware.cache_clear()


@pytest.fixture
async def registrar(tmp_path: Path) -> AsyncIterator[RegistrarUnderTest]:
    """A registrar on SQLite."""
    async with start_registrar(tmp_path / "registrar") as running_one:
        yield running_one


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """Empty for SQLite in the data folder, then the URL of a PostgreSQL database with our tables."""
    return "" if request.param == "sqlite" else str(request.getfixturevalue("migrated_postgres_url"))


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_database_url(request: pytest.FixtureRequest) -> str:
    """The same without tables."""
    return "" if request.param == "sqlite" else str(request.getfixturevalue("postgres_url"))


@pytest.fixture
async def any_registrar(tmp_path: Path, database_url: str) -> AsyncIterator[RegistrarUnderTest]:
    """A registrar on SQLite, then one on PostgreSQL."""
    async with start_registrar(tmp_path / "registrar", database_url=database_url) as running_one:
        yield running_one


def registrar_with(
    tmp_path: Path, database_url: str = "", **settings: Any
) -> AbstractAsyncContextManager[RegistrarUnderTest]:
    """A registrar with other settings."""
    return start_registrar(tmp_path / "registrar", database_url=database_url, **settings)
