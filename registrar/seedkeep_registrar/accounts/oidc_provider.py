"""Services that know people already (OpenID Connect), as an operator sets them; pure."""

from __future__ import annotations

import dataclasses
import difflib
import ipaddress
import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from seedkeep.core.errors import UsageError

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?")
_ORCID_ISSUERS = ("https://orcid.org", "https://sandbox.orcid.org")
_NEEDED = ("name", "issuer", "client_id", "client_secret")


@dataclass(frozen=True, slots=True)
class OidcProvider:
    """One service; a ``[[oidc]]`` table of the configuration file.

    Args:
        name: in addresses: lower-case letters, digits, hyphens.
        title: on the button; the name by default.
        issuer: its URL exactly as in its tokens; https, or http on this machine.
        scopes: by default ``openid profile email``, and ``openid`` alone for ORCID.
        trust_email: an address that it calls verified opens the account of that address.
        orcid: its subjects are ORCID iDs; by itself so for orcid.org.

    Raises:
        UsageError: a field cannot work.
    """

    name: str
    issuer: str
    client_id: str
    client_secret: str = field(repr=False)
    title: str = ""
    scopes: str = ""
    trust_email: bool = False
    orcid: bool = False

    def __post_init__(self) -> None:
        for name, value in dataclasses.asdict(self).items():
            kind = bool if name in ("trust_email", "orcid") else str
            if not isinstance(value, kind):
                raise UsageError(f"field {name} of an [[oidc]] table is not {kind.__name__}")
        if not _NAME.fullmatch(self.name):
            raise UsageError(f"{self.name!r} is no name for an [[oidc]] table", hint="Write it like orcid.")
        if not is_safe_url(self.issuer) or urlsplit(self.issuer).query:
            raise UsageError(
                f"the issuer of the [[oidc]] table {self.name} is not an https URL",
                hint="Copy it from the service, like https://orcid.org.",
            )
        if not self.client_id:
            raise UsageError(f"the [[oidc]] table {self.name} has no client_id")

    @property
    def label(self) -> str:
        """As people call it."""
        return self.title or ("ORCID" if self.is_orcid else self.name)

    @property
    def is_orcid(self) -> bool:
        """Its subjects are ORCID iDs."""
        return self.orcid or self.issuer in _ORCID_ISSUERS

    @property
    def scope(self) -> str:
        """What is asked for."""
        return self.scopes or ("openid" if self.is_orcid else "openid profile email")


def is_safe_url(url: str) -> bool:
    """Whether something secret may be sent there: https, or http that does not leave this machine."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return False
    plain = url.isascii() and url.isprintable() and " " not in url and len(url) <= 2000
    if not plain or not host or parts.username is not None or parts.fragment:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(host))


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def read_provider(table: Any) -> OidcProvider:
    """An ``[[oidc]]`` table.

    Raises:
        UsageError: it is none, or a field is missing, unknown or cannot work.
    """
    if not isinstance(table, dict):
        raise UsageError("services to sign in with are [[oidc]] tables of the configuration file")
    names = [f.name for f in dataclasses.fields(OidcProvider)]
    for name in table:
        if name not in names:
            near = difflib.get_close_matches(str(name), names, n=1)
            raise UsageError(f"unknown field {name}", hint=f"Did you mean {near[0]}?" if near else "")
    for name in _NEEDED:
        if name not in table:
            raise UsageError(f"field {name} is missing")
    return OidcProvider(**table)
