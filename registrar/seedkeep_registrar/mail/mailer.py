"""Sends the registrar's mails: each is in the outbox before anybody is told, until it was handed in.

A mail survives a restart, is tried again with longer and longer pauses, and is taken by one process at a time
of those that share a database. Without a mail server its text is printed in the log.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from email.headerregistry import Address
from email.utils import parseaddr
from typing import Any

from sqlalchemy import Connection

from seedkeep.core.errors import Error, InvalidInput, UsageError
from seedkeep_registrar import times
from seedkeep_registrar.database import Database
from seedkeep_registrar.mail.address import parse_address
from seedkeep_registrar.mail.smtp import MailRefused, MailServer, compose
from seedkeep_registrar.mail.templates import Rendered, Secret, Templates, one_line
from seedkeep_registrar.settings import Settings
from seedkeep_registrar.store import mails
from seedkeep_registrar.store.mails import FAILED, PRINTED, SENT, Letter, Taken

_LOG = logging.getLogger(__name__)
#: how long a taken mail belongs to the process that took it; longer than sending one may last
_TAKEN_S = 120.0
_LONGEST_PAUSE_S = 3600.0
#: how often the outbox is looked at without cause: another process may have put something in and died
_LOOK_S = 30.0
#: what a mail that is being handed in gets when the registrar stops
_STOP_S = 3.0


class Mailer:
    """
    Args:
        public_url: of the registrar, for the templates.
        host: stands in Message-IDs, and in the sender's address if none is set.

    Raises:
        UsageError: a setting for mail cannot work.
    """

    def __init__(
        self,
        settings: Settings,
        db: Database,
        *,
        public_url: str,
        host: str,
        clock: Callable[[], float],
        random: Callable[[int], bytes],
    ) -> None:
        self._db = db
        self._clock = clock
        self._random = random
        self._host = host if "." in host and ":" not in host else "seedkeep.invalid"
        self._server = MailServer.parse(settings.smtp_url) if settings.smtp_url else None
        self._sender = _sender(settings, self._host)
        self._retry_s, self._give_up_s = settings.mail_retry_s, settings.mail_give_up_s
        common = {
            "registrar": settings.name or host,
            "institution": settings.institution,
            "public_url": public_url,
        }
        self._templates = Templates(settings.mail_templates, common)
        self._wake = asyncio.Event()
        self._stopping = False
        self._task: asyncio.Task[None] | None = None

    async def send(
        self,
        to: str,
        template: str,
        context: Mapping[str, Any],
        about: str | None = None,
        *,
        within_s: float | None = None,
    ) -> None:
        """Put a mail into the outbox; it is durable when this returns, and sent soon after.

        Args:
            to: an address.
            template: name of a pair of templates, without ``.txt``.
            context: what they are given; values marked :class:`Secret` are not kept after sending.
            about: rid of the record with which it is kept.
            within_s: seconds after which it is of no use any more; by default ``mail_give_up_s``.

        Raises:
            InvalidInput: ``to`` is not an address.
        """
        letter = self.write(to, template, context, about, within_s=within_s)
        await self._db.write(mails.add, letter)
        self.wake()

    def write(
        self,
        to: str,
        template: str,
        context: Mapping[str, Any],
        about: str | None = None,
        *,
        within_s: float | None = None,
    ) -> Letter:
        """The mail of :meth:`send`, to be added to the outbox in a transaction of the caller's.

        Afterwards :meth:`wake` has it sent.

        Raises:
            InvalidInput: ``to`` is not an address.
        """
        to = parse_address(to)
        words = self._templates.render(template, context)
        kept = words.text
        if any(isinstance(value, Secret) for value in context.values()):
            kept = self._templates.render_kept(template, context).text
        now = self._clock()
        return Letter(
            message_id=f"<{self._random(16).hex()}@{self._host}>",
            about=about or "",
            recipient=to,
            subject=words.subject,
            text=words.text,
            html=words.html,
            kept_text=kept,
            created=now,
            give_up=now + (self._give_up_s if within_s is None else within_s),
        )

    def wake(self) -> None:
        """Something was put into the outbox."""
        self._wake.set()

    def start(self) -> None:
        """Begin to send what is due."""
        if self._server is None:
            _LOG.warning("no mail server is set (smtp_url): mails and their sign-in links are printed here")
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """End sending; what was not handed in stays in the outbox."""
        self._stopping = True
        self.wake()
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=_STOP_S)
            while not self._task.done():
                # again and again: a library on the way may swallow it
                self._task.cancel()
                await asyncio.wait({self._task}, timeout=1)
            self._task = None

    async def _run(self) -> None:
        while not self._stopping:
            self._wake.clear()
            try:
                while not self._stopping and await self._send_next():
                    pass
                due = await self._db.read(mails.next_try)
            except Exception:
                _LOG.exception("the outbox cannot be worked on")
                due = self._clock() + _LOOK_S
            if self._stopping:
                return
            pause = _LOOK_S if due is None else min(max(due - self._clock(), 0.05), _LOOK_S)
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._wake.wait()

    async def _send_next(self) -> bool:
        """Send the mail that is due longest; False when none is."""
        now = self._clock()
        if await self._db.read(_none_due, now):
            return False
        taken = await self._db.write(mails.take, now, now + _TAKEN_S)
        if taken is None:
            return False
        try:
            await self._hand_in(taken)
        except asyncio.CancelledError:
            await self._db.write(mails.put_off, taken.id, now, "the registrar was stopped")
            raise
        return True

    async def _hand_in(self, taken: Taken) -> None:
        letter = taken.letter
        if self._server is None:
            _print(letter)
            await self._db.write(mails.end, taken.id, PRINTED, self._clock())
            return
        words = Rendered(letter.subject, letter.text, letter.html)
        try:
            message = compose(
                self._sender, letter.recipient, words, message_id=letter.message_id, at=letter.created
            )
            await self._server.send(message)
        except MailRefused as error:
            await self._give_up(taken, error.what)
        except Error as error:
            await self._put_off(taken, error.what)
        except Exception:
            _LOG.exception("mail %d cannot be composed", taken.id)
            await self._give_up(taken, "the registrar made an error; its log says more")
        else:
            await self._db.write(mails.end, taken.id, SENT, self._clock())

    async def _put_off(self, taken: Taken, why: str) -> None:
        until = self._clock() + min(self._retry_s * 2 ** min(taken.tries - 1, 20), _LONGEST_PAUSE_S)
        if until > taken.letter.give_up:
            await self._give_up(taken, why)
            return
        _LOG.warning("mail %d waits until %s: %s", taken.id, times.text(until), one_line(why))
        await self._db.write(mails.put_off, taken.id, until, why)

    async def _give_up(self, taken: Taken, why: str) -> None:
        _LOG.error("mail %d to %s was not sent: %s", taken.id, taken.letter.recipient, one_line(why))
        await self._db.write(mails.end, taken.id, FAILED, self._clock(), why)


def _none_due(connection: Connection, now: float) -> bool:
    due = mails.next_try(connection)
    return due is None or due > now


def _print(letter: Letter) -> None:
    # every line is marked, so that nothing in a mail looks like a line of the log
    lines = "\n".join(f"    | {line}" for line in letter.text.splitlines())
    _LOG.warning("mail to %s, printed and not sent: %s\n%s", letter.recipient, letter.subject, lines)


def _sender(settings: Settings, host: str) -> Address:
    name, address = parseaddr(settings.mail_from or f"noreply@{host}")
    try:
        return Address(display_name=one_line(name or settings.name), addr_spec=parse_address(address))
    except (InvalidInput, ValueError) as error:
        raise UsageError(
            f"setting mail_from is {settings.mail_from!r}, not an address",
            hint='Write it like "Seedkeep <noreply@example.org>".',
        ) from error
