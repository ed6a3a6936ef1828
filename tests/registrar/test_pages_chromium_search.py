"""The pages of search and collections in a real Chromium."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import pytest_asyncio

from tests.registrar.page_world import HOSTILE, Shot, World, look, world
from tests.support.chromium import browsing
from tests.support.people import Browser, browser, collecting

pytestmark = pytest.mark.asyncio(loop_scope="module")
BOSS = "boss@example.org"
_HURTS = "".join(c for c in HOSTILE if c.isprintable())[:200]


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def library(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[World, Browser]]:
    """A filled registrar with collections, and a browser that their curator is signed in with."""
    async with AsyncExitStack() as stack:
        mailbox = stack.enter_context(collecting())
        filled = await stack.enter_async_context(
            world(tmp_path_factory.mktemp("library"), operator_emails=(BOSS,))
        )
        boss = await stack.enter_async_context(browser(filled.url))
        await boss.sign_in(BOSS, mailbox)
        for slug, title, more in (
            ("rivers", "Phages of urban rivers", {"description": "What lives in our rivers. " * 20}),
            ("hostile", _HURTS, {"description": HOSTILE.replace("\x01", "")}),
            ("virology", "Virology", {"subject": "virology"}),
        ):
            made = {"slug": slug, "title": title, **more}
            assert (await boss.json("POST", "/api/v1/collections", made)).status == 201
        chosen = {"add": [filled.rich["rid"], filled.hostile["rid"], filled.bare["rid"]]}
        for slug in ("rivers", "hostile"):
            answer = await boss.json("POST", f"/api/v1/collections/{slug}/datasets", chosen)
            assert answer.status == 200
        yield filled, boss


SHOTS = [
    Shot("search", lambda w: "/search"),
    Shot("search-words", lambda w: "/search?q=lambda+phage+-yeast&subject=virology&size=1MB-100MB"),
    Shot("search-found", lambda w: "/search?q=a*+-nothing&year=2026&license=CC0-1.0&sort=newest"),
    Shot("search-nothing", lambda w: "/search?q=%3Cb%3Enothing%22&subject=" + "W" * 300),
    Shot("search-wrong", lambda w: "/search?cursor=x", 400),
    Shot("collections", lambda w: "/collections"),
    Shot("collection", lambda w: "/collections/rivers"),
    Shot("collection-hostile", lambda w: "/collections/hostile"),
    Shot("collection-subject", lambda w: "/collections/virology"),
    Shot("collection-none", lambda w: "/collections/none", 404),
]


@pytest.mark.parametrize("shot", SHOTS, ids=lambda shot: shot.name)
async def test_a_page_is_quiet_fits_the_window_and_bars_nobody(
    chromium_port: int, library: tuple[World, Browser], shot: Shot, tmp_path: Path
) -> None:
    async with browsing(chromium_port) as tab:
        assert await look(tab, library[0], shot, tmp_path) == []


@pytest.mark.parametrize(
    "shot",
    [
        Shot("collections-curator", lambda w: "/collections"),
        Shot("collection-curator", lambda w: "/collections/rivers"),
    ],
    ids=lambda shot: shot.name,
)
async def test_a_curators_page_does_too(
    chromium_port: int, library: tuple[World, Browser], shot: Shot, tmp_path: Path
) -> None:
    filled, boss = library
    async with browsing(chromium_port) as tab:
        for name, value in boss.cookies.items():
            await tab.cookie(filled.url, name, value)
        assert await look(tab, filled, shot, tmp_path) == []
