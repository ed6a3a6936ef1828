"""Shapes of the documents that several routes give or take, for the OpenAPI document."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired, TypedDict

from msgspec import Meta

from seedkeep.core.metadata import Contact, Creator, Date, Funding, Related
from seedkeep.core.metadata import Subject as Term
from seedkeep_registrar.interface.fields import Ark, Bytes, Count, Hex40, Hex64, Key, Moment
from seedkeep_registrar.interface.operation import Body
from seedkeep_registrar.interface.problem import Taint

Url = Annotated[str, Meta(description="A URL.")]
Magnet = Annotated[str, Meta(pattern="^magnet:", description="A magnet link.")]
Proof = Annotated[str, Meta(description="That the event is in the log: a C2SP tlog-proof.")]
EmptyOrHex64 = Annotated[str, Meta(pattern="^([0-9a-f]{64})?$", description="64 hex digits, or empty.")]


class Event(TypedDict):
    """A signed, append-only fact; see docs/protocol.md."""

    v: Literal[1]
    type: Annotated[str, Meta(description="record, revision, withdrawal, rehome, taint or lift")]
    rid: EmptyOrHex64
    seq: Annotated[int, Meta(ge=0, le=2**31 - 1)]
    prev: EmptyOrHex64
    body_sha256: Hex64
    home: Annotated[str, Meta(description="Origin of the registrar it is addressed to.")]
    by: Key
    created: Moment
    sig: Annotated[str, Meta(description="Base64 of the Ed25519 signature by the key in `by`.")]


class SignedEvent(Body):
    """An event with its body; the event names the body's SHA-256 (JCS form)."""

    event: Event
    body: dict[str, Any]


class Metadata(TypedDict, total=False):
    """Descriptive metadata after DataCite 4; what is empty is left out."""

    title: str
    creators: list[str | Creator]
    subjects: list[str | Term]
    description: str
    funding: list[Funding]
    related: list[Related]
    dates: list[Date]
    contacts: list[Contact]
    publisher: str
    version: str
    language: str
    dois: list[str]


class Dataset(TypedDict):
    """What was shared; immutable."""

    name: str
    content_id: Hex64
    infohash_v1: Hex40
    files: Count
    bytes: Bytes
    piece_length: Count
    manifest: Hex64
    piece_layers: Hex64
    pieces_v1: Hex64


class Editor(TypedDict):
    """The person for whom a registrar signed with its own key."""

    account: str
    name: NotRequired[str]
    orcid: NotRequired[str]


class RecordBody(TypedDict):
    """The body of the event that made a record."""

    v: Literal[1]
    dataset: Dataset
    metadata: Metadata
    license: str
    web_seeds: list[str]
    copies: Count
    supersedes: NotRequired[Hex64]
    stewards: NotRequired[list[Key]]
    editor: NotRequired[Editor]


class ShortRecord(TypedDict):
    """What lists show of a record."""

    rid: Hex64
    ark: Ark
    content_id: Hex64
    infohash_v1: Hex40
    name: str
    title: str
    files: Count
    bytes: Bytes
    license: str
    created: Moment
    landing_page: Url


class Copy(TypedDict):
    """A copy that a storage manager holds or fetches."""

    node: Key
    operator: str
    institution: str
    country: str
    state: Annotated[str, Meta(description="downloading, complete, failed or offline")]
    attested: Moment | None
    audited: Moment | None
    last_seen: Moment


class Copies(TypedDict):
    """How many copies there are; numbers count distinct failure domains."""

    wanted: Count
    complete: Count
    audited: Count
    fetching: Count
    nodes: list[Copy]


class Revision(TypedDict):
    """The newest event of a record, for those who verify its chain."""

    event: Event
    body: Annotated[dict[str, Any], Meta(description="Empty when it has been dropped.")]
    proof: Proof


class Withdrawal(TypedDict):
    """When and why the data is no longer offered."""

    created: Moment
    reason: str


class Statement(ShortRecord):
    """What is said of a record; of a withdrawn one this is all there is."""

    home: Annotated[
        str, Meta(description="Origin of the registrar it belongs to, which takes changes of it.")
    ]
    home_url: Annotated[str, Meta(description="Where that is; empty when it is not known here.")]
    mirrored: Annotated[bool, Meta(description="It belongs to another registrar than the one that answers.")]
    fork: Annotated[
        Hex64 | None,
        Meta(description="An event that contradicts one of its own: then it takes no more changes."),
    ]
    steward: Key
    event: Event
    body: RecordBody
    proof: Proof
    index: Annotated[int, Meta(ge=0, description="Of its first event in the log.")]
    seq: Annotated[int, Meta(ge=0, description="Number of its newest event.")]
    head: Annotated[Hex64, Meta(description="Hash of its newest event.")]
    updated: Moment
    stewards: list[Key]
    metadata: Metadata
    revision: Revision | None
    supersedes: EmptyOrHex64
    superseded_by: list[Hex64]
    latest: Annotated[Hex64, Meta(description="The newest version of it; itself when there is none.")]
    withdrawn: Withdrawal | None
    taints: Annotated[list[Taint], Meta(description="That warn of it, or withhold some of its files.")]
    withheld: Annotated[list[str], Meta(description="Paths of files that taints withhold; at most 1000.")]
    advice: Annotated[
        list[Taint], Meta(description="What other registrars have ordered about it, and does not bind here.")
    ]


class Record(Statement):
    """Everything a client needs to know of one record."""

    torrent: Url
    torrent_v1: Url
    manifest_url: Url
    magnet: Magnet
    magnet_v2: Magnet
    trackers: list[Url]
    web_seeds: list[Url]
    copies: Copies


class TakenRecord(Statement, total=False):
    """A record after an event; it is short of what leads to the data once that withdraws it."""

    torrent: Url
    torrent_v1: Url
    manifest_url: Url
    magnet: Magnet
    magnet_v2: Magnet
    trackers: list[Url]
    web_seeds: list[Url]
    copies: Copies


class Match(TypedDict):
    """A record that a name may mean; `path` is that of a file in it, or empty."""

    rid: Hex64
    ark: Ark
    content_id: Hex64
    name: str
    path: str
