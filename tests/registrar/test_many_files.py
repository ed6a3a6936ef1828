"""Datasets of many files: checked in a worker process, indexed in slices, taken up again after a crash."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from seedkeep_registrar import indexing
from seedkeep_registrar.housekeeping import Housekeeping
from seedkeep_registrar.store import files
from seedkeep_registrar.verification import FileReader
from tests.support.registrar import RegistrarUnderTest, Shareable, shareable

MANY = 5000


@pytest.fixture(scope="module")
def many() -> Shareable:
    return shareable("many", {f"d{i // 100}/f{i}": f"file {i}".encode() for i in range(MANY)})


async def test_every_file_of_many_is_found(any_registrar: RegistrarUnderTest, many: Shareable) -> None:
    assert many.data.manifest.files[MANY - 1].size
    assert indexing.SLICE < MANY
    sharer = any_registrar.person()
    document = await sharer.register(many)
    for i in (0, 1999, 2000, MANY - 1):
        entry = many.data.manifest.files[i]
        (match,) = (await sharer.get(f"/api/v1/resolve?id=md5:{entry.md5}")).json["matches"]
        assert match["path"] == entry.path
    page = await any_registrar.context.db.read(files.page, document["rid"], 1990, 20)
    assert page == list(many.data.manifest.files[1990:2010])
    again = await any_registrar.person().register(many)
    assert again["rid"] != document["rid"]


async def test_an_interrupted_index_goes_on_where_it_was(
    any_registrar: RegistrarUnderTest, many: Shareable
) -> None:
    db, m = any_registrar.context.db, many.data.manifest
    number, indexed = await db.write(files.begin_manifest, m.digest(), m.content_id(), any_registrar.clock())
    assert await db.write(files.add, number, indexed, m.files[:2500]) == 2500
    await any_registrar.person().register(many)
    for i in (2499, 2500, MANY - 1):
        digest = hashlib.sha256(many.data.content[m.files[i].path]).hexdigest()
        answer = await any_registrar.person().get(f"/api/v1/resolve?id=hash://sha256/{digest}")
        assert [x["path"] for x in answer.json["matches"]] == [m.files[i].path]


async def test_an_index_that_no_record_came_to_name_is_dropped(
    any_registrar: RegistrarUnderTest, many: Shareable
) -> None:
    db, m = any_registrar.context.db, many.data.manifest
    number, _ = await db.write(files.begin_manifest, m.digest(), m.content_id(), any_registrar.clock())
    await db.write(files.add, number, 0, m.files)
    any_registrar.clock.offset = 90_000
    await Housekeeping(any_registrar.context).drop_rubbish()
    assert await db.read(files.by_number, number, [0, MANY - 1]) == {}


def test_slices_of_a_manifest_are_read_from_anywhere(tmp_path: Path, many: Shareable) -> None:
    place, m = tmp_path / "manifest", many.data.manifest
    place.write_bytes(m.encode())
    reader = FileReader(place)
    for first, count in ((0, 10), (10, 10), (3000, 5), (4990, 100), (7, 3), (0, 1)):
        assert reader.read(first, count) == list(m.files[first : first + count])
