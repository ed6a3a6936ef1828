"""The page that registers a dataset from its manifest and torrents, for people without our command line.

What is recorded is checked exactly as if it had been sent signed; the registrar signs it for the account.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from aiohttp import BodyPartReader, web

from seedkeep.core.bencode import Limits
from seedkeep.core.errors import Error, InvalidInput
from seedkeep.core.events import sign_event
from seedkeep.core.manifest import Manifest
from seedkeep.core.metadata import Creator, Metadata, Subject
from seedkeep.core.metainfo import Metainfo, read_metainfo
from seedkeep.core.record import DEFAULT_LICENSE, Dataset, Editor, RecordBody
from seedkeep.core.revision import RECORD
from seedkeep_registrar import auth, registration, submissions, times
from seedkeep_registrar.accounts import browser
from seedkeep_registrar.accounts.editors import editor_of
from seedkeep_registrar.context import REGISTRAR, Registrar
from seedkeep_registrar.operations import uploads
from seedkeep_registrar.pages.forms import see, signed_in
from seedkeep_registrar.pages.render import show
from seedkeep_registrar.problems import TooLarge
from seedkeep_registrar.registration import SignedEvent
from seedkeep_registrar.store.submissions import Submission

routes = web.RouteTableDef()
#: what a browser may send at a time; larger datasets are for `seedkeep share`
MAX_UPLOAD = 64 << 20
_MAX_TEXT = 20_000
_FILES = {
    "manifest": "the manifest",
    "torrent": "the v2 torrent",
    "torrent_v1": "the v1 torrent",
}
_TEXTS = ("title", "creators", "subjects", "description", "license", "web_seeds", "copies")
_LIMITS = Limits(size=MAX_UPLOAD, tokens=10_000_000)


@dataclass(frozen=True, slots=True)
class Upload:
    """What a form brought: texts and files by their names."""

    texts: dict[str, str]
    files: dict[str, bytes]


@routes.get("/register")
async def _page(request: web.Request) -> web.Response:
    await signed_in(request)
    return _form(request, {"license": DEFAULT_LICENSE, "copies": "3"})


@routes.post("/register")
async def _register(request: web.Request) -> web.Response:
    principal, _ = await signed_in(request)
    browser.check_origin(request)
    registrar = request.app[REGISTRAR]
    upload = Upload({}, {})
    try:
        registration.check_member(registrar, principal)
        upload = await _read(request, upload)
        total = sum(map(len, upload.files.values()))
        editor = await registrar.db.read(editor_of, registrar.settings, principal)
        body, objects = await registrar.workers.run(total, _body_of, upload, editor)
        for data in objects:
            await uploads.take(request, principal, hashlib.sha256(data).hexdigest(), len(data), _once(data))
        outcome = await submissions.register_event(registrar, principal, _signed(registrar, body))
    except Error as error:
        status = 400 if error.code in ("invalid_input", "hostile_metainfo", "verification_failed") else 409
        return _form(request, upload.texts, status=status, problem=error.diagnostics())
    if isinstance(outcome, Submission):
        return see(request, f"/curation/{outcome.rid}")
    return see(request, f"/records/{outcome[0].record.rid}")


def _form(
    request: web.Request, typed: dict[str, str], *, status: int = 200, problem: str = ""
) -> web.Response:
    texts = {name: typed.get(name, "") for name in _TEXTS}
    return show(request, "register.html", status=status, typed=texts, problem=problem, most=MAX_UPLOAD)


async def _read(request: web.Request, upload: Upload) -> Upload:
    """Fill ``upload`` from the request.

    Raises:
        InvalidInput: it is no such form.
        TooLarge: it is over the limit.
        TimeoutError: it comes too slowly.
    """
    if not request.content_type.startswith("multipart/form-data"):
        raise InvalidInput("this is not a form of a page")
    left, pace = MAX_UPLOAD, auth.Pace(request)
    try:
        parts = await request.multipart()
        while True:
            async with pace.next():
                part = await parts.next()
            if part is None:
                break
            if not isinstance(part, BodyPartReader) or part.name not in (*_FILES, *_TEXTS):
                raise InvalidInput("this form has a field that does not belong here")
            held = bytearray()
            while not part.at_eof():
                async with pace.next():
                    chunk = await part.read_chunk()
                pace.came(len(chunk))
                held += chunk
                if len(held) > (left if part.name in _FILES else _MAX_TEXT):
                    raise TooLarge(f"{part.name} is over the limit", hint="Use `seedkeep share` for it.")
            left -= len(held)
            if part.name in _FILES:
                upload.files[part.name] = bytes(held)
            else:
                upload.texts[part.name] = held.decode("utf-8").replace("\r\n", "\n").strip()
    except (ValueError, AssertionError) as error:
        raise InvalidInput("this form cannot be read") from error
    return upload


def _body_of(upload: Upload, editor: Editor) -> tuple[RecordBody, tuple[bytes, bytes, bytes]]:
    """The record's body, and its three objects.

    Raises:
        InvalidInput, HostileMetainfo, VerificationFailed: a file is not what it should be, or they do not
            belong together.
    """
    for name, words in _FILES.items():
        if not upload.files.get(name):
            raise InvalidInput(
                f"{words} is missing", hint="`seedkeep share --dry-run --save DIR` writes all three."
            )
    manifest = Manifest.parse(upload.files["manifest"])
    v2, v1 = (read_metainfo(upload.files[name], limits=_LIMITS) for name in ("torrent", "torrent_v1"))
    if v2.version != 2 or v1.version != 1:
        raise InvalidInput("give the v2 torrent and the v1 torrent, each in its own field")
    if v2.info_hash != manifest.content_id():
        raise InvalidInput("the v2 torrent is not that of the manifest: its info-hash is another one")
    _require_same(manifest, v1)
    encoded = manifest.encode()
    dataset = Dataset(
        name=manifest.name,
        content_id=v2.info_hash,
        infohash_v1=v1.info_hash,
        files=len(manifest.files),
        bytes=manifest.bytes,
        piece_length=manifest.piece_length,
        manifest=hashlib.sha256(encoded).hexdigest(),
        piece_layers=hashlib.sha256(v2.layers).hexdigest(),
        pieces_v1=hashlib.sha256(v1.pieces).hexdigest(),
    )
    texts = {name: upload.texts.get(name, "") for name in _TEXTS}
    if not (texts["copies"].isascii() and texts["copies"].isdigit() and len(texts["copies"]) <= 3):
        raise InvalidInput("copies is not a whole number")
    metadata = Metadata(
        title=texts["title"],
        creators=tuple(Creator(name) for name in _lines(texts["creators"])),
        subjects=tuple(Subject(text) for text in _lines(texts["subjects"])),
        description=texts["description"],
    )
    body = RecordBody(
        dataset,
        metadata,
        license=texts["license"] or DEFAULT_LICENSE,
        web_seeds=tuple(_lines(texts["web_seeds"])),
        copies=int(texts["copies"]),
        editor=editor,
    )
    return RecordBody.parse(body.encode()), (encoded, v2.layers, v1.pieces)


def _require_same(manifest: Manifest, v1: Metainfo) -> None:
    ours = [(f.path, f.size) for f in manifest.files]
    theirs = [(f.path, f.size) for f in v1.files]
    if (v1.name, v1.piece_length, theirs) != (manifest.name, manifest.piece_length, ours):
        raise InvalidInput("the v1 torrent is not that of the manifest: names, sizes or pieces differ")


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.split("\n") if line.strip()]


def _signed(registrar: Registrar, body: RecordBody) -> SignedEvent:
    data = body.encode()
    now = times.text(registrar.clock())
    event = sign_event(registrar.key, type=RECORD, body=data, home=registrar.origin, created=now)
    return SignedEvent(event, data)


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data
