"""A request with an Idempotency-Key can be sent again and makes nothing twice."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from seedkeep.core import jcs
from seedkeep.core.keys import PrivateKey
from seedkeep_registrar.store import idempotency
from tests.support.people import Mailbox, browser
from tests.support.registrar import Answer, Person, RegistrarUnderTest, registrar_with

PATH = "/api/v1/groups"
KEY = PrivateKey(b"o" * 32)
OTHER = PrivateKey(b"p" * 32)


@pytest.fixture
async def house(tmp_path: Path, database_url: str) -> AsyncIterator[RegistrarUnderTest]:
    """A registrar with two operators."""
    operators = tuple(str(key.public) for key in (KEY, OTHER))
    async with registrar_with(tmp_path, database_url, operators=operators) as running_one:
        yield running_one


async def make(person: Person, key: str, name: str = "moths") -> Answer:
    """Make a group; two of one name cannot be."""
    body = jcs.dumps({"name": name})
    headers = {**person.signature("POST", PATH, body), "Idempotency-Key": key}
    return await person.send("POST", PATH, body, headers=headers)


async def names(person: Person) -> list[str]:
    answer = await person.send("GET", PATH, b"")
    return [group["name"] for group in answer.json["groups"]]


async def test_the_same_request_is_answered_as_the_first_time(house: RegistrarUnderTest) -> None:
    operator = house.person(KEY)
    first = await make(operator, '"a-key"')
    assert first.status == 201
    for form in ('"a-key"', "a-key"):
        again = await make(operator, form)
        assert (again.status, again.body) == (201, first.body)
        assert again.headers["Content-Type"] == first.headers["Content-Type"]
    assert (await make(operator, "another-key")).status == 409
    assert await names(operator) == ["moths"]


async def test_a_key_is_for_one_request_of_one_sender(house: RegistrarUnderTest) -> None:
    operator, other = house.person(KEY), house.person(OTHER)
    assert (await make(operator, "k")).status == 201
    reused = await make(operator, "k", "beetles")
    assert (reused.status, reused.json["code"]) == (422, "key_reused")
    assert (await make(other, "k", "beetles")).status == 201
    assert await names(operator) == ["beetles", "moths"]


async def test_after_a_refusal_the_key_is_free(house: RegistrarUnderTest) -> None:
    operator = house.person(KEY)
    assert (await make(operator, "k", "No Such Name")).status == 400
    assert (await make(operator, "k")).status == 201


async def test_a_second_one_at_the_same_time_is_told_to_wait(house: RegistrarUnderTest) -> None:
    operator = house.person(KEY)
    answers = await asyncio.gather(*(make(operator, "k") for _ in range(8)))
    assert {answer.status for answer in answers} <= {201, 409}
    assert len({answer.body for answer in answers if answer.status == 201}) == 1
    assert await names(operator) == ["moths"]

    body = jcs.dumps({"name": "bees"})
    fingerprint = hashlib.sha256(f"POST {PATH}\n".encode() + body).hexdigest()
    now = house.context.clock()
    await house.context.db.write(idempotency.begin, str(KEY.public), "u", fingerprint, now)
    waiting = await make(operator, "u", "bees")
    assert (waiting.status, waiting.json["code"]) == (409, "conflict")
    # its process died: somebody has to be able to go on
    house.clock.offset = operator.clock.offset = idempotency.ABANDONED_S + 1
    assert (await make(operator, "u", "bees")).status == 201


async def test_a_key_is_forgotten_after_a_day(house: RegistrarUnderTest) -> None:
    operator = house.person(KEY)
    assert (await make(operator, "k")).status == 201
    house.clock.offset = operator.clock.offset = idempotency.KEPT_S + 1
    assert (await make(operator, "k")).status == 409, "it was made long ago, by another request"
    assert await house.context.db.write(idempotency.purge, house.context.clock()) == 0
    assert (await make(operator, "k", "beetles")).status == 201


@pytest.mark.parametrize("key", ["", '""', "two words", "x" * 201, '"open', "é"])
async def test_a_malformed_key_is_refused(registrar: RegistrarUnderTest, key: str) -> None:
    answer = await make(registrar.curator, key)
    assert (answer.status, answer.json["code"]) == (400, "invalid_input")


async def test_a_program_with_a_token_may_repeat_itself_too(tmp_path: Path, mailbox: Mailbox) -> None:
    email = "boss@example.org"
    async with (
        registrar_with(tmp_path, operator_emails=(email,)) as registrar,
        browser(registrar.url) as boss,
        browser(registrar.url) as program,
    ):
        await boss.sign_in(email, mailbox)
        told = {"name": "program", "scopes": ["read", "operate"]}
        token = (await boss.json("POST", "/api/v1/account/tokens", told)).json["token"]
        headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": "k"}
        answers = [
            await program.send("POST", PATH, data=jcs.dumps({"name": "moths"}), headers=headers)
            for _ in range(2)
        ]
        assert [answer.status for answer in answers] == [201, 201]
        assert answers[0].body == answers[1].body
