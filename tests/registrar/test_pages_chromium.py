"""Every page in a real Chromium, at the width of a desk and of a phone, in light and in dark."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from seedkeep.core.errors import Refused
from seedkeep.core.httpsig import Unauthenticated
from seedkeep_registrar.context import Registrar
from seedkeep_registrar.database import Unavailable
from seedkeep_registrar.pages import routes
from seedkeep_registrar.problems import TooManyRequests
from tests.registrar.page_world import Shot, World, look, world
from tests.support.chromium import Tab, browsing

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(500)]

FAULTS: dict[str, Exception] = {
    "429": TooManyRequests("you have asked for more than 600 pages in a minute", retry_after=40),
    "403": Refused("this is for curators of this registrar only", hint="Ask its operator."),
    "401": Unauthenticated("this needs you to sign in", hint="Sign in, then come back."),
    "503": Unavailable("the registrar's database does not take this now", hint="Try again later."),
    "500": RuntimeError("a secret of the house"),
}


async def open_everything(tab: Tab) -> None:
    """Open every disclosure, and a folder within a folder, as a reader with scripts would."""
    await tab.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true })")
    for name in ("reads/", "plate-03/"):
        await tab.evaluate(
            f"[...document.querySelectorAll('a.folder')].find((a) => a.innerText === {name!r}).click()"
        )
        await tab.until(f"[...document.querySelectorAll('.tree .tree')].length >= {1 + (name != 'reads/')}")


SHOTS = [
    Shot("home", lambda w: "/"),
    Shot("home-older", lambda w: "/?cursor=15"),
    Shot("record", lambda w: f"/{w.rich['ark']}"),
    Shot("record-hostile", lambda w: f"/{w.hostile['ark']}"),
    Shot("record-bare", lambda w: f"/{w.bare['ark']}"),
    Shot("tainted", lambda w: f"/{w.tainted['ark']}", 451),
    Shot("not-found", lambda w: f"/{w.rich['ark'][:-1]}{'0' if w.rich['ark'][-1] != '0' else '1'}", 404),
    Shot("no-such-page", lambda w: "/nope", 404),
    Shot("superseded", lambda w: f"/{w.older['ark']}"),
    Shot("new-version", lambda w: f"/{w.newer['ark']}"),
    Shot("withdrawn", lambda w: f"/{w.withdrawn['ark']}", 410),
    Shot("record-folder", lambda w: f"/{w.rich['ark']}?folder=reads/plate-03"),
    Shot("record-opened", lambda w: f"/{w.rich['ark']}", do=open_everything),
    Shot("nodes", lambda w: "/nodes"),
    Shot("nodes-second", lambda w: "/nodes?after=10"),
    Shot("too-many", lambda w: "/find?id=429", 429),
    Shot("refused", lambda w: "/find?id=403", 403),
    Shot("sign-in-first", lambda w: "/find?id=401", 401),
    Shot("unavailable", lambda w: "/find?id=503", 503),
    Shot("broken", lambda w: "/find?id=500", 500),
    Shot("taints", lambda w: "/taints"),
    Shot("transparency", lambda w: "/transparency"),
    Shot("marked", lambda w: f"/{w.marked['ark']}?folder=people"),
    Shot("file-tainted", lambda w: f"/{w.marked['ark']}/people/names.csv", 451),
    Shot("interface", lambda w: "/api/v1/docs"),
    Shot("interface-operation", lambda w: "/api/v1/docs/search_records"),
    Shot("interface-shape", lambda w: "/api/v1/docs/Record"),
]


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def filled(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """The registrar; looking up one of the ``FAULTS`` fails with it."""
    look_up = routes.matches_of

    async def failing(registrar: Registrar, asked: str) -> list[dict[str, Any]]:
        if fault := FAULTS.get(asked):
            raise fault
        return await look_up(registrar, asked)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(routes, "matches_of", failing)
        patch.setattr(routes, "_NODES_PER_PAGE", 10)
        async with world(tmp_path_factory.mktemp("world")) as opened:
            yield opened


@pytest.mark.parametrize("shot", SHOTS, ids=lambda shot: shot.name)
async def test_a_page_is_quiet_fits_the_window_and_bars_nobody(
    chromium_port: int, filled: World, shot: Shot, tmp_path: Path
) -> None:
    async with browsing(chromium_port) as tab:
        assert await look(tab, filled, shot, tmp_path) == []


async def test_what_bars_somebody_is_found(chromium_port: int) -> None:
    bad = '<html><title>x</title><main><p style="color:%23aaa">faint</p><input name="nameless"></main>'
    async with browsing(chromium_port) as tab:
        await tab.open(f"data:text/html,{bad}")
        found = {barrier.partition(":")[0] for barrier in await tab.barriers()}
        assert {"html-has-lang", "color-contrast", "label"} <= found


async def test_a_page_says_the_same_without_scripts(chromium_port: int, filled: World) -> None:
    async with browsing(chromium_port) as tab:
        await tab.open(f"{filled.url}/{filled.rich['ark']}", scripts=False)
        assert "seedkeep fetch http" in await tab.evaluate("document.body.innerText")
        assert await tab.evaluate("document.querySelectorAll('button.copier').length") == 0


async def test_nothing_a_name_says_becomes_part_of_the_page(chromium_port: int, filled: World) -> None:
    async with browsing(chromium_port) as tab:
        await tab.open(f"{filled.url}/{filled.hostile['ark']}")
        scripts = "[...document.scripts].filter(s => s.type != 'application/ld+json').map(s => s.src)"
        (own,) = await tab.evaluate(scripts)
        assert own.startswith(f"{filled.url}/static/seedkeep.js?v=")
        assert await tab.evaluate(
            "document.querySelector('h1').innerText.includes('<script>alert(1)</script>')"
        )
        hidden = "[...document.querySelectorAll('h1 .hidden-character')].map(e => e.innerText)"
        assert await tab.evaluate(hidden) == ["U+202E", "U+200B", "U+0001", "U+001B"]


async def test_a_page_can_be_walked_with_the_keyboard(chromium_port: int, filled: World) -> None:
    async with browsing(chromium_port) as tab:
        await tab.open(f"{filled.url}/")
        walked = []
        for _ in range(7):
            for kind in ("keyDown", "keyUp"):
                await tab.call(
                    "Input.dispatchKeyEvent", type=kind, key="Tab", code="Tab", windowsVirtualKeyCode=9
                )
            walked.append(
                await tab.evaluate("document.activeElement.innerText || document.activeElement.name")
            )
            outline = await tab.evaluate("getComputedStyle(document.activeElement).outlineWidth")
            assert outline == "3px", walked
        assert walked[:2] == ["Skip to the content", "Open Genomes"]
        assert {"Datasets", "Nodes", "Taints"} < set(walked)
