"""People with browsers: an e-mail address, a mailbox and a browser that keeps cookies and sends its Origin.

``mailbox`` collects the mails that registrars of this process print for want of a mail server.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest

from tests.support.registrar import LIMIT, Answer, Person, checked

_LOGGER = logging.getLogger("seedkeep_registrar.mail.mailer")


@dataclass(frozen=True)
class Mail:
    """A mail as its reader sees it."""

    to: str
    subject: str
    text: str

    @property
    def code(self) -> str:
        """The code in it."""
        found = re.search(r"^ *([A-Z]{4}-[A-Z]{4})$", self.text, re.MULTILINE)
        assert found, self.text
        return found[1]

    def link(self, base: str) -> str:
        """The path of the sign-in link in it."""
        found = re.search(re.escape(base) + r"(/sign-in/link/[A-Za-z0-9_-]{43})\s", self.text)
        assert found, self.text
        return found[1]


class Mailbox(logging.Handler):
    """All mails that were printed, in their order."""

    def __init__(self) -> None:
        super().__init__()
        self.mails: list[Mail] = []
        self._came = asyncio.Event()

    def emit(self, record: logging.LogRecord) -> None:
        if isinstance(record.args, tuple) and record.msg.startswith("mail to %s, printed"):
            to, subject, text = (str(a) for a in record.args)
            text = re.sub(r"^    \| ?", "", text, flags=re.MULTILINE)
            self.mails.append(Mail(to, subject, text))
            self._came.set()

    async def next(self, to: str) -> Mail:
        """Take the oldest mail to somebody; waits for it."""
        async with asyncio.timeout(90):
            while True:
                for mail in self.mails:
                    if mail.to == to:
                        self.mails.remove(mail)
                        return mail
                self._came.clear()
                await self._came.wait()


@contextmanager
def collecting() -> Iterator[Mailbox]:
    """A mailbox for the time of the block; inside an event loop."""
    box = Mailbox()
    _LOGGER.addHandler(box)
    try:
        yield box
    finally:
        _LOGGER.removeHandler(box)


@pytest.fixture
async def mailbox() -> AsyncIterator[Mailbox]:
    """What is printed while the test runs."""
    with collecting() as box:
        yield box


@dataclass
class Browser:
    """A browser that somebody uses to look at one registrar."""

    url: str
    session: aiohttp.ClientSession
    headers: Mapping[str, str] = field(default_factory=lambda: {"Accept": "text/html"})

    @property
    def cookies(self) -> dict[str, str]:
        """What the registrar had it keep."""
        return {c.key: c.value for c in self.session.cookie_jar}

    async def send(
        self, method: str, path: str, *, headers: Mapping[str, str] | None = None, **more: Any
    ) -> Answer:
        """One request; redirects are not followed."""
        async with self.session.request(
            method,
            self.url + path,
            headers={**self.headers, **(headers or {})},
            timeout=LIMIT,
            allow_redirects=False,
            **more,
        ) as answer:
            return await checked(method, path, answer)

    async def get(self, path: str) -> Answer:
        """Open a page."""
        return await self.send("GET", path)

    async def post(
        self, path: str, fields: Mapping[str, str] | list[tuple[str, str]], origin: str | None = ""
    ) -> Answer:
        """Send a form.

        Args:
            origin: of the page with the form; "" for the registrar itself, None for none.
        """
        said = self.url if origin == "" else origin
        headers = {} if said is None else {"Origin": said}
        return await self.send("POST", path, headers=headers, data=fields)

    async def json(self, method: str, path: str, message: Any = None) -> Answer:
        """Ask the native interface, as a script of a page would."""
        headers = {"Accept": "application/json", "Origin": self.url}
        more = {} if message is None else {"json": message}
        return await self.send(method, path, headers=headers, **more)

    async def sign_in(self, email: str, mailbox: Mailbox) -> dict[str, Any]:
        """Sign in by the mailed link; who one is then."""
        assert (await self.post("/sign-in", {"email": email})).status == 200
        mail = await mailbox.next(email)
        while not mail.subject.startswith("Sign"):  # others may be on their way still
            mail = await mailbox.next(email)
        link = mail.link(self.url)
        assert (await self.get(link)).status == 200
        assert (await self.post(link, {})).status == 303
        answer = await self.json("GET", "/api/v1/account")
        assert answer.status == 200, answer
        return dict(answer.json)


@asynccontextmanager
async def browser(url: str) -> AsyncIterator[Browser]:
    """A browser with no cookies yet."""
    jar = aiohttp.CookieJar(unsafe=True)  # takes cookies of addresses such as 127.0.0.1
    async with aiohttp.ClientSession(cookie_jar=jar) as session:
        yield Browser(url, session)


async def bind_by_mail(person: Person, email: str, mailbox: Mailbox) -> dict[str, Any]:
    """Bind a key by a mailed code, as ``seedkeep login --email`` does; the account."""
    begun = await person.post("/api/v1/account/bindings", {"label": "", "email": email})
    code = (await mailbox.next(email)).code
    done = await person.post(f"/api/v1/account/bindings/{begun.json['id']}/code", {"code": code})
    assert done.status == 200, done
    return dict(done.json["account"])


def hidden(answer: Answer, name: str) -> str:
    """The value of a hidden field of a page."""
    found = re.search(rf'name="{name}" value="([^"]*)"', answer.body.decode())
    assert found, f"the page has no field {name}"
    return found[1]
