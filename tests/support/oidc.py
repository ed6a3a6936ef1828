"""A service to sign in with that does all that is asked of it, and whatever a test wants it to do wrong."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from aiohttp import web
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey

CLIENT, SECRET = "seedkeep", "p@ss:word/"


def unsigned(claims: Mapping[str, Any]) -> str:
    """A token that nobody has signed."""
    parts = ({"alg": "none", "typ": "JWT"}, claims)
    coded = (base64.urlsafe_b64encode(json.dumps(p).encode()).decode().rstrip("=") for p in parts)
    return ".".join((*coded, ""))


@dataclass
class Service:
    """
    Args:
        subject, more: who everybody is who comes, and what else is said of them.
        claims: what the token says otherwise than it should; None leaves a claim out.
        described: what the service says otherwise of itself.
        signed_by: "other" key than the published one; "none"; "secret": HMAC with the public key.
        basic: takes the client's secret in the header, else in the form.
    """

    issuer: str = ""
    subject: str = "bo-17"
    more: dict[str, Any] = field(default_factory=lambda: {"name": "Bo Example"})
    claims: dict[str, Any] = field(default_factory=dict)
    described: dict[str, Any] = field(default_factory=dict)
    userinfo: dict[str, Any] = field(default_factory=dict)
    signed_by: str = ""
    basic: bool = True
    huge: bool = False
    key: RSAKey = field(default_factory=lambda: RSAKey.generate_key(2048, {"kid": "one"}))
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    asked: list[dict[str, str]] = field(default_factory=list)

    async def describe(self, request: web.Request) -> web.Response:
        """The discovery document."""
        method = "client_secret_basic" if self.basic else "client_secret_post"
        document = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize?tenant=1",
            "token_endpoint": f"{self.issuer}/token",
            "userinfo_endpoint": f"{self.issuer}/userinfo",
            "jwks_uri": f"{self.issuer}/jwks",
            "token_endpoint_auth_methods_supported": [method],
            **self.described,
        }
        return web.json_response(document)

    async def jwks(self, request: web.Request) -> web.Response:
        """The published keys."""
        if self.huge:
            return web.json_response({"keys": [self.key.as_dict(private=False)], "more": "x" * 10**6})
        return web.json_response({"keys": [self.key.as_dict(private=False)]})

    async def authorize(self, request: web.Request) -> web.Response:
        """Everybody is let in at once."""
        query = dict(request.query)
        self.asked.append(query)
        code = secrets.token_urlsafe(16)
        self.codes[code] = query
        back = urlencode({"code": code, "state": query["state"], "iss": self.issuer})
        return web.Response(status=302, headers={"Location": f"{query['redirect_uri']}?{back}"})

    async def token(self, request: web.Request) -> web.Response:
        """A code for a token, if everything fits."""
        form = parse_qs((await request.read()).decode())
        given = {name: values[0] for name, values in form.items()}
        if self.basic:
            wanted = base64.b64encode(b"seedkeep:p%40ss%3Aword%2F").decode()
            good = request.headers.get("Authorization") == f"Basic {wanted}"
        else:
            good = (given.get("client_id"), given.get("client_secret")) == (CLIENT, SECRET)
        asked = self.codes.pop(given.get("code", ""), None)
        if not good or asked is None or asked["redirect_uri"] != given["redirect_uri"]:
            return web.json_response({"error": "invalid_grant"}, status=400)
        hashed = hashlib.sha256(given["code_verifier"].encode()).digest()
        if base64.urlsafe_b64encode(hashed).decode().rstrip("=") != asked["code_challenge"]:
            return web.json_response({"error": "invalid_grant"}, status=400)
        return web.json_response(
            {"access_token": "at", "token_type": "Bearer", "id_token": self.id_token(asked["nonce"])}
        )

    def id_token(self, nonce: str) -> str:
        """The signed token."""
        now = int(time.time())
        usual = {"iss": self.issuer, "aud": CLIENT, "sub": self.subject, "nonce": nonce, "iat": now}
        whole = {**usual, "exp": now + 300, **self.more, **self.claims}
        claims = {name: value for name, value in whole.items() if value is not None}
        if self.signed_by == "none":
            return unsigned(claims)
        if self.signed_by == "secret":
            public = OctKey.import_key(self.key.as_pem(private=False))
            return jwt.encode({"alg": "HS256", "kid": "one"}, claims, public, algorithms=["HS256"])
        key = RSAKey.generate_key(2048) if self.signed_by == "other" else self.key
        return jwt.encode({"alg": "RS256", "kid": "one"}, claims, key)

    async def who(self, request: web.Request) -> web.Response:
        """The userinfo endpoint."""
        assert request.headers["Authorization"] == "Bearer at"
        return web.json_response({"sub": self.subject, **self.userinfo})


@asynccontextmanager
async def oidc_service(**options: Any) -> AsyncIterator[Service]:
    """Serve one on 127.0.0.1."""
    service = Service(**options)
    app = web.Application()
    app.router.add_get("/.well-known/openid-configuration", service.describe)
    app.router.add_get("/jwks", service.jwks)
    app.router.add_get("/authorize", service.authorize)
    app.router.add_post("/token", service.token)
    app.router.add_get("/userinfo", service.who)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        assert site._server is not None
        port = site._server.sockets[0].getsockname()[1]
        service.issuer = service.issuer or f"http://127.0.0.1:{port}"
        yield service
    finally:
        await runner.cleanup()


def back_of(location: str) -> str:
    """Path and query of an absolute address."""
    parts = urlsplit(location)
    return f"{parts.path}?{parts.query}"
