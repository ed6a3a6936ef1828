"""``seedkeep login``, ``whoami`` and ``logout``, as a person at a terminal meets them."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

from tests.node.test_cli import Ended, environment
from tests.support.people import Mailbox, browser, hidden
from tests.support.registrar import RegistrarUnderTest

T = TypeVar("T")
ADA = "ada@example.org"


class Terminal:
    """A command that runs, and what it has said so far on standard error."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.said = ""

    async def says(self, pattern: str) -> re.Match[str]:
        """Wait until it says something."""
        assert self._process.stderr
        while not (found := re.search(pattern, self.said)):
            more = await self._patiently(self._process.stderr.read(4096))
            assert more, self.said
            self.said += more.decode()
        return found

    async def type(self, text: str) -> None:
        """A line at the keyboard."""
        assert self._process.stdin
        self._process.stdin.write(f"{text}\n".encode())
        await self._process.stdin.drain()

    async def ended(self) -> Ended:
        """How it ended; there is nothing more to read for it."""
        assert self._process.stdin
        self._process.stdin.close()
        out, err = await self._patiently(self._process.communicate())
        assert self._process.returncode is not None
        return Ended(self._process.returncode, out.decode(), self.said + err.decode())

    async def _patiently(self, work: Coroutine[Any, Any, T]) -> T:
        try:
            return await asyncio.wait_for(work, 90)
        except BaseException:
            self._process.kill()
            await self._process.wait()
            raise


async def run(home: Path, *arguments: str) -> Terminal:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "seedkeep", *arguments),
        env=environment(home),
        stdin=pipe,
        stdout=pipe,
        stderr=pipe,
    )
    return Terminal(process)


async def asked(home: Path, command: str, url: str) -> dict[str, Any]:
    done = await (await run(home, command, "--registrar", url, "--json")).ended()
    assert done.code == 0, done.err
    return dict(json.loads(done.out))


async def test_a_key_is_confirmed_in_a_browser_while_the_terminal_waits(
    registrar: RegistrarUnderTest, mailbox: Mailbox, tmp_path: Path
) -> None:
    async with browser(registrar.url) as one:
        await one.sign_in(ADA, mailbox)
        terminal = await run(tmp_path, "login", "--registrar", registrar.url)
        url = (await terminal.says(r"Open +(\S+)\n"))[1]
        code = (await terminal.says(r"Code +(\S+)\n"))[1]
        key = (await terminal.says(r"Key +(ed25519:\S+)\n"))[1]
        page = await one.get(url.removeprefix(registrar.url))
        assert key in page.body.decode()
        assert hidden(page, "code") == code
        assert (await one.post("/account/bind", {"code": code, "decision": "confirm"})).status == 200
        done = await terminal.ended()
        assert (done.code, done.out) == (0, f"{ADA}, member at {registrar.url}\n{key}\n")
        known = await asked(tmp_path, "whoami", registrar.url)
        assert (known["account"]["email"], known["key"], known["role"]) == (ADA, key, "member")
        assert (await asked(tmp_path, "login", registrar.url))["account"]["email"] == ADA
        assert (await asked(tmp_path, "logout", registrar.url))["account"] is None
        assert (await asked(tmp_path, "whoami", registrar.url))["account"] is None


async def test_a_key_that_is_refused_in_the_browser_ends_the_login(
    registrar: RegistrarUnderTest, mailbox: Mailbox, tmp_path: Path
) -> None:
    async with browser(registrar.url) as one:
        await one.sign_in(ADA, mailbox)
        terminal = await run(tmp_path, "login", "--registrar", registrar.url, "--json", "--quiet")
        code = (await terminal.says(r"Code +(\S+)\n"))[1]
        assert (await one.post("/account/bind", {"code": code, "decision": "refuse"})).status == 200
        done = await terminal.ended()
        assert (done.code, json.loads(done.out)["error"]["code"]) == (1, "refused")


async def test_a_mailed_code_is_typed_where_there_is_no_browser(
    registrar: RegistrarUnderTest, mailbox: Mailbox, tmp_path: Path
) -> None:
    arguments = ("login", "--email", ADA, "--registrar", registrar.url, "--json")
    terminal = await run(tmp_path, *arguments)
    code = (await mailbox.next(ADA)).code
    await terminal.says("Code from the mail")
    await terminal.type("BCDF-BCDF" if code != "BCDF-BCDF" else "CCCC-CCCC")
    await terminal.says("does not work")
    await terminal.type(code.lower())
    done = await terminal.ended()
    assert (done.code, json.loads(done.out)["account"]["email"]) == (0, ADA), done.err
    assert (await asked(tmp_path, "whoami", registrar.url))["account"]["email"] == ADA


async def test_an_address_that_is_none_and_an_input_that_ends_are_told(
    registrar: RegistrarUnderTest, mailbox: Mailbox, tmp_path: Path
) -> None:
    terminal = await run(tmp_path, "login", "--email", "nobody", "--registrar", registrar.url, "--json")
    done = await terminal.ended()
    assert (done.code, json.loads(done.out)["error"]["code"]) == (1, "invalid_input")
    terminal = await run(tmp_path, "login", "--email", ADA, "--registrar", registrar.url)
    assert (await terminal.ended()).code == 130
    assert mailbox.mails or (await mailbox.next(ADA))
