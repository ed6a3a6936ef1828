"""Shapes of the documents about submissions and mails, for the OpenAPI document."""

from __future__ import annotations

from typing import Annotated, Literal, TypedDict

from msgspec import Meta

from seedkeep_registrar.api.shapes import Editor, Event, RecordBody, Url
from seedkeep_registrar.interface.fields import Bytes, Count, Hex40, Hex64, Key, Moment, Next

State = Literal["waiting", "approved", "returned", "rejected", "replaced"]


class ShortSubmission(TypedDict):
    """A dataset that was submitted where a curator has to agree; ``rid`` is that of the record to be made."""

    rid: Hex64
    state: State
    means: Annotated[str, Meta(description="The state in words, and what to do next.")]
    content_id: Hex64
    infohash_v1: Hex40
    name: str
    title: str
    files: Count
    bytes: Bytes
    license: str
    by: Key
    received: Moment
    page: Url


class Decision(TypedDict):
    """What a curator decided; an event in the log."""

    decision: Literal["approve", "return", "reject"]
    reason: str
    by: Key
    editor: Editor | None
    at: Moment
    event: Hex64
    index: Count


class Submission(ShortSubmission):
    """All that is known of a submission; decisions are oldest first."""

    event: Event
    body: RecordBody
    decisions: list[Decision]


class SubmissionPage(TypedDict):
    """Some submissions, the one that waits longest first, and how to go on."""

    submissions: list[ShortSubmission]
    next: Next


class Mail(TypedDict):
    """A mail about a record, without what opened something."""

    id: Count
    to: str
    subject: str
    text: str
    state: Literal["waiting", "sent", "failed", "printed"]
    detail: Annotated[str, Meta(description="What the mail server said, or why it waits; may be empty.")]
    created: Moment
    ended: Moment | None


class Mails(TypedDict):
    """The mails about a record, newest first."""

    mails: list[Mail]
