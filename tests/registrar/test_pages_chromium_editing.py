"""The pages of editing, history, registering and operating in a real Chromium, filled with what hurts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import pytest_asyncio

from seedkeep.core.metadata import Affiliation, Contact, Creator, Date, Funding, Metadata, Related, Subject
from tests.registrar.page_world import HOSTILE, Shot, World, look
from tests.support.chromium import browsing
from tests.support.people import Browser, browser, collecting
from tests.support.registrar import shareable, start_registrar

pytestmark = pytest.mark.asyncio(loop_scope="module")
BOSS = "boss@example.org"
HURTS = "".join(c for c in HOSTILE if c.isprintable())[:200]
RICH = Metadata(
    title=HURTS,
    creators=(
        Creator("Lovelace, Ada", orcid="0000-0002-1825-0097", affiliations=(Affiliation("W" * 120),)),
        Creator(HURTS),
    ),
    subjects=(Subject("Lambdavirus lambda", "NCBITaxon", "10710"), Subject(HURTS)),
    description=f"{HURTS}\n\nSecond paragraph.",
    funding=(Funding("A fund", award="42"),),
    related=(Related("IsDescribedBy", "doi:10.1016/0022-2836(82)90546-0"),),
    dates=(Date("Collected", "2020/2021"),),
    contacts=(Contact("Desk", "desk@example.org"),),
)


class Desk:
    """A registrar with one record of three revisions, and its operator signed in."""

    def __init__(self, world: World, boss: Browser, rid: str, long: str) -> None:
        self.world, self.boss, self.rid, self.long = world, boss, rid, long


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def desk(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Desk]:
    folder = tmp_path_factory.mktemp("desk")
    async with AsyncExitStack() as stack:
        running = await stack.enter_async_context(
            start_registrar(folder / "registrar", name="Open Genomes", operator_emails=(BOSS,))
        )
        mailbox = stack.enter_context(collecting())
        boss = await stack.enter_async_context(browser(running.url))
        await boss.sign_in(BOSS, mailbox)
        record = await running.person().register(shareable(), metadata=RICH)
        for number in range(2):
            path = f"/records/{record['rid']}/edit"
            saved = await boss.post(path, {"title": f"Revision {number}: {HURTS}", "note": HURTS})
            assert saved.status == 303, saved
        many = Metadata(title="Many", creators=tuple(Creator(f"Okafor, {n}") for n in range(60)))
        long = await running.person().register(shareable("long"), metadata=many)
        yield Desk(World(running, running.person()), boss, record["rid"], long["rid"])


SHOTS = [
    Shot("edit", lambda w: "/records/RID/edit"),
    Shot("edit-long", lambda w: "/records/LONG/edit"),
    Shot("history", lambda w: "/records/RID/history"),
    Shot("register", lambda w: "/register"),
    Shot("operate", lambda w: "/operate"),
    Shot("journal", lambda w: "/operate/journal"),
]


@pytest.mark.parametrize("shot", SHOTS, ids=lambda shot: shot.name)
async def test_a_page_is_quiet_fits_the_window_and_bars_nobody(
    chromium_port: int, desk: Desk, shot: Shot, tmp_path: Path
) -> None:
    async with browsing(chromium_port) as tab:
        for name, value in desk.boss.cookies.items():
            await tab.cookie(desk.world.url, name, value)
        path = shot.path(desk.world).replace("RID", desk.rid).replace("LONG", desk.long)
        assert await look(tab, desk.world, Shot(shot.name, lambda w: path, shot.status), tmp_path) == []
