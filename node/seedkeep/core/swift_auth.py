"""How one logs in to OpenStack Swift: version 1 (tempauth, Ceph) and Keystone version 3, without the sockets.

A caller sends :meth:`Credentials.request` over HTTP and hands the answer to :meth:`Credentials.session`.

Sources: the Swift v1 authentication guide and the Identity API v3 (``POST /v3/auth/tokens``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit

from seedkeep.core.errors import InvalidInput, Refused, Unreachable, UsageError


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request to send. ``body`` is JSON or empty."""

    method: Literal["GET", "POST"]
    url: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class Session:
    """A valid login.

    Args:
        storage_url: the account's URL, without ``/`` at the end.
        token: goes into ``X-Auth-Token``.
    """

    storage_url: str
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who logs in, and where.

    Args:
        version: 1, or 3 for Keystone.
        auth_url: v1: the URL itself; v3: with or without ``/v3`` and ``/auth/tokens``.
        user: v1: ``account:user``; v3: user name, or the id of an application credential when
            ``application_credential`` is true.
        key: password or secret.
        project, user_domain, project_domain: v3 scope; not used with an application credential.
        region: v3: which region's endpoint to take; "" for the first.
        interface: v3: ``public``, ``internal`` or ``admin`` endpoint.
    """

    version: Literal[1, 3]
    auth_url: str
    user: str
    key: str = field(repr=False)
    project: str = ""
    user_domain: str = "Default"
    project_domain: str = "Default"
    region: str = ""
    interface: str = "public"
    application_credential: bool = False

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Credentials:
        """Read ``ST_AUTH``, ``ST_USER``, ``ST_KEY``, or Keystone's ``OS_*`` as its ``openrc`` files set them.

        Raises:
            UsageError: neither set is complete; the missing variables are named.
        """
        if "ST_AUTH" in environ:
            _all_set(environ, ("ST_AUTH", "ST_USER", "ST_KEY"))
            return cls(1, environ["ST_AUTH"], environ["ST_USER"], environ["ST_KEY"])
        if "OS_AUTH_URL" not in environ:
            raise UsageError(
                "there are no credentials for Swift",
                hint="Set ST_AUTH, ST_USER and ST_KEY, or source your cloud's openrc file (OS_AUTH_URL, …).",
            )
        region = environ.get("OS_REGION_NAME", "")
        interface = environ.get("OS_INTERFACE") or environ.get("OS_ENDPOINT_TYPE") or "public"
        interface = interface.removesuffix("URL")
        if "OS_APPLICATION_CREDENTIAL_ID" in environ:
            _all_set(environ, ("OS_APPLICATION_CREDENTIAL_SECRET",))
            return cls(
                3,
                environ["OS_AUTH_URL"],
                environ["OS_APPLICATION_CREDENTIAL_ID"],
                environ["OS_APPLICATION_CREDENTIAL_SECRET"],
                region=region,
                interface=interface,
                application_credential=True,
            )
        _all_set(environ, ("OS_USERNAME", "OS_PASSWORD"))
        project = environ.get("OS_PROJECT_NAME") or environ.get("OS_TENANT_NAME")
        if not project:
            raise UsageError("the environment variable OS_PROJECT_NAME is not set")
        return cls(
            3,
            environ["OS_AUTH_URL"],
            environ["OS_USERNAME"],
            environ["OS_PASSWORD"],
            project=project,
            user_domain=environ.get("OS_USER_DOMAIN_NAME", "Default"),
            project_domain=environ.get("OS_PROJECT_DOMAIN_NAME", "Default"),
            region=region,
            interface=interface,
        )

    def request(self) -> Request:
        """The request that logs in."""
        if self.version == 1:
            return Request("GET", self.auth_url, {"X-Auth-User": self.user, "X-Auth-Key": self.key})
        base = self.auth_url.rstrip("/").removesuffix("/auth/tokens")
        if not base.endswith("/v3"):
            base += "/v3"
        auth: dict[str, Any]
        if self.application_credential:
            secret = {"id": self.user, "secret": self.key}
            auth = {
                "identity": {"methods": ["application_credential"], "application_credential": secret},
            }
        else:
            user = {"name": self.user, "domain": {"name": self.user_domain}, "password": self.key}
            scope = {"name": self.project, "domain": {"name": self.project_domain}}
            auth = {
                "identity": {"methods": ["password"], "password": {"user": user}},
                "scope": {"project": scope},
            }
        body = json.dumps({"auth": auth}).encode()
        return Request("POST", f"{base}/auth/tokens", {"Content-Type": "application/json"}, body)

    def session(self, status: int, headers: Mapping[str, str], body: bytes) -> Session:
        """Read the answer; ``headers`` must be case-insensitive.

        Raises:
            Refused: wrong user or key.
            Unreachable: the server failed.
            InvalidInput: the answer makes no sense.
        """
        where = urlsplit(self.auth_url).hostname
        if status in (401, 403):
            raise Refused(f"Swift at {where} refused the login of {self.user}", hint="Check user and key.")
        if status not in (200, 201, 204):
            raise Unreachable(f"the login at {where} was answered with {status}")
        if self.version == 1:
            token = headers.get("X-Auth-Token", "")
            storage = headers.get("X-Storage-Url", "")
        else:
            token = headers.get("X-Subject-Token", "")
            storage = self._endpoint(body)
        if not token or urlsplit(storage).scheme not in ("http", "https"):
            raise InvalidInput(f"the login at {where} gave no token or no object store")
        return Session(storage.rstrip("/"), token)

    def _endpoint(self, body: bytes) -> str:
        try:
            catalog = json.loads(body)["token"]["catalog"]
            endpoints = [e for s in catalog if s["type"] == "object-store" for e in s["endpoints"]]
            for endpoint in endpoints:
                here = self.region in ("", endpoint.get("region"), endpoint.get("region_id"))
                if endpoint["interface"] == self.interface and here:
                    return str(endpoint["url"])
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise InvalidInput("the login answered with something that is no Keystone token") from error
        where = f" in region {self.region}" if self.region else ""
        raise InvalidInput(f"Keystone lists no {self.interface} object store{where}")


def _all_set(environ: Mapping[str, str], names: tuple[str, ...]) -> None:
    missing = [name for name in names if not environ.get(name)]
    if missing:
        raise UsageError(f"the environment variable {' and '.join(missing)} is not set")
