"""Starting, stopping and configuring a registrar, as its operator sees it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import stat
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, inspect

from seedkeep.core.errors import InvalidInput, UsageError
from seedkeep.core.keys import PrivateKey
from seedkeep.core.origin import origin_of
from seedkeep.core.settings import load
from seedkeep_registrar.accounts.curators import read as read_curators
from seedkeep_registrar.migrations import config_for, upgrade
from seedkeep_registrar.settings import Settings
from seedkeep_registrar.store.tables import metadata
from tests.support.registrar import new_key, registrar_with, shareable

RUN = "from seedkeep_registrar.cli import registrar; registrar()"


def curator() -> str:
    return str(new_key().public)


@asynccontextmanager
async def process(*arguments: str, **environ: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """``registrar …`` as its own process; killed at the end if it still runs."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("SEEDKEEP_")}
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", RUN, *arguments,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env={**clean, "SEEDKEEP_REGISTRAR_ZEROCONF": "false", **environ},
    )  # fmt: skip
    try:
        yield child
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()


async def first_line(child: asyncio.subprocess.Process) -> str:
    assert child.stdout is not None
    async with asyncio.timeout(60):
        return (await child.stdout.readline()).decode()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
async def test_it_says_when_it_is_ready_and_stops_cleanly(
    tmp_path: Path, number: signal.Signals, code: int
) -> None:
    async with process("up", "--listen", "127.0.0.1:0", "--data", str(tmp_path), "--json") as child:
        ready = json.loads(await first_line(child))
        assert ready["url"].startswith("http://127.0.0.1:")
        assert ready["vkey"].startswith(ready["origin"] + "+")
        child.send_signal(number)
        async with asyncio.timeout(20):
            assert await child.wait() == code
        assert child.stderr is not None
        lines = (await child.stderr.read()).decode().splitlines()
        # nobody set a mail server, and it says where mails go instead
        assert [line for line in lines if "no mail server is set" not in line] == []


async def test_without_json_it_prints_one_line(tmp_path: Path) -> None:
    async with process("up", "--listen", "127.0.0.1:0", "--data", str(tmp_path)) as child:
        assert (await first_line(child)).startswith("listening on http://127.0.0.1:")


async def test_a_taken_port_is_told(tmp_path: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(UsageError, match=address) as caught:
            async with registrar_with(tmp_path, listen=address):
                raise AssertionError("it started")
        assert "--listen" in caught.value.hint


async def test_two_registrars_on_one_folder_are_refused(tmp_path: Path) -> None:
    async with registrar_with(tmp_path):
        with pytest.raises(UsageError, match="another registrar is running"):
            async with registrar_with(tmp_path):
                raise AssertionError("it started")


async def test_the_key_is_made_once_and_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    async with registrar_with(tmp_path) as registrar:
        vkey, port = registrar.context.vkey, registrar.url.rpartition(":")[2]
        place = registrar.context.settings.data / "registrar.pem"
        assert stat.S_IMODE(place.stat().st_mode) == 0o600
        assert stat.S_IMODE(place.parent.stat().st_mode) == 0o700
    async with registrar_with(tmp_path, listen=f"127.0.0.1:{port}") as registrar:
        assert registrar.context.vkey == vkey


async def test_a_damaged_key_is_told_and_not_replaced(tmp_path: Path) -> None:
    async with registrar_with(tmp_path) as registrar:
        place = registrar.context.settings.data / "registrar.pem"
    place.write_text("rubbish")
    with pytest.raises(InvalidInput, match="key file"):
        async with registrar_with(tmp_path):
            raise AssertionError("it started")
    assert place.read_text() == "rubbish"


async def test_another_public_url_on_the_same_records_is_refused(tmp_path: Path, database_url: str) -> None:
    async with registrar_with(tmp_path, database_url, public_url="https://seeds.example.org/x/"):
        pass
    async with registrar_with(tmp_path, database_url, public_url="https://seeds.example.org/x") as registrar:
        assert registrar.context.origin == "seeds.example.org/x"
    with pytest.raises(UsageError, match=r"seeds\.example\.org/x"):
        async with registrar_with(tmp_path, database_url, public_url="https://other.example.org"):
            raise AssertionError("it started")


async def test_a_database_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="database") as caught:
        async with registrar_with(tmp_path, "postgresql+psycopg://nobody@127.0.0.1:1/none"):
            raise AssertionError("it started")
    assert "database_url" in caught.value.hint


async def test_records_are_there_after_a_restart(tmp_path: Path, database_url: str) -> None:
    async with registrar_with(tmp_path, database_url) as registrar:
        document = await registrar.person().register(shareable())
        port = registrar.url.rpartition(":")[2]
    async with registrar_with(tmp_path, database_url, listen=f"127.0.0.1:{port}") as registrar:
        assert (await registrar.person().get(f"/api/v1/records/{document['rid']}")).json == document
        assert (await registrar.person().register(shareable("next")))["index"] == 1


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://seeds.example.org", "seeds.example.org"),
        ("https://seeds.example.org/", "seeds.example.org"),
        ("https://Seeds.example.org:443/a/b", "seeds.example.org/a/b"),
        ("http://seeds.example.org:80", "seeds.example.org"),
        ("http://127.0.0.1:8440", "127.0.0.1:8440"),
    ],
)
def test_the_origin_is_host_port_and_path(url: str, origin: str) -> None:
    assert origin_of(url) == origin


