"""One private object store that this registrar may read, as its operator configures it."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Literal

from seedkeep.core.errors import InvalidInput, UsageError
from seedkeep.core.keys import PublicKey
from seedkeep.core.swift_auth import Credentials
from seedkeep.core.web_seed import ObjectPlace

#: the longest life of a presigned URL with signature version 4, in seconds
MAX_EXPIRES_S = 7 * 24 * 3600

#: in ``stewards``: whoever may register
ANYONE = "anyone"
_KINDS: dict[type, str] = {int: "a number", bool: "true or false", str: "text", tuple: "a list"}
_TYPES = {"expires_s": int, "auth_version": int, "application_credential": bool, "stewards": tuple}


@dataclass(frozen=True, slots=True)
class Storage:
    """Credentials and manners of one ``s3://bucket/prefix/`` or ``swift://container/prefix/``.

    Args:
        name: what the operator calls it; appears in errors and logs.
        bucket, prefix: the place; web seeds at or below it are served with these credentials.
        stewards: keys whose records may name it as a web seed, or ``anyone``. A record says which objects
            are read, so with ``anyone`` whatever lies below the prefix is public.
        endpoint: S3: the server's URL ("" for Amazon's); Swift: the account's storage URL ("" to take the
            one that the login gives).
        region: S3 or Keystone region.
        access_key, secret_key: S3 keys ("" for boto3's own search), or Swift user and password.
        addressing: whether the bucket goes into the ``path`` or (``virtual``) the host name of a URL;
            ``auto`` is virtual at Amazon's, whose path URLs redirect to other regions, and path elsewhere.
        auth_url, auth_version, project, user_domain, project_domain: Swift login.
        application_credential: access_key is a Keystone application credential's id.
        temp_url_key, temp_url_digest: Swift TempURL; without a key bytes are proxied. Old servers, such as
            Ceph 16, know only ``sha1``.
        mode: ``redirect`` sends clients to the store; ``proxy`` passes the bytes through this registrar.
        expires_s: life of a URL in seconds.

    Raises:
        UsageError: the setting makes no sense.
    """

    name: str
    kind: Literal["s3", "swift"]
    bucket: str
    prefix: str = ""
    stewards: tuple[str, ...] = ()
    endpoint: str = ""
    region: str = ""
    access_key: str = ""
    secret_key: str = field(default="", repr=False)
    addressing: Literal["auto", "path", "virtual"] = "auto"
    auth_url: str = ""
    auth_version: Literal[1, 3] = 1
    project: str = ""
    user_domain: str = "Default"
    project_domain: str = "Default"
    application_credential: bool = False
    temp_url_key: str = field(default="", repr=False)
    temp_url_digest: Literal["sha256", "sha1"] = "sha256"
    mode: Literal["redirect", "proxy"] = "redirect"
    expires_s: int = 3600

    def __post_init__(self) -> None:
        for each in fields(self):
            # a table of a configuration file may hold anything
            kind = _TYPES.get(each.name, str)
            if type(getattr(self, each.name)) is not kind:
                raise UsageError(f"storage {self.name}: {each.name} must be {_KINDS[kind]}")
        allowed = {
            "kind": ("s3", "swift"),
            "mode": ("redirect", "proxy"),
            "addressing": ("auto", "path", "virtual"),
            "auth_version": (1, 3),
            "temp_url_digest": ("sha256", "sha1"),
        }
        for setting, values in allowed.items():
            if getattr(self, setting) not in values:
                choices = " or ".join(map(str, values))
                raise UsageError(f"storage {self.name}: {setting} must be {choices}")
        for key in self.stewards:
            if key != ANYONE:
                PublicKey.parse(key)
        if not 1 <= self.expires_s <= MAX_EXPIRES_S:
            raise UsageError(f"storage {self.name}: expires_s must be 1 to {MAX_EXPIRES_S} seconds")
        if self.kind == "swift" and not self.auth_url and not (self.endpoint and self.temp_url_key):
            raise UsageError(
                f"storage {self.name} can neither log in nor sign",
                hint="Set auth_url, access_key and secret_key, or endpoint and temp_url_key.",
            )
        if self.kind == "swift" and not self.auth_url and self.mode == "redirect" and not self.temp_url_key:
            raise UsageError(f"storage {self.name} cannot redirect without temp_url_key")
        try:
            _ = self.place
        except InvalidInput as error:
            raise UsageError(f"storage {self.name}: {error.what}", hint=error.hint) from error

    @property
    def place(self) -> ObjectPlace:
        """What it serves."""
        return ObjectPlace.parse(f"{self.kind}://{self.bucket}/{self.prefix.lstrip('/')}")

    def open_to(self, steward: str) -> bool:
        """Whether records of this key may name it as a web seed."""
        return ANYONE in self.stewards or steward in self.stewards

    @property
    def redirects(self) -> bool:
        """Whether clients can be sent to the store."""
        return self.mode == "redirect" and (self.kind == "s3" or bool(self.temp_url_key))

    @property
    def credentials(self) -> Credentials:
        """The Swift login."""
        return Credentials(
            self.auth_version,
            self.auth_url,
            self.access_key,
            self.secret_key,
            project=self.project,
            user_domain=self.user_domain,
            project_domain=self.project_domain,
            region=self.region,
            application_credential=self.application_credential,
        )
