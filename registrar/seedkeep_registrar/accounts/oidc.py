"""Asking another service who somebody is: OpenID Connect, authorisation code with PKCE.

What it promises: every fetch has a limit in time and size and follows no redirect; endpoints are https (or on
this machine); a token counts only with a signature by a key that the service publishes, for this service,
this client, this attempt and this moment. Sources: OpenID Connect Core and Discovery 1.0, RFC 7636, RFC 9207.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import aiohttp
from aiohttp import web

from seedkeep.core import jcs
from seedkeep.core.errors import Error, Refused, Unreachable
from seedkeep_registrar.accounts.oidc_flow import Flow
from seedkeep_registrar.accounts.oidc_provider import OidcProvider, is_safe_url

if TYPE_CHECKING:
    from seedkeep_registrar.accounts.oidc_keys import PublishedKeys

_FETCH_S = 15.0
_MAX_BYTES = 256 * 1024
_MAX_TOKEN = 32 * 1024
#: how long what a service says of itself is believed
_KEPT_S = 3600.0
#: unknown keys are looked for again no more often than this
_KEYS_AGAIN_S = 30.0
_LEEWAY_S = 60
_MAX_SUBJECT = 255


class SignInRefused(Refused):
    """What the service or the browser brought does not prove who somebody is."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who somebody is at a service.

    Args:
        email: only one that the service calls verified; else "".
    """

    issuer: str
    subject: str
    name: str
    email: str


@dataclass(frozen=True, slots=True)
class _Metadata:
    authorization: str
    token: str
    userinfo: str
    jwks: str
    basic: bool
    fetched: float


@dataclass(frozen=True, slots=True)
class _Keys:
    keys: PublishedKeys
    fetched: float


class OidcClient:
    """
    Args:
        clock: Unix seconds.
        redirect_uri: where a service with this name sends people back to.
    """

    def __init__(
        self,
        providers: tuple[OidcProvider, ...],
        *,
        clock: Callable[[], float],
        redirect_uri: Callable[[str], str],
    ) -> None:
        self._providers = {provider.name: provider for provider in providers}
        self._clock = clock
        self._redirect_uri = redirect_uri
        self._session: aiohttp.ClientSession | None = None
        self._metadata: dict[str, _Metadata] = {}
        self._keys: dict[str, _Keys] = {}

    async def running(self, _: web.Application) -> AsyncIterator[None]:
        """For ``app.cleanup_ctx``: connections are open as long as the application runs."""
        timeout = aiohttp.ClientTimeout(total=_FETCH_S)
        async with aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()) as session:
            self._session = session
            yield
            self._session = None

    def provider(self, name: str) -> OidcProvider | None:
        """The service of this name."""
        return self._providers.get(name)

    async def begin(self, provider: OidcProvider, flow: Flow) -> str:
        """The address at the service to which the browser is sent.

        Raises:
            Unreachable, SignInRefused: the service does not answer, or not as it should.
        """
        found = await self._described(provider)
        query = urlencode(
            {
                "response_type": "code",
                "client_id": provider.client_id,
                "redirect_uri": self._redirect_uri(provider.name),
                "scope": provider.scope,
                "state": flow.state,
                "nonce": flow.nonce,
                "code_challenge": flow.challenge,
                "code_challenge_method": "S256",
            }
        )
        return f"{found.authorization}{'&' if '?' in found.authorization else '?'}{query}"

    async def finish(self, provider: OidcProvider, flow: Flow, code: str) -> Identity:
        """Exchange the code that the browser brought for what the service says of its person.

        Raises:
            Unreachable: the service does not answer.
            SignInRefused: it does not take the code, or its token proves nothing.
        """
        found = await self._described(provider)
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._redirect_uri(provider.name),
            "code_verifier": flow.verifier,
            "client_id": provider.client_id,
        }
        headers = {}
        if found.basic:
            pair = f"{quote(provider.client_id, safe='')}:{quote(provider.client_secret, safe='')}"
            headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        else:
            form["client_secret"] = provider.client_secret
        answer = await self._fetch(provider, "POST", found.token, data=form, headers=headers)
        token = answer.get("id_token")
        if not isinstance(token, str) or len(token) > _MAX_TOKEN:
            raise SignInRefused(f"{provider.label} sent no token that says who you are")
        claims = await self._verified(provider, token)
        subject = check_claims(claims, provider, flow.nonce, self._clock())
        if found.userinfo and not provider.is_orcid and "email" not in claims:
            claims = {**claims, **await self._userinfo(provider, found.userinfo, answer, subject)}
        return Identity(provider.issuer, subject, _name(claims), _email(claims))

    async def _verified(self, provider: OidcProvider, token: str) -> Mapping[str, Any]:
        for again in (False, True):
            keys = await self._published_keys(provider, again=again)
            try:
                return await asyncio.to_thread(keys.claims, token)
            except ValueError as error:
                if again:
                    raise SignInRefused(f"the token of {provider.label} is not signed by it") from error
        raise AssertionError("the second attempt returns or raises")

    async def _userinfo(
        self, provider: OidcProvider, url: str, answer: Mapping[str, Any], subject: str
    ) -> dict[str, Any]:
        access = answer.get("access_token")
        if not isinstance(access, str) or not access.isascii() or not access.isprintable():
            return {}
        headers = {"Authorization": f"Bearer {access}"}
        told = await self._fetch(provider, "GET", url, headers=headers)
        # OpenID Connect Core, section 5.3.2: it must be about the same person
        if told.get("sub") != subject:
            raise SignInRefused(f"{provider.label} speaks of somebody else than its token")
        return {name: told[name] for name in _TOLD if name in told}

    async def _described(self, provider: OidcProvider) -> _Metadata:
        kept, now = self._metadata.get(provider.name), self._clock()
        if kept is not None and 0 <= now - kept.fetched < _KEPT_S:
            return kept
        url = f"{provider.issuer.rstrip('/')}/.well-known/openid-configuration"
        told = await self._fetch(provider, "GET", url)
        if told.get("issuer") != provider.issuer:
            raise SignInRefused(
                f"{provider.label} calls itself by another name than its setting",
                hint="Tell the registrar's operator.",
            )
        ends = {name: told.get(f"{name}_endpoint", "") for name in ("authorization", "token", "userinfo")}
        ends["jwks"] = told.get("jwks_uri", "")
        for name, end in ends.items():
            absent = name == "userinfo" and not end
            if not absent and not (isinstance(end, str) and is_safe_url(end)):
                raise SignInRefused(f"{provider.label} has no usable address for {name}")
        methods = told.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
        basic = isinstance(methods, list) and "client_secret_basic" in methods
        found = _Metadata(**ends, basic=basic, fetched=now)
        self._metadata[provider.name] = found
        return found

    async def _published_keys(self, provider: OidcProvider, *, again: bool) -> PublishedKeys:
        kept, now = self._keys.get(provider.name), self._clock()
        if kept is not None and 0 <= now - kept.fetched < (_KEYS_AGAIN_S if again else _KEPT_S):
            return kept.keys
        told = await self._fetch(provider, "GET", (await self._described(provider)).jwks)
        try:
            keys = await asyncio.to_thread(_published, told)
        except ValueError as error:
            raise SignInRefused(f"{provider.label} publishes no keys that can be read") from error
        self._keys[provider.name] = _Keys(keys, now)
        return keys

    async def _fetch(
        self, provider: OidcProvider, method: str, url: str, **options: Any
    ) -> Mapping[str, Any]:
        """A JSON object from a service.

        Raises:
            Unreachable: it does not answer in time.
            SignInRefused: it answers with something else.
        """
        if self._session is None:
            raise Unreachable("the registrar is shutting down")
        headers = {"Accept": "application/json", **options.pop("headers", {})}
        try:
            async with self._session.request(
                method, url, headers=headers, allow_redirects=False, **options
            ) as answer:
                body = await _read(answer)
                status = answer.status
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise Unreachable(f"{provider.label} does not answer", hint="Try again later.") from error
        if status >= 500:
            raise Unreachable(f"{provider.label} is out of order ({status})", hint="Try again later.")
        if status != 200:
            raise SignInRefused(f"{provider.label} did not accept this ({status})", hint="Begin again.")
        try:
            value = jcs.loads(body, limit=_MAX_BYTES)
        except Error as error:
            raise SignInRefused(f"{provider.label} did not answer in JSON") from error
        if not isinstance(value, dict):
            raise SignInRefused(f"{provider.label} did not answer in JSON")
        return value


def _published(told: Mapping[str, Any]) -> PublishedKeys:
    from seedkeep_registrar.accounts.oidc_keys import PublishedKeys

    return PublishedKeys(told)


async def _read(answer: aiohttp.ClientResponse) -> bytes:
    held = bytearray()
    async for chunk in answer.content.iter_chunked(16 * 1024):
        held += chunk
        if len(held) > _MAX_BYTES:
            raise aiohttp.ClientPayloadError("the answer is too long")
    return bytes(held)


def check_claims(claims: Mapping[str, Any], provider: OidcProvider, nonce: str, now: float) -> str:
    """Check a token whose signature holds (OpenID Connect Core, section 3.1.3.7).

    Returns:
        The subject.

    Raises:
        SignInRefused: it is not from this service, for this client, of this attempt or of this moment.
    """

    def want(condition: bool, problem: str) -> None:
        if not condition:
            raise SignInRefused(f"the token of {provider.label} {problem}", hint="Begin again.")

    audience = claims.get("aud")
    audiences = audience if isinstance(audience, list) else [audience]
    want(claims.get("iss") == provider.issuer, "was made by somebody else")
    want(provider.client_id in audiences, "was made for somebody else")
    want(len(audiences) == 1 or "azp" in claims, "was made for several")
    want(claims.get("azp", provider.client_id) == provider.client_id, "was made for somebody else")
    expires, issued = claims.get("exp"), claims.get("iat")
    want(now < _seconds(expires, 0) + _LEEWAY_S, "has expired")
    want(_seconds(issued, now * 2) - _LEEWAY_S <= now, "comes from the future")
    want(_seconds(claims.get("nbf", 0), now * 2) - _LEEWAY_S <= now, "comes from the future")
    want(claims.get("nonce") == nonce, "answers another request")
    subject = claims.get("sub")
    want(isinstance(subject, str) and 0 < len(subject) <= _MAX_SUBJECT, "names nobody")
    want(str(subject).isascii() and str(subject).isprintable(), "names nobody")
    return str(subject)


def _seconds(value: Any, otherwise: float) -> float:
    """A time in a token; ``otherwise``, which is refused, where it is none."""
    good = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e12
    return float(value) if good else otherwise


_TOLD = ("name", "given_name", "family_name", "email", "email_verified")
_MAX_NAME = 200


def _text(value: Any) -> str:
    if not isinstance(value, str):
        return ""
    return "".join(c if c.isprintable() else " " for c in value).strip()[:_MAX_NAME]


def _name(claims: Mapping[str, Any]) -> str:
    parts = (_text(claims.get("given_name")), _text(claims.get("family_name")))
    return _text(claims.get("name")) or " ".join(part for part in parts if part)


def _email(claims: Mapping[str, Any]) -> str:
    return _text(claims.get("email")) if claims.get("email_verified") is True else ""
