"""Handing a mail to a mail server (RFC 5321), with limits on time and no way to add a header from outside."""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from email.utils import format_datetime
from urllib.parse import parse_qs, unquote, urlsplit

import aiosmtplib

from seedkeep.core.errors import Error, Refused, Unreachable, UsageError
from seedkeep_registrar.mail.templates import Rendered

#: for one command of the protocol, and for a whole mail
_COMMAND_S, _MAIL_S = 20.0, 60.0
_PORTS = {"smtp": 25, "smtps": 465}
_DETAIL = 300


class MailRefused(Refused):
    """The mail server will not take this mail, now or later."""


@dataclass(frozen=True, slots=True)
class MailServer:
    """Where mails are handed in.

    Args:
        tls: from the first byte (``smtps``); ``starttls``: after STARTTLS, without which nothing is sent.
    """

    host: str
    port: int
    user: str = ""
    password: str = field(default="", repr=False)
    tls: bool = False
    starttls: bool = False

    @classmethod
    def parse(cls, url: str) -> MailServer:
        """Read ``smtps://user:password@host:465`` or ``smtp://host:587?starttls``.

        Raises:
            UsageError: it is neither, or it would send a password in the clear over a network.
        """
        hint = "Write smtp_url like smtps://user:password@mail.example.org or smtp://mail.example.org:587?starttls."
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise UsageError("setting smtp_url is not a URL", hint=hint) from error
        query = parse_qs(parts.query, keep_blank_values=True)
        if parts.scheme not in _PORTS or not parts.hostname or parts.path not in ("", "/"):
            raise UsageError("setting smtp_url is not the URL of a mail server", hint=hint)
        if set(query) - {"starttls"} or (query and parts.scheme == "smtps"):
            raise UsageError("setting smtp_url has a query other than ?starttls", hint=hint)
        server = cls(
            host=parts.hostname,
            port=port or _PORTS[parts.scheme],
            user=unquote(parts.username or ""),
            password=unquote(parts.password or ""),
            tls=parts.scheme == "smtps",
            starttls="starttls" in query,
        )
        if server.user and not (server.tls or server.starttls or _is_loopback(server.host)):
            raise UsageError("setting smtp_url would send a password in the clear", hint=hint)
        return server

    async def send(self, message: EmailMessage) -> None:
        """Hand in one mail.

        Raises:
            MailRefused: the server said no for good.
            Unreachable: it did not answer, or says to try again later.
        """
        async with self._session() as client:
            await client.send_message(message)

    async def reach(self) -> None:
        """Connect and sign in, and send nothing.

        Raises:
            MailRefused, Unreachable: as for :meth:`send`.
        """
        async with self._session() as client:
            await client.noop()

    @asynccontextmanager
    async def _session(self) -> AsyncIterator[aiosmtplib.SMTP]:
        try:
            async with asyncio.timeout(_MAIL_S):
                context = await asyncio.to_thread(ssl.create_default_context) if self._secure else None
                async with aiosmtplib.SMTP(
                    hostname=self.host,
                    port=self.port,
                    username=self.user or None,
                    password=self.password or None,
                    use_tls=self.tls,
                    start_tls=self.starttls,
                    tls_context=context,
                    timeout=_COMMAND_S,
                ) as client:
                    yield client
        except aiosmtplib.SMTPRecipientsRefused as error:
            refused = error.recipients[0]
            raise _verdict(refused.code, refused.message) from error
        except aiosmtplib.SMTPAuthenticationError as error:
            # the operator can set that right: the mail waits
            raise Unreachable(f"the mail server refuses the user name: {error.message[:_DETAIL]}") from error
        except aiosmtplib.SMTPResponseException as error:
            raise _verdict(error.code, error.message) from error
        except (aiosmtplib.SMTPException, OSError, TimeoutError) as error:
            said = str(error) or type(error).__name__
            raise Unreachable(f"the mail server did not take it: {said[:_DETAIL]}") from error

    @property
    def _secure(self) -> bool:
        return self.tls or self.starttls


def _verdict(code: int, message: str) -> Error:
    said = f"the mail server said {code} {message[:_DETAIL]}"
    return MailRefused(said) if 500 <= code < 600 else Unreachable(said)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def compose(sender: Address, to: str, words: Rendered, *, message_id: str, at: float) -> EmailMessage:
    """The mail: plain text with the same in HTML, marked as made by a machine (RFC 3834).

    Args:
        to: an address that :func:`seedkeep_registrar.mail.address.parse_address` gave.
        at: when it was written, Unix seconds.
    """
    message = EmailMessage(policy=SMTP_POLICY)
    message["From"] = sender
    message["To"] = Address(addr_spec=to)
    message["Subject"] = words.subject
    message["Date"] = format_datetime(datetime.fromtimestamp(int(at), UTC))
    message["Message-ID"] = message_id
    message["Auto-Submitted"] = "auto-generated"
    message["X-Auto-Response-Suppress"] = "All"
    message.set_content(words.text)
    if words.html:
        message.add_alternative(words.html, subtype="html")
    return message
