"""What a person hears of taints who fetches data, or has them."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from seedkeep.core.errors import Tainted
from tests.node.test_cli import seedkeep
from tests.support.desk import Desk, right, seeding
from tests.support.registrar import RegistrarUnderTest, shareable

BAD = b"the tainted bytes"
ROOT = hashlib.sha256(BAD).hexdigest()
WHY = {"basis": "Art. 17 GDPR", "jurisdiction": "EU", "appeal": "write to ethics@example.org"}


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    (tmp_path / "desk").mkdir()
    async with aiohttp.ClientSession() as session:
        yield Desk(tmp_path / "desk", session)


async def test_a_refusal_says_why_by_whom_and_how_to_object(
    desk: Desk, registrar: RegistrarUnderTest
) -> None:
    record = await registrar.person().register(shareable())
    await registrar.curator.taint(f"content:{record['content_id']}", **WHY)
    with pytest.raises(Tainted) as caught:
        await desk.fetch(record["ark"], registrar.url)
    text = caught.value.what
    for part in ("court-order: a court said so (Art. 17 GDPR, EU)", registrar.url, WHY["appeal"]):
        assert part in text
    assert caught.value.exit_code == 4


async def test_withheld_files_are_named_and_the_others_can_be_had(
    desk: Desk, registrar: RegistrarUnderTest, tmp_path: Path
) -> None:
    what = shareable("some", {"a": BAD, "b": b"good", "sub/a": BAD})
    ark = (await registrar.person().register(what))["ark"]
    await registrar.curator.taint(f"root:{ROOT}", **WHY)
    for name in (ark, f"{ark}/sub"):
        with pytest.raises(Tainted, match=r"sub/a.*a court said so") as caught:
            await desk.fetch(name, registrar.url)
    assert caught.value.exit_code == 4
    assert not (desk.path / "out").exists()
    async with seeding(desk.swarm, what, tmp_path / "peer"):
        await desk.fetch(f"{ark}/b", registrar.url)
    assert right(desk.path / "out", what, ["b"])


async def test_a_warning_is_told_and_the_fetch_goes_on_and_verify_tells_it_later(
    desk: Desk, registrar: RegistrarUnderTest, tmp_path: Path
) -> None:
    what = shareable("some", {"a": BAD, "b": b"good"})
    record = await registrar.person().register(what)
    await registrar.curator.taint(f"content:{record['content_id']}", effect="warn")
    async with seeding(desk.swarm, what, tmp_path / "peer"):
        await desk.fetch(record["ark"], registrar.url)
    assert [n for n in desk.notes if "a court said so" in n]
    await registrar.curator.taint(f"root:{ROOT}")
    (desk.path / "out" / "some" / "a").unlink()
    place = str(desk.path / "out" / "some")
    ended = await seedkeep(tmp_path, "verify", place, record["ark"], "--json", "--registrar", registrar.url)
    assert (ended.code, ended.json["ok"], ended.json["withheld"]) == (0, True, ["a"])
    assert len(ended.json["taints"]) == 2
    other = hashlib.sha256(b"good").hexdigest()
    await registrar.curator.taint(f"root:{other}")
    ended = await seedkeep(tmp_path, "verify", place, record["ark"], "--json", "--registrar", registrar.url)
    assert ended.code == 4
