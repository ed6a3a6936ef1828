"""Whose records open private storage: credentials follow who named it and who is a steward now."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from seedkeep_registrar.store.accounts import Role
from seedkeep_registrar.web_seeds.storage import Storage
from tests.registrar.test_curation import with_account
from tests.registrar.test_revisions import revise, state_of, withdraw
from tests.support.registrar import Person, RegistrarUnderTest, new_key, registrar_with, shareable

ANN = new_key()
SEED, OTHER = "s3://vault/p/", "s3://vault/p/other/"


@pytest.fixture
async def house(tmp_path: Path, database_url: str) -> AsyncIterator[RegistrarUnderTest]:
    """A registrar whose storage is open to Ann."""
    vault = Storage(
        name="vault",
        kind="s3",
        bucket="vault",
        prefix="p/",
        endpoint="http://127.0.0.1:9",
        access_key="key",
        secret_key="secret",
        stewards=(str(ANN.public),),
    )
    async with registrar_with(tmp_path, database_url, storage=(vault,)) as registrar:
        yield registrar


async def opens(person: Person, content_id: str) -> bool:
    """Whether its files are read with the registrar's credentials."""
    answer = await person.get(f"/ws/{content_id}/sample/big.bin")
    assert answer.status in (302, 403, 404), answer
    return answer.status == 302


async def test_a_steward_who_hands_over_takes_the_credentials_along(house: RegistrarUnderTest) -> None:
    ann, bob = house.person(ANN), house.person()
    document = await ann.register(shareable(), web_seeds=(SEED,))
    content_id = document["content_id"]
    assert await opens(bob, content_id)
    state = state_of(document)
    given = await revise(ann, state, stewards=(str(bob),))
    assert not await opens(bob, content_id)
    theirs = state_of(given.json)
    # whoever is steward then gets nothing of Ann's by naming her, and loses nothing of hers by a revision
    both = await revise(bob, theirs, stewards=(str(bob), str(ann)), web_seeds=(OTHER,))
    assert both.status == 201
    assert not await opens(bob, content_id)


async def test_a_steward_who_takes_over_brings_credentials(house: RegistrarUnderTest) -> None:
    ann, bob = house.person(ANN), house.person()
    document = await bob.register(shareable(), web_seeds=(SEED,), stewards=(str(bob), str(ann)))
    content_id = document["content_id"]
    assert not await opens(bob, content_id)  # named by a stranger in the name of Ann
    await revise(ann, state_of(document), web_seeds=(OTHER,))
    assert await opens(bob, content_id)


async def test_what_others_revise_leaves_storage_open(house: RegistrarUnderTest) -> None:
    ann = house.person(ANN)
    document = await ann.register(shareable(), web_seeds=(SEED,))
    path = f"/api/v1/records/{document['rid']}/metadata"
    answer = await house.curator.send("PATCH", path, b'{"note":"a typo","metadata":{"title":"Corrected"}}')
    assert answer.status == 200, answer
    assert await opens(ann, document["content_id"])


async def test_an_account_opens_storage_by_its_key(house: RegistrarUnderTest) -> None:
    ann = house.person(ANN)
    await with_account(house, ann, "ann@example.org", Role.MEMBER)
    document = await ann.register(shareable())
    path = f"/api/v1/records/{document['rid']}/metadata"
    answer = await ann.send("PATCH", path, f'{{"note":"","web_seeds":["{SEED}"]}}'.encode())
    assert answer.status == 200, answer
    assert await opens(ann, document["content_id"])


async def test_a_withdrawn_record_opens_nothing_for_others(house: RegistrarUnderTest) -> None:
    ann, eve = house.person(ANN), house.person()
    document = await ann.register(shareable(), web_seeds=(SEED,))
    await eve.register(shareable(), web_seeds=(SEED,))
    assert await opens(eve, document["content_id"])
    assert (await withdraw(ann, state_of(document))).status == 201
    assert not await opens(eve, document["content_id"])
