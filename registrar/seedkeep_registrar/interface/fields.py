"""Types of fields that many shapes share; msgspec turns them into JSON Schema."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

Hex64 = Annotated[
    str,
    Meta(
        pattern="^[0-9a-f]{64}$",
        min_length=64,
        max_length=64,
        description="64 lower-case hex digits.",
        examples=["7a" * 32],
    ),
]
Hex40 = Annotated[
    str, Meta(pattern="^[0-9a-f]{40}$", min_length=40, max_length=40, description="40 lower-case hex digits.")
]
Key = Annotated[
    str,
    Meta(
        pattern="^ed25519:[A-Za-z0-9_-]{43}$",
        max_length=51,
        description="A key: ed25519: and its 32 bytes in base64url.",
    ),
]
Moment = Annotated[
    str,
    Meta(
        pattern="^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$",
        description="UTC, to the second.",
        examples=["2026-01-31T12:00:00Z"],
    ),
]
Ark = Annotated[
    str,
    Meta(pattern="^ark:/[0-9]{5,}/", description="An ARK.", examples=["ark:/99999/sk0123456789bcdfg"]),
]
Bytes = Annotated[int, Meta(ge=0, le=2**53 - 1, description="Bytes.")]
Count = Annotated[int, Meta(ge=0, le=2**53 - 1)]
Position = Annotated[int, Meta(ge=0, le=2**53 - 1, description="Position in the log.")]
Port = Annotated[int, Meta(ge=0, le=65535, description="TCP port; 0: none.")]
Next = Annotated[str | None, Meta(description="The cursor of the next page; null on the last one.")]
