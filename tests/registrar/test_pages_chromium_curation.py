"""The pages of the curation queue in a real Chromium."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import pytest_asyncio

from seedkeep.core.metadata import Metadata
from seedkeep_registrar.accounts.oidc_provider import OidcProvider
from seedkeep_registrar.store import account_keys, accounts
from seedkeep_registrar.store.accounts import Role
from tests.registrar.page_world import HOSTILE, RICH, Shot, World, look
from tests.support.chromium import browsing
from tests.support.oidc import CLIENT, SECRET
from tests.support.people import Browser, browser, collecting
from tests.support.registrar import shareable as dataset
from tests.support.registrar import start_registrar

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Queue:
    """A curated registrar, its curator's browser, and submissions by name."""

    def __init__(self, world: World, curator: Browser) -> None:
        self.world, self.curator = world, curator
        self.rids: dict[str, str] = {}


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def queue(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Queue]:
    folder = tmp_path_factory.mktemp("queue")
    services = (
        OidcProvider("orcid", "https://orcid.org", CLIENT, SECRET),
        OidcProvider("uni", "https://login.example.edu", CLIENT, SECRET, title="Example University"),
    )
    async with AsyncExitStack() as stack:
        running = await stack.enter_async_context(
            start_registrar(folder / "registrar", name="Open Genomes", registration="curated", oidc=services)
        )
        mailbox = stack.enter_context(collecting())
        curator = await stack.enter_async_context(browser(running.url))
        now, db = running.clock(), running.context.db
        await db.write(accounts.create, email="cleo@example.org", role=Role.CURATOR, now=now, name="Cleo")
        await curator.sign_in("cleo@example.org", mailbox)
        filled = Queue(World(running, running.person()), curator)
        ann = running.person()
        account = await db.write(
            accounts.create, email="ann@example.org", role=Role.MEMBER, now=now, name="Ann Example"
        )
        await db.write(account_keys.bind, str(ann), account.id, "laptop", now)
        many = {f"reads/plate-{n:03}.fastq": b"%d" % n for n in range(150)}
        for name, person, content, metadata in (
            ("rich", ann, many, RICH),
            ("hostile", running.person(), None, Metadata(title=HOSTILE.replace("\x01", "")[:500])),
            ("returned", ann, None, Metadata(title="Soil, 2021")),
            ("approved", ann, None, Metadata(title="Barley, 2020")),
        ):
            what = dataset(name, content)
            await person.upload(what)
            body = what.body(metadata=metadata).encode()
            event = person.event(body)
            answer = await person.submit(event, body)
            assert answer.status == 202, answer
            filled.rids[name] = event.hash()
        for name, decision in (("returned", "return"), ("approved", "approve")):
            page = f"/curation/{filled.rids[name]}/{decision}"
            assert (await curator.post(page, {"reason": "Name the field,\nand its size."})).status == 303
            await mailbox.next("ann@example.org")
        yield filled


SHOTS = [
    Shot("curation", lambda w: "/curation"),
    Shot("curation-all", lambda w: "/curation?state=all"),
    Shot("curation-empty", lambda w: "/curation?state=rejected"),
    Shot("submission", lambda w: "/curation/{rich}"),
    Shot("submission-hostile", lambda w: "/curation/{hostile}"),
    Shot("submission-returned", lambda w: "/curation/{returned}"),
    Shot("submission-approved", lambda w: "/curation/{approved}"),
    Shot("taint-new", lambda w: "/taints/new"),
    Shot("account-services", lambda w: "/account"),
    Shot("record-mails", lambda w: "/records/{approved}/mails"),
]


@pytest.mark.parametrize("shot", SHOTS, ids=lambda shot: shot.name)
async def test_a_page_is_quiet_fits_the_window_and_bars_nobody(
    chromium_port: int, queue: Queue, shot: Shot, tmp_path: Path
) -> None:
    async with browsing(chromium_port) as tab:
        for name, value in queue.curator.cookies.items():
            await tab.cookie(queue.world.url, name, value)
        path = shot.path(queue.world).format(**queue.rids)
        assert await look(tab, queue.world, Shot(shot.name, lambda w: path, shot.status), tmp_path) == []


async def test_the_services_to_sign_in_with_are_shown(
    chromium_port: int, queue: Queue, tmp_path: Path
) -> None:
    async with browsing(chromium_port) as tab:
        shot = Shot("sign-in-services", lambda w: "/sign-in")
        assert await look(tab, queue.world, shot, tmp_path) == []
        assert "Example University" in await tab.evaluate("document.body.innerText")
