"""Answers that are kept until something is written are never older than the database."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import cast

import pytest

from seedkeep.core.errors import NotFound
from seedkeep_registrar.database import Database
from seedkeep_registrar.unchanged import Unchanged


@dataclass
class _Written:
    """As much of a database as is asked: what it holds, and how often it was written to."""

    value: bytes = b"old"
    written: int = 0
    shared: bool = False
    asked: int = 0

    def write(self, value: bytes) -> None:
        self.value, self.written = value, self.written + 1

    async def read(self) -> bytes:
        self.asked += 1
        return self.value


def _kept(db: _Written, limit: int = 5000) -> Unchanged:
    return Unchanged(cast("Database", db), limit=limit)


async def test_the_database_is_asked_once() -> None:
    db = _Written()
    answers = _kept(db)
    assert [await answers.find("x", db.read) for _ in range(3)] == [b"old"] * 3
    assert db.asked == 1


async def test_a_write_is_seen_at_once() -> None:
    db = _Written()
    answers = _kept(db)
    await answers.find("x", db.read)
    db.write(b"new")
    assert await answers.find("x", db.read) == b"new"


async def test_what_was_read_before_a_write_is_not_kept_after_it() -> None:
    db, go_on = _Written(), asyncio.Event()
    answers = _kept(db)

    async def slowly() -> bytes:
        value = db.value
        await go_on.wait()
        return value

    late = asyncio.create_task(answers.find("x", slowly))
    await asyncio.sleep(0)
    db.write(b"new")
    await answers.find("y", db.read)  # the answers of before are dropped here, not later
    go_on.set()
    assert await late == b"old"
    assert await answers.find("x", db.read) == b"new"


async def test_with_other_processes_every_question_goes_to_the_database() -> None:
    db = _Written(shared=True)
    answers = _kept(db)
    await answers.find("x", db.read)
    db.value = b"new"  # by another process
    assert await answers.find("x", db.read) == b"new"


async def test_what_is_kept_is_bounded() -> None:
    db = _Written()
    answers = _kept(db, limit=2)
    for name in ("a", "b", "c", "a"):
        await answers.find(name, db.read)
    assert db.asked == 4
    db.write(b"x" * 5000)
    await answers.find("a", db.read)
    await answers.find("a", db.read)
    assert db.asked == 6


async def test_a_refusal_is_not_kept() -> None:
    db = _Written()
    answers = _kept(db)

    async def refuse() -> bytes:
        raise NotFound("no such record")

    with pytest.raises(NotFound):
        await answers.find("x", refuse)
    assert await answers.find("x", db.read) == b"old"
