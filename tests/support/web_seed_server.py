"""An HTTP web seed that can be told to misbehave in every way servers do."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web


@dataclass
class WebSeedServer:
    """Serves a folder below ``/files/`` and, by redirect, below ``/ws/``. All faults are off at first.

    Attributes:
        base: web-seed URL of the files themselves.
        redirector: web-seed URL that answers 302 to a target signed for ``valid_for`` seconds.
        served: payload bytes sent, all requests together.
        requests: (path, status) of every request.
        status: answer this instead of data (of the files, or of signed targets); None = do not.
        corrupt: flip the first byte of every answer whose path it accepts.
        truncate: close the connection after this many bytes of an answer.
        ignore_range: answer 200 with the whole file whatever was asked.
        pause: seconds between chunks of ``chunk`` bytes.
    """

    folder: Path
    base: str = ""
    redirector: str = ""
    served: int = 0
    requests: list[tuple[str, int]] = field(default_factory=list)
    status: int | None = None
    corrupt: Callable[[str], bool] = lambda path: False
    truncate: int | None = None
    ignore_range: bool = False
    pause: float = 0.0
    chunk: int = 65536
    valid_for: float = 3600.0

    async def files(self, request: web.Request) -> web.StreamResponse:
        return await self._answer(request, self.status)

    async def redirect(self, request: web.Request) -> web.StreamResponse:
        path = request.match_info["path"]
        expires = time.monotonic() + self.valid_for
        self.requests.append((request.path, 302))
        # The path goes out as it came in, so that odd names stay escaped.
        raw = request.rel_url.raw_path.removeprefix("/ws/")
        assert path
        raise web.HTTPFound(f"/signed/{raw}?expires={expires:.3f}&signature=secret")

    async def signed(self, request: web.Request) -> web.StreamResponse:
        expired = float(request.query["expires"]) < time.monotonic()
        return await self._answer(request, 403 if expired else self.status)

    async def _answer(self, request: web.Request, status: int | None) -> web.StreamResponse:
        path = self.folder / request.match_info["path"]
        if status is None and not path.is_file():
            status = 404
        if status is not None:
            self.requests.append((request.path, status))
            return web.Response(status=status, text="no")
        size = path.stat().st_size
        asked = request.http_range
        whole = self.ignore_range or (asked.start is None and asked.stop is None)
        start = 0 if whole else asked.start or 0
        stop = size if whole else min(asked.stop or size, size)
        data = bytearray(path.read_bytes()[start:stop])
        if self.corrupt(request.match_info["path"]) and data:
            data[0] ^= 0xFF
        response = web.StreamResponse(status=200 if whole else 206)
        response.content_length = len(data)
        if not whole:
            response.headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
        self.requests.append((request.path, response.status))
        await response.prepare(request)
        for at in range(0, len(data), self.chunk):
            chunk = bytes(data[at : at + self.chunk])
            if self.truncate is not None and at + len(chunk) > self.truncate:
                await response.write(chunk[: max(0, self.truncate - at)])
                self.served += max(0, self.truncate - at)
                if request.transport is not None:
                    request.transport.close()
                return response
            await response.write(chunk)
            self.served += len(chunk)
            if self.pause:
                await asyncio.sleep(self.pause)
        return response

    def answers(self, status: int) -> int:
        """How many requests were answered so."""
        return sum(1 for _, given in self.requests if given == status)


@asynccontextmanager
async def web_seed_server(folder: Path, host: str = "127.0.0.1") -> AsyncIterator[WebSeedServer]:
    """A server for the datasets in ``folder``, on a free port of ``host``."""
    server = WebSeedServer(folder)
    app = web.Application()
    app.router.add_get("/files/{path:.+}", server.files)
    app.router.add_get("/ws/{path:.+}", server.redirect)
    app.router.add_get("/signed/{path:.+}", server.signed)
    runner = web.AppRunner(app, shutdown_timeout=0.2)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, 0)
        await site.start()
        root = f"http://{host}:{runner.addresses[0][1]}"
        server.base, server.redirector = f"{root}/files/", f"{root}/ws/"
        yield server
    finally:
        await runner.cleanup()
