"""A real SMTP server in this process, which keeps what it is given."""

from __future__ import annotations

import asyncio
import email
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.policy import default
from typing import Any

from aiosmtpd.smtp import SMTP, Envelope, Session


@dataclass
class Postbox:
    """What came in.

    Args:
        refusals: the reply to RCPT by recipient, where it is not a friendly one.
    """

    url: str = ""
    refusals: dict[str, str] = field(default_factory=dict)
    arrived: asyncio.Queue[EmailMessage] = field(default_factory=asyncio.Queue)
    recipients: list[str] = field(default_factory=list)
    encrypted: list[bool] = field(default_factory=list)
    asked: asyncio.Event = field(default_factory=asyncio.Event)

    async def next(self) -> EmailMessage:
        """The next mail; waits for it."""
        async with asyncio.timeout(60):
            return await self.arrived.get()

    async def handle_RCPT(  # noqa: N802 - aiosmtpd calls it so
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Refuse whom the test wants refused."""
        self.asked.set()
        if address in self.refusals:
            return self.refusals[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Keep the mail."""
        self.recipients += envelope.rcpt_tos
        self.encrypted.append(session.ssl is not None)
        message = email.message_from_bytes(envelope.content or b"", policy=default)
        assert isinstance(message, EmailMessage)
        self.arrived.put_nowait(message)
        return "250 OK"


@asynccontextmanager
async def mail_server(
    *, port: int = 0, tls: ssl.SSLContext | None = None, box: Postbox | None = None
) -> AsyncIterator[Postbox]:
    """Serve on 127.0.0.1.

    Args:
        tls: offer STARTTLS, and take no mail without it.
        box: where to put what comes; a new one if None.
    """
    box = box or Postbox()
    options: dict[str, Any] = {"tls_context": tls, "require_starttls": True} if tls else {}
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: SMTP(box, hostname="localhost", loop=loop, **options), "127.0.0.1", port
    )
    taken = server.sockets[0].getsockname()[1]
    box.url = f"smtp://localhost:{taken}{'?starttls' if tls else ''}"
    try:
        yield box
    finally:
        server.close()
        await server.wait_closed()


def part(message: EmailMessage, kind: str) -> str:
    """The text of the part ``plain`` or ``html``."""
    found = message.get_body((kind,))
    assert found is not None
    return str(found.get_content()).replace("\r\n", "\n")
