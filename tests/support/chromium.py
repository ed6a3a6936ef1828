"""A real headless Chromium, driven over its DevTools protocol: pages as a reader gets them.

The Debian package ``chromium``. One browser per worker, a fresh profile for each test (``tab``), no request
but to the test's own server. Everything that the browser complains about (console, blocked by policy, failed
load) is collected. ``tab.barriers()`` asks axe-core for what keeps people out.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import os
import shutil
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.support.require import require

WIDE, PHONE = 1280, 390
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-default-apps",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
)
_START_SECONDS = 60.0
#: a page of ten thousand elements keeps axe-core busy for a while
_AXE_SECONDS = 150.0
#: levels A and AA of WCAG 2.0 to 2.2, and what axe-core calls good practice beyond them
_AXE_TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
_AXE_RUN = """
var how = {runOnly: %s, resultTypes: ["violations"], preload: false};
axe.run(document, how).then((found) =>
  found.violations.flatMap((v) => v.nodes.map((n) => `${v.id}: ${n.html.slice(0, 160)} ${n.failureSummary}`)))
"""


@cache
def _axe() -> str:
    return files("axe_core_python").joinpath("axe.min.js").read_text()


@dataclass
class Tab:
    """One tab. ``complaints`` holds what the browser reported since the last :meth:`open`."""

    socket: aiohttp.ClientWebSocketResponse
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    _ids: Any = field(default_factory=lambda: itertools.count(1))
    _answers: dict[int, asyncio.Future[dict[str, Any]]] = field(default_factory=dict)
    _loaded: asyncio.Event = field(default_factory=asyncio.Event)

    async def listen(self) -> None:
        """Read what the browser says, until it hangs up."""
        async for message in self.socket:
            said = message.json()
            if "id" in said:
                self._answers.pop(said["id"]).set_result(said)
            elif said["method"] == "Page.loadEventFired":
                self._loaded.set()
            elif said["method"] == "Log.entryAdded":
                entry = said["params"]["entry"]
                self.complaints.append(f"{entry['level']}: {entry['text']} {entry.get('url', '')}")
            elif said["method"] in ("Runtime.exceptionThrown", "Runtime.consoleAPICalled"):
                self.complaints.append(str(said["params"])[:500])
            elif said["method"] == "Network.requestWillBeSent":
                self.requests.append(said["params"]["request"]["url"])

    async def call(self, method: str, *, seconds: float = 30, **params: Any) -> dict[str, Any]:
        """One DevTools command; its result, which must come within ``seconds``."""
        number = next(self._ids)
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._answers[number] = answer
        await self.socket.send_json({"id": number, "method": method, "params": params})
        said = await asyncio.wait_for(answer, seconds)
        assert "error" not in said, said
        result: dict[str, Any] = said["result"]
        return result

    async def open(self, url: str, *, width: int = WIDE, dark: bool = False, scripts: bool = True) -> None:
        """Load a page and wait until it is there."""
        self.complaints.clear()
        self.requests.clear()
        self._loaded.clear()
        phone = width < 600
        await self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=844 if phone else 900,
            deviceScaleFactor=1,
            mobile=phone,
        )
        await self.scheme(dark=dark)
        await self.call("Emulation.setScriptExecutionDisabled", value=not scripts)
        await self.call("Page.navigate", url=url)
        await asyncio.wait_for(self._loaded.wait(), 30)

    async def scheme(self, *, dark: bool) -> None:
        """Show the page in the light or in the dark."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self.call("Emulation.setEmulatedMedia", features=[scheme])

    async def cookie(self, url: str, name: str, value: str) -> None:
        """Give the browser a cookie for this site, as a sign-in would."""
        await self.call("Network.setCookie", url=url, name=name, value=value)

    async def barriers(self) -> list[str]:
        """What axe-core finds wrong with the page as it is now."""
        return await self._ask_axe(_AXE_TAGS)

    async def faint(self) -> list[str]:
        """What axe-core finds too faint: all that can change with :meth:`scheme`."""
        return await self._ask_axe(["color-contrast", "link-in-text-block"])

    async def _ask_axe(self, rules: list[str]) -> list[str]:
        if not await self.evaluate("typeof axe === 'object'"):
            await self.evaluate(f"{_axe()};0")
        found: list[str] = await self.evaluate(_AXE_RUN % rules, seconds=_AXE_SECONDS)
        return found

    async def evaluate(self, expression: str, *, seconds: float = 30) -> Any:
        """The value of a JavaScript expression in the page; of a promise what it becomes."""
        result = await self.call(
            "Runtime.evaluate",
            seconds=seconds,
            expression=expression,
            returnByValue=True,
            awaitPromise=True,
        )
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    async def until(self, expression: str) -> None:
        """Wait until a JavaScript expression is true in the page."""
        promise = (
            f"new Promise((done) => {{ const look = () => ({expression}) ? done(true)"
            " : setTimeout(look, 50); look(); })"
        )
        await self.evaluate(promise)

    async def screenshot(self, path: Path) -> Path:
        """The whole page as a PNG, at most 6,000 px of it."""
        size = (await self.call("Page.getLayoutMetrics"))["cssContentSize"]
        clip = {
            "x": 0,
            "y": 0,
            "width": size["width"],
            "height": min(size["height"], 6000),
            "scale": 1,
        }
        taken = await self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip)
        path.write_bytes(base64.b64decode(taken["data"]))
        return path

    async def overflow(self) -> int:
        """By how many pixels the page is wider than the window."""
        return int(
            await self.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        )


