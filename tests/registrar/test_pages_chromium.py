"""Every page in a real Chromium, at the width of a desk and of a phone, in light and in dark."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.registrar.page_world import Shot, World, look, world
from tests.support.chromium import browsing

pytestmark = pytest.mark.asyncio(loop_scope="module")

SHOTS = [
    Shot("home", lambda w: "/"),
    Shot("home-older", lambda w: "/?cursor=15"),
    Shot("record", lambda w: f"/{w.rich['ark']}"),
    Shot("record-hostile", lambda w: f"/{w.hostile['ark']}"),
    Shot("record-bare", lambda w: f"/{w.bare['ark']}"),
    Shot("tainted", lambda w: f"/{w.tainted['ark']}", 451),
    Shot("not-found", lambda w: f"/{w.rich['ark'][:-1]}{'0' if w.rich['ark'][-1] != '0' else '1'}", 404),
    Shot("no-such-page", lambda w: "/nope", 404),
    Shot("nodes", lambda w: "/nodes"),
    Shot("taints", lambda w: "/taints"),
]


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def filled(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with world(tmp_path_factory.mktemp("world")) as opened:
        yield opened


@pytest.mark.parametrize("shot", SHOTS, ids=lambda shot: shot.name)
async def test_a_page_is_quiet_fits_the_window_and_bars_nobody(
    chromium_port: int, filled: World, shot: Shot, tmp_path: Path
) -> None:
    async with browsing(chromium_port) as tab:
        assert await look(tab, filled, shot, tmp_path) == []


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
