"""A registrar's name, made from its public URL."""

from __future__ import annotations

from urllib.parse import urlsplit

from seedkeep.core.errors import UsageError


def origin_of(public_url: str) -> str:
    """``host[:port][/path]`` of a registrar's public URL: its name in notes and events.

    Raises:
        UsageError: it is not an http(s) URL without query, user or fragment.
    """
    try:
        parts = urlsplit(public_url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise UsageError(f"the public URL {public_url!r} is malformed: {error}") from error
    plain = not (parts.query or parts.fragment or parts.username is not None)
    if parts.scheme not in ("http", "https") or not host or not plain or not public_url.isascii():
        raise UsageError(
            f"the public URL {public_url!r} is not one others can use",
            hint="Write it like https://seeds.example.org.",
        )
    if ":" in host:
        raise UsageError("the public URL cannot be an IPv6 address", hint="Give the registrar a host name.")
    default = {"http": 80, "https": 443}[parts.scheme]
    shown = host if port in (None, default) else f"{host}:{port}"
    return shown + parts.path.rstrip("/")
