"""Registering and reading datasets, through HTTP."""

from __future__ import annotations

from tests.support.registrar import RegistrarUnderTest, shareable


async def test_a_registered_dataset_is_read_back(any_registrar: RegistrarUnderTest) -> None:
    sharer, what = any_registrar.person(), shareable()
    document = await sharer.register(what)
    answer = await sharer.get(f"/api/v1/records/{document['rid']}")
    assert answer.status == 200
    assert answer.json == document
    assert document["content_id"] == what.dataset().content_id
    assert document["copies"] == {"wanted": 3, "complete": 0, "audited": 0, "fetching": 0, "nodes": []}