@pytest.mark.parametrize(
    "url",
    [
        "seeds.example.org",
        "ftp://x/",
        "https://u@x/",
        "https://x/?q",
        "https://x/#f",
        "http://[::1]/",
        "http://x:y/",
    ],
)
def test_a_public_url_nobody_can_use_is_refused(url: str) -> None:
    with pytest.raises(UsageError):
        origin_of(url)


def settings(toml: str = "", environ: dict[str, str] | None = None, **flags: Any) -> Settings:
    return load(Settings, toml=toml, environ=environ or {}, section="registrar", flags=flags)


def test_flags_beat_the_environment_which_beats_the_file() -> None:
    toml = 'naan = "12345"\nname = "file"\nheartbeat_s = "1min"'
    environ = {"SEEDKEEP_REGISTRAR_NAME": "environment", "SEEDKEEP_REGISTRAR_LISTEN": "h:1"}
    found = settings(toml, environ, listen="h:2")
    assert (found.naan, found.name, found.listen, found.heartbeat_s) == ("12345", "environment", "h:2", 60)


def test_storages_are_tables_of_the_file() -> None:
    toml = """
    [[storage]]
    name = "lab"
    kind = "s3"
    bucket = "data"
    access_key = "k"
    secret_key = "hunter2"
    stewards = ["anyone"]
    """
    found = settings(toml)
    assert [(s.name, s.kind, s.bucket) for s in found.storage] == [("lab", "s3", "data")]
    assert "hunter2" not in repr(found)


@pytest.mark.parametrize(
    ("toml", "words"),
    [
        ("approval_needed = 2", "approvals_needed"),
        ('registration = "closed"', "registration"),
        ('curators = ["bob"]', "public key"),
        ("approvals_needed = 2", "approvals_needed"),
        ('listen = "nowhere"', "nowhere"),
        ("publisher_share = 2.0", "publisher_share"),
        ('lease_s = "-1s"', "lease_s"),
        ("heartbeat_s = 0", "heartbeat_s"),
        ('naan = "ab-cd"', "NAAN"),
        ('public_url = "ftp://x"', "public URL"),
        ('trusted_proxies = ["nginx"]', "trusted proxy"),
        ('storage = ["x"]', "tables"),
        ('[[storage]]\nname="x"\nkind="s3"\nbucket="b"\nacess_key="k"', "access_key"),
        ('[[storage]]\nname="x"\nkind="s3"', "bucket"),
        ('[[storage]]\nname="x"\nkind="s3"\nbucket="b"', "stewards"),
        ('[[storage]]\nname="x"\nkind="s3"\nbucket="b"\nstewards=["bob"]', "public key"),
        ('[[storage]]\nname="x"\nkind="s3"\nbucket="b"\nstewards="anyone"', "stewards"),
        ('[[storage]]\nname="x"\nkind="ftp"\nbucket="b"\nstewards=["anyone"]\nsecret_key="hunter2"', "kind"),
    ],
)
def test_settings_that_cannot_work_are_named(toml: str, words: str) -> None:
    with pytest.raises((UsageError, InvalidInput)) as caught:
        settings(toml)
    assert words in caught.value.diagnostics()
    assert "hunter2" not in caught.value.diagnostics()


@pytest.mark.parametrize(
    ("curators", "needed", "approvals"),
    [((), 0, 1), ((1,), 0, 1), ((1, 2), 0, 2), ((1, 2, 3), 0, 2), ((1, 2, 3), 3, 3)],
)
def test_two_curators_must_agree_unless_there_is_only_one(
    curators: Sequence[int], needed: int, approvals: int
) -> None:
    keys = tuple(str(PrivateKey(bytes([i]) * 32).public) for i in curators)
    engine = create_engine("sqlite://")
    metadata.create_all(engine)
    with engine.connect() as connection:
        found = read_curators(connection, Settings(curators=keys, approvals_needed=needed))
    assert found.needed == approvals
    engine.dispose()


def not_of_an_engine(name: str | None, *_: object) -> bool:
    """The index of words is another thing in each database engine."""
    return not str(name).startswith("search_words")


def test_migrations_make_exactly_the_tables_and_take_them_back(tmp_path: Path, database_url: str) -> None:
    engine = create_engine(database_url or f"sqlite:///{tmp_path / 'x.sqlite'}")
    upgrade(engine)
    upgrade(engine)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"include_name": not_of_an_engine})
        assert compare_metadata(context, metadata) == []
    with engine.begin() as connection:
        command.downgrade(config_for(connection), "base")
    assert set(inspect(engine).get_table_names()) == {"alembic_version"}
    engine.dispose()
