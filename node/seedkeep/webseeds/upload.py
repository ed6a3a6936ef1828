"""Put a dataset into an object store so that it serves as a web seed.

Objects lie at ``<prefix>/<name>/<path>`` (BEP 19). What is already there with the right size and digest is
not sent again, so that an interrupted upload goes on; bytes that are no longer those of the manifest are
never published.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self

import aiohttp

from seedkeep.core.errors import Refused
from seedkeep.core.manifest import FileEntry, Manifest
from seedkeep.core.swift_auth import Credentials
from seedkeep.core.web_seed import ObjectPlace, path_below
from seedkeep.webseeds.local_file import LocalFile
from seedkeep.webseeds.probe import answers_ranges
from seedkeep.webseeds.s3 import S3Store
from seedkeep.webseeds.swift import SwiftStore

_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class UploadProgress:
    """How far an upload is.

    Args:
        bytes_done, files_done: sent, or found to be there already.
        path: the file that moved last.
        seconds: since the start.
    """

    bytes_done: int
    bytes_total: int
    files_done: int
    files_total: int
    path: str
    seconds: float


class Store(Protocol):
    """What an upload needs of an object store; files larger than ``large_above`` are sent one at a time."""

    large_above: int

    async def __aenter__(self) -> Self: ...
    async def __aexit__(self, *error: object) -> None: ...
    async def prepare(self) -> None: ...
    async def has(self, key: str, entry: FileEntry) -> bool: ...
    async def put(self, key: str, file: LocalFile, report: Callable[[int], None]) -> None: ...
    async def public_url(self) -> str: ...


async def upload(
    target: str,
    root: Path,
    manifest: Manifest,
    *,
    progress: Callable[[UploadProgress], None] | None = None,
    public_url: str | None = None,
    environ: Mapping[str, str] | None = None,
) -> str:
    """Send a dataset to ``s3://bucket/prefix`` or ``swift://container/prefix``.

    Cancel the task to stop; the next call goes on from there.

    Args:
        root: the shared directory, or the single file.
        progress: called in the event loop after every step.
        public_url: where anyone can read the place, if that is not the store's own URL for it.
        environ: where Swift credentials come from (``ST_*``, ``OS_*``); the process's by default. S3
            credentials come from boto3's usual places (``AWS_*``, its files).

    Returns:
        The web seed to record: an http(s) base URL when anyone can read it, else ``s3://…/`` or
        ``swift://…/``, which a registrar with credentials redirects.

    Raises:
        VerificationFailed: a file has changed since it was hashed; names it.
        InvalidInput, UsageError: the target, or a file's name in it, is impossible; no credentials.
        NotFound, Refused, Unreachable: the store cannot be written to; ``public_url`` cannot be read.
        Error: a file cannot be read.
    """
    place = ObjectPlace.parse(target)
    if place.kind == "s3":
        return await upload_to(
            S3Store(place), place, root, manifest, progress=progress, public_url=public_url
        )
    credentials = Credentials.from_environment(os.environ if environ is None else environ)
    store = SwiftStore(place, credentials)
    return await upload_to(store, place, root, manifest, progress=progress, public_url=public_url)


async def upload_to(
    store: Store,
    place: ObjectPlace,
    root: Path,
    manifest: Manifest,
    *,
    progress: Callable[[UploadProgress], None] | None = None,
    public_url: str | None = None,
) -> str:
    """:func:`upload` to a store that the caller has made; it is closed at the end."""
    keys = [place.key(path_below(manifest.name, f.path, files=len(manifest.files))) for f in manifest.files]
    tally = _Tally(manifest, progress)
    async with store:
        await store.prepare()
        await _send_all(store, root, manifest, keys, tally)
        if public_url is None:
            base, given = await store.public_url(), False
        else:
            base, given = public_url, True
    async with aiohttp.ClientSession() as session:
        verdict = await answers_ranges(session, base, manifest, allow_private=True)
    if verdict.ok:
        return base
    if given:
        raise Refused(
            f"{base} cannot be read as a web seed: {verdict.reason}",
            hint=f"The files are at {place}; check the public URL, or leave it out.",
        )
    return str(place)


async def _send_all(store: Store, root: Path, manifest: Manifest, keys: list[str], tally: _Tally) -> None:
    work = iter(list(zip(manifest.files, keys, strict=True)))
    large = asyncio.Lock()

    async def send(entry: FileEntry, key: str) -> None:
        if await store.has(key, entry):
            tally.moved(entry, entry.size)
        else:
            path = root if manifest.is_single_file else root / entry.path
            with closing(LocalFile(path, entry)) as local:
                await asyncio.to_thread(local.open)
                await store.put(key, local, lambda done: tally.moved(entry, done))
        tally.finished(entry)

    async def worker(work: Iterator[tuple[FileEntry, str]]) -> None:
        for entry, key in work:
            if entry.size > store.large_above:
                async with large:
                    await send(entry, key)
            else:
                await send(entry, key)

    tasks = [asyncio.create_task(worker(work)) for _ in range(min(_AT_ONCE, len(keys)))]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class _Tally:
    """Adds up what several workers report."""

    def __init__(self, manifest: Manifest, progress: Callable[[UploadProgress], None] | None) -> None:
        self._progress = progress
        self._bytes_total = manifest.bytes
        self._files_total = len(manifest.files)
        self._bytes = 0
        self._files = 0
        self._under_way: dict[str, int] = {}
        self._began = time.monotonic()

    def moved(self, entry: FileEntry, done: int) -> None:
        self._bytes += done - self._under_way.get(entry.path, 0)
        self._under_way[entry.path] = done
        self._tell(entry)

    def finished(self, entry: FileEntry) -> None:
        self._bytes += entry.size - self._under_way.pop(entry.path, 0)
        self._files += 1
        self._tell(entry)

    def _tell(self, entry: FileEntry) -> None:
        if self._progress is not None:
            seconds = time.monotonic() - self._began
            self._progress(
                UploadProgress(
                    self._bytes, self._bytes_total, self._files, self._files_total, entry.path, seconds
                )
            )
