"""Quotas of single publishers: granted by operators on the machine, over the interface and on their page."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from seedkeep.core.errors import Error
from seedkeep_registrar.cli import registrar as command
from tests.registrar.test_accounts import bind
from tests.support.people import Mailbox, browser
from tests.support.registrar import Person, RegistrarUnderTest, shareable, start_registrar

BOSS, ADA = "boss@example.org", "ada@example.org"


@pytest.fixture
async def limited(tmp_path: Path, database_url: str) -> AsyncIterator[RegistrarUnderTest]:
    """One dataset for everybody; on SQLite, then on PostgreSQL."""
    async with start_registrar(
        tmp_path / "registrar", database_url=database_url, quota_datasets=1, operator_emails=(BOSS,)
    ) as one:
        yield one


async def publish(person: Person, name: str) -> int:
    what = shareable(name)
    await person.upload(what)
    body = what.body().encode()
    return (await person.submit(person.event(body), body)).status


async def run(running: RegistrarUnderTest, *words: str) -> Any:
    """Run ``seedkeep registrar quota …`` on the machine of a registrar that runs; the JSON, or the error."""
    settings = running.context.settings
    config = settings.data.parent / "registrar.toml"
    await asyncio.to_thread(config.write_text, f"quota_datasets = {settings.quota_datasets}\n")
    where = ["--data", str(settings.data), "--config", str(config), "--json"]
    if settings.database_url:
        where += ["--database-url", settings.database_url]
    given = ["quota", *words, *where]
    ended = await asyncio.to_thread(CliRunner().invoke, command, given)
    if isinstance(ended.exception, Error):
        return ended.exception
    assert ended.exit_code == 0, (ended.output, ended.exception)
    return json.loads(ended.stdout)


async def journal(running: RegistrarUnderTest, action: str) -> list[tuple[str, str, str]]:
    from seedkeep_registrar.store import journal as lines

    found = await running.context.db.read(lines.newest, before=None, action=action, limit=10)
    return [(e.actor, e.subject, e.detail) for e in found]


async def test_a_quota_is_set_on_the_machine_while_the_registrar_runs(limited: RegistrarUnderTest) -> None:
    person = limited.person()
    assert [await publish(person, name) for name in ("one", "two")] == [201, 403]
    made = await run(limited, "set", str(person), "--datasets", "2")
    assert (made["publisher"], made["datasets"], made["bytes"]) == (str(person), 2, 0)
    assert made["used_datasets"] == 1
    assert [await publish(person, name) for name in ("two", "three")] == [201, 403]
    # what is left out stays
    assert (await run(limited, "set", str(person), "--bytes", "1.5MB"))["datasets"] == 2
    listed = await run(limited, "list")
    assert listed["usual"] == {"datasets": 1, "bytes": 0}
    assert [(q["publisher"], q["bytes"]) for q in listed["quotas"]] == [(str(person), 1_500_000)]
    assert (await run(limited, "clear", str(person)))["datasets"] == 1
    assert (await run(limited, "list"))["quotas"] == []
    [(actor, subject, detail)] = await journal(limited, "quota.cleared")
    assert (subject, detail) == (f"publisher {person}", "")
    assert actor.endswith("on the registrar's machine")
    assert (await journal(limited, "quota.set"))[1][2] == "2 datasets, any size"


@pytest.mark.parametrize(
    "words",
    [
        ["set", "nobody", "--datasets", "1"],
        ["set", "999999", "--datasets", "1"],
        ["set", "nobody@example.org", "--datasets", "1"],
        ["set", "ed25519:short", "--datasets", "1"],
        ["set", "1"],
        ["set", "1", "--bytes", "much"],
        ["set", "1", "--bytes", "999999E"],
        ["clear", "ed25519:" + "A" * 42 + "E"],
    ],
)
async def test_a_quota_for_nobody_or_of_nonsense_is_refused(
    registrar: RegistrarUnderTest, words: list[str]
) -> None:
    error = await run(registrar, *words)
    assert isinstance(error, Error), error
    assert error.what


async def test_a_database_of_nothing_is_told(tmp_path: Path) -> None:
    place = f"sqlite:///{tmp_path / 'x.sqlite'}"
    for words in (["list"], ["set", "1", "--datasets", "1"]):
        ended = await asyncio.to_thread(
            CliRunner().invoke, command, ["quota", *words, "--database-url", place]
        )
        assert isinstance(ended.exception, Error), ended
        assert "no registrar" in ended.exception.what


async def test_operators_grant_over_the_interface_and_an_account_counts_with_its_keys(
    limited: RegistrarUnderTest, mailbox: Mailbox
) -> None:
    async with browser(limited.url) as boss, browser(limited.url) as ada:
        await boss.sign_in(BOSS, mailbox)
        number = (await ada.sign_in(ADA, mailbox))["account"]["id"]
        person = limited.person()
        await bind(person, ada)
        assert [await publish(person, name) for name in ("one", "two")] == [201, 403]
        path = f"/api/v1/quotas/{person}"
        for method, message in (("PUT", {"datasets": 2, "bytes": 0}), ("DELETE", None)):
            assert (await ada.json(method, path, message)).status == 403
        assert (await ada.json("GET", "/api/v1/quotas")).status == 403
        made = await boss.json("PUT", path, {"datasets": 2, "bytes": 0})
        assert made.json["publisher"] == str(number)  # the key stands for its account
        assert await publish(person, "two") == 201
        assert await journal(limited, "quota.set") == [
            (f"account 1 ({BOSS})", f"publisher {number}", "2 datasets, any size")
        ]
        assert (await boss.json("PUT", "/api/v1/quotas/999", {"datasets": 2, "bytes": 0})).status == 404
        assert (await boss.json("PUT", path, {"datasets": -1, "bytes": 0})).status == 400
        listed = (await boss.json("GET", "/api/v1/quotas?limit=1")).json
        assert [(q["name"], q["used_datasets"]) for q in listed["quotas"]] == [(ADA, 2)]
        assert listed["next"] is None
        assert (await boss.json("DELETE", path)).status == 204
        assert (await boss.json("DELETE", path)).status == 404


async def test_the_operators_page_grants_and_clears(limited: RegistrarUnderTest, mailbox: Mailbox) -> None:
    async with browser(limited.url) as boss, browser(limited.url) as ada:
        await boss.sign_in(BOSS, mailbox)
        await ada.sign_in(ADA, mailbox)
        fields = {"who": ADA, "datasets": "", "bytes": "2.5 TB"}
        assert (await ada.post("/operate/quotas", fields)).status == 403
        wrong = await boss.post("/operate/quotas", {**fields, "bytes": "lots"})
        assert wrong.status == 400
        assert "is not a size" in wrong.body.decode()
        assert f'value="{ADA}"' in wrong.body.decode()  # what was typed is kept
        assert (await boss.post("/operate/quotas", fields)).status == 303
        page = (await boss.get("/operate/quotas")).body.decode()
        assert "account 2" in page
        assert "/operate/quotas" in (await boss.get("/operate")).body.decode()
        [(_, subject, detail)] = await journal(limited, "quota.set")
        assert (subject, detail) == ("publisher 2", "any number of datasets, 2.5 TB")
        assert (await boss.post("/operate/quotas/clear", {"who": "2"})).status == 303
        assert "Nobody has a quota" in (await boss.get("/operate/quotas")).body.decode()
