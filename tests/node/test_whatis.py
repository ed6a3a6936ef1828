"""A file in hand, a folder or a checksum leads to its datasets."""

from __future__ import annotations

import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from seedkeep.core.errors import InvalidInput, NotFound, UsageError
from seedkeep.whatis import Meaning, whatis
from tests.node.test_cli import seedkeep
from tests.support.desk import Desk
from tests.support.registrar import RegistrarUnderTest, Shareable, shareable


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    (tmp_path / "desk").mkdir()
    async with aiohttp.ClientSession() as session:
        yield Desk(tmp_path / "desk", session)


def put(what: Shareable, place: Path) -> Path:
    """The dataset's files, below ``place``."""
    for path, content in what.data.content.items():
        (place / path).parent.mkdir(parents=True, exist_ok=True)
        (place / path).write_bytes(content)
    return place


async def ask(desk: Desk, registrar: RegistrarUnderTest, what: object) -> Meaning:
    return await whatis(desk.resolver(registrar.url), str(what), lambda done, total: None)


async def test_a_file_leads_to_every_dataset_it_is_in(
    desk: Desk,
    registrar: RegistrarUnderTest,
    tmp_path: Path,
) -> None:
    one = shareable("one", {"reads/a.txt": b"the same bytes", "b": b"b"})
    two = shareable("two", {"copy.txt": b"the same bytes", "c": b"c"})
    arks = [(await registrar.person().register(what))["ark"] for what in (one, two)]
    file = tmp_path / "renamed.dat"
    file.write_bytes(b"the same bytes")
    for asked in (file, f"md5:{hashlib.md5(b'the same bytes').hexdigest()}"):
        found = (await ask(desk, registrar, asked)).found
        assert [(f.record.ark, f.path) for f in found if f.record] == [
            (arks[0], "reads/a.txt"),
            (arks[1], "copy.txt"),
        ]


async def test_a_folder_leads_to_the_dataset_that_it_is(
    desk: Desk,
    registrar: RegistrarUnderTest,
    tmp_path: Path,
) -> None:
    what = shareable()
    document = await registrar.person().register(what)
    found = await ask(desk, registrar, put(what, tmp_path / "sample"))
    assert str(found.name) == f"urn:btmh:1220{document['content_id']}"
    assert [f.record.ark for f in found.found if f.record] == [document["ark"]]


async def test_what_is_nothing_is_said(
    desk: Desk,
    registrar: RegistrarUnderTest,
    tmp_path: Path,
) -> None:
    (tmp_path / "unknown").write_bytes(b"never shared")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(NotFound):
        await ask(desk, registrar, tmp_path / "unknown")
    with pytest.raises(InvalidInput, match="is not a file"):
        await ask(desk, registrar, tmp_path / "pipe")
    with pytest.raises(UsageError):
        await ask(desk, registrar, "neither a path nor a name")


async def test_the_command_shows_names_and_tells_what_it_did_not_find(
    registrar: RegistrarUnderTest, tmp_path: Path
) -> None:
    document = await registrar.person().register(shareable("one", {"a.txt": b"bytes", "b": b"b"}))
    (tmp_path / "mine.txt").write_bytes(b"bytes")
    (tmp_path / "other").write_bytes(b"never shared")
    ended = await seedkeep(
        tmp_path,
        "whatis",
        str(tmp_path / "mine.txt"),
        str(tmp_path / "other"),
        "--registrar",
        registrar.url,
        "--json",
    )
    assert ended.code == 3
    (found,) = ended.json["found"]
    assert found["datasets"][0]["ark"] == document["ark"]
    assert found["datasets"][0]["path"] == "a.txt"
    assert ended.json["unknown"] == [str(tmp_path / "other")]
    plain = await seedkeep(tmp_path, "whatis", str(tmp_path / "mine.txt"), "--registrar", registrar.url)
    assert plain.code == 0
    assert document["ark"] in plain.out
