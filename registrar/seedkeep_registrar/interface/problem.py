"""The shape of problem documents (RFC 9457), and what each status means here."""

from __future__ import annotations

from typing import Annotated, Literal, TypedDict

from msgspec import Meta

from seedkeep_registrar.interface.fields import Hex64, Moment

PROBLEM_TYPE = "application/problem+json"


#: what a taint does: delete now; withhold now and delete after 14 days; withhold; warn
Effect = Literal["remove", "quarantine", "hide", "warn"]


class Problem(TypedDict):
    """Why a request was not answered as asked (RFC 9457)."""

    type: str
    title: str
    status: Annotated[int, Meta(ge=400, le=599)]
    detail: Annotated[str, Meta(description="What happened, to which thing.")]
    hint: Annotated[str, Meta(description="What to do next; may be empty.")]
    code: Annotated[
        str, Meta(description="Stable name of the kind of problem.", examples=["invalid_input", "not_found"])
    ]


class Taint(TypedDict):
    """A taint that stands on a record, its content or one of its files."""

    id: Hex64
    authority: Annotated[
        str, Meta(description="Origin of the other registrar that ordered it; empty: this one.")
    ]
    subject: Annotated[str, Meta(description="content:…, record:… or root:…")]
    effect: Effect
    category: str
    reason: str
    basis: Annotated[str, Meta(description="The law, ruling or policy it rests on; may be empty.")]
    jurisdiction: Annotated[str, Meta(description="Where that holds; may be empty.")]
    evidence: Annotated[str, Meta(description="SHA-256 of a document that shows it; may be empty.")]
    appeal: Annotated[str, Meta(description="How to object; may be empty.")]
    expires: Annotated[str, Meta(description="When it ends by itself; empty: never.")]
    created: Moment


#: what a status means, for all operations
MEANING = {
    200: "Done.",
    201: "Made.",
    202: "Taken.",
    204: "Done; there is nothing to say.",
    206: "A range of the bytes.",
    302: "It is there.",
    304: "You have the newest version already.",
    400: "The request cannot be read: a parameter, header or field is missing, unknown or out of its limits.",
    401: "Nobody is named who may be asked, or the proof does not hold.",
    403: "You may not do this.",
    404: "There is no such thing here.",
    406: "It is not given in any form that Accept names; available says which there are.",
    408: "The body did not arrive in time.",
    409: "It contradicts what is here now.",
    410: "It has been withdrawn.",
    412: "It is not the version that was expected.",
    413: "The body is over the limit.",
    415: "The body is of another media type than this takes.",
    416: "There are no bytes in this range.",
    422: "This Idempotency-Key was used for another request.",
    429: "Too many requests; wait as long as Retry-After says.",
    451: "A taint forbids it.",
    503: "Not available at the moment; try again later.",
}
