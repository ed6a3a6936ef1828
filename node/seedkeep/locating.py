"""Where the registrar of a domain is: ``https://DOMAIN/.well-known/seedkeep``, else DNS SRV (RFC 2782).

So an institution can be named by its domain alone, wherever it has its registrar run. What DNS says is a
hint: the registrar that is found is held to its key like any other. Answers are kept for a day; that
there was none, for an hour.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp

from seedkeep.core.errors import Error, UsageError
from seedkeep.registrar_http import Transport, normal_url
from seedkeep.registrar_messages import RegistrarInfo

if TYPE_CHECKING:
    from dns.asyncresolver import Resolver as DnsResolver

SERVICE = "_seedkeep._tcp"
FOUND_S, MISSED_S = 86_400.0, 3600.0
_PROBE_S, _DNS_S = 10.0, 5.0
_MOST_TARGETS = 10


def is_bare(registrar: str) -> bool:
    """Whether a registrar was given as a domain alone, without scheme, port or path."""
    return not any(mark in registrar.strip() for mark in ":/")


def answering(session: aiohttp.ClientSession, now: Callable[[], float]) -> Callable[[str], Awaitable[bool]]:
    """Gives what tells whether a registrar answers at a URL."""

    async def answers(url: str) -> bool:
        http = Transport(url, key=None, session=session, now=now, attempts=1)
        with suppress(Error, TimeoutError):
            async with asyncio.timeout(_PROBE_S):
                RegistrarInfo.parse((await http.get("/.well-known/seedkeep", limit=1 << 20)).json())
                return True
        return False

    return answers


class Locator:
    """Finds the registrars of domains.

    Args:
        answers: whether a registrar answers at a URL.
        cache: the file in which answers are kept; it need not exist, and may be lost.
        now: Unix seconds.
        dns: asks for SRV records; the system's resolver when None.
    """

    def __init__(
        self,
        answers: Callable[[str], Awaitable[bool]],
        cache: Path,
        now: Callable[[], float],
        *,
        dns: DnsResolver | None = None,
    ) -> None:
        self._answers = answers
        self._cache = cache
        self._now = now
        self._dns = dns

    async def url(self, domain: str) -> str:
        """The URL of a domain's registrar; ``https://DOMAIN`` when none is found.

        Raises:
            UsageError: it is no domain.
        """
        plain = normal_url(domain)
        kept = (await asyncio.to_thread(self._kept)).get(plain)
        if kept is not None:
            return kept[0]
        if await self._answers(plain):
            found = plain
        else:
            found = await self._by_srv(plain.removeprefix("https://"))
        await asyncio.to_thread(self._keep, plain, found or plain, FOUND_S if found else MISSED_S)
        return found or plain

    async def _by_srv(self, host: str) -> str:
        for url in await self._targets(host):
            if await self._answers(url):
                return url
        return ""

    async def _targets(self, host: str) -> list[str]:
        from dns.asyncresolver import Resolver
        from dns.exception import DNSException
        from dns.rdtypes.IN.SRV import SRV

        try:
            resolver = self._dns or Resolver()
            answer = await resolver.resolve(f"{SERVICE}.{host}.", "SRV", lifetime=_DNS_S)
        except (DNSException, OSError):
            return []
        if answer.rrset is None:
            return []
        found = []
        for record in list(answer.rrset.processing_order())[:_MOST_TARGETS]:
            if not isinstance(record, SRV):
                continue
            target = record.target.to_text(omit_final_dot=True)
            with suppress(UsageError):
                # a target of "." says that there is no such service
                found += [normal_url(f"https://{target}:{record.port}")] if target not in ("", ".") else []
        return found

    def _kept(self) -> dict[str, tuple[str, float]]:
        """What was found before and still counts: domain → URL and until when."""
        try:
            stored: Any = json.loads(self._cache.read_text(encoding="utf-8"))
            return {
                str(domain): (normal_url(url), float(until))
                for domain, (url, until) in stored.items()
                if self._now() < until <= self._now() + FOUND_S
            }
        except (OSError, ValueError, TypeError, AttributeError, UsageError):
            return {}

    def _keep(self, domain: str, url: str, seconds: float) -> None:
        """A full or read-only disk is no error: it is only a cache."""
        kept = {**self._kept(), domain: (url, self._now() + seconds)}
        draft = self._cache.with_name(f".{secrets.token_hex(8)}")
        with suppress(OSError):
            self._cache.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            try:
                draft.write_text(json.dumps(kept), encoding="utf-8")
                draft.replace(self._cache)
            finally:
                draft.unlink(missing_ok=True)