def _port(profile: Path, process: subprocess.Popen[bytes]) -> int:
    told = profile / "DevToolsActivePort"
    end = time.monotonic() + _START_SECONDS
    while not told.exists() or not told.read_text().strip():
        assert process.poll() is None, "chromium ended at once"
        assert time.monotonic() < end, "chromium does not start"
        time.sleep(0.05)  # another process is starting; there is no event to wait for
    return int(told.read_text().split()[0])


@pytest.fixture(scope="session")
def chromium_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The DevTools port of the worker's browser."""
    binary = shutil.which("chromium")
    require(binary is not None, "the Debian package chromium is not installed")
    assert binary is not None
    profile = tmp_path_factory.mktemp("chromium")
    process = subprocess.Popen(
        [binary, *_FLAGS, f"--user-data-dir={profile}", "about:blank"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield _port(profile, process)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # a throw-away profile: nothing to save
        process.wait()


@asynccontextmanager
async def _talking(session: aiohttp.ClientSession, url: str) -> AsyncIterator[Tab]:
    async with session.ws_connect(url, max_msg_size=0) as socket:
        tab = Tab(socket)
        listening = asyncio.create_task(tab.listen())
        try:
            yield tab
        finally:
            listening.cancel()
            with suppress(asyncio.CancelledError):
                await listening


@asynccontextmanager
async def browsing(port: int) -> AsyncIterator[Tab]:
    """A tab of a profile of its own, without cookies or cache of other tests."""
    async with aiohttp.ClientSession() as session:
        async with session.get(f"http://127.0.0.1:{port}/json/version") as answer:
            whole = (await answer.json())["webSocketDebuggerUrl"]
        async with _talking(session, whole) as browser:
            profile = (await browser.call("Target.createBrowserContext"))["browserContextId"]
            made = await browser.call("Target.createTarget", url="about:blank", browserContextId=profile)
            page = f"ws://127.0.0.1:{port}/devtools/page/{made['targetId']}"
            try:
                async with _talking(session, page) as tab:
                    for domain in ("Page", "Log", "Runtime", "Network"):
                        await tab.call(f"{domain}.enable")
                    yield tab
            finally:
                await browser.call("Target.disposeBrowserContext", browserContextId=profile)


@pytest.fixture
async def tab(chromium_port: int) -> AsyncIterator[Tab]:
    """A tab of the worker's browser, with a fresh profile."""
    async with browsing(chromium_port) as opened:
        yield opened
