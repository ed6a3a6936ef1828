"""The two rounds of an audit, as the node answers them."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Any, Literal, NotRequired, TypedDict

from aiohttp import web
from msgspec import UNSET, Meta, UnsetType

from seedkeep.core.audit import LEAVES, OPENED, LeafAt, Opening, Outcome
from seedkeep.core.errors import InvalidInput
from seedkeep.core.merkle import BLOCK
from seedkeep_registrar import auth
from seedkeep_registrar.api.fields import Fields, hex_text
from seedkeep_registrar.context import REGISTRAR
from seedkeep_registrar.interface.fields import Count, Hex64
from seedkeep_registrar.interface.operation import SIGNED, Body, operation
from seedkeep_registrar.replication import auditing
from seedkeep_registrar.store import audits

routes = web.RouteTableDef()
_MAX_PROOF = 64
AuditId = Annotated[str, Meta(pattern="^[0-9a-f]{32}$", description="As in the challenge.")]


class CommitBody(Body):
    """One commitment for each leaf of the challenge, or why not; one of the two."""

    commitments: Annotated[list[Hex64], Meta(max_length=LEAVES)] | UnsetType = UNSET
    refused: Literal["tainted", "withheld", "missing", "busy"] | UnsetType = UNSET


class ToOpen(TypedDict):
    """The leaves to be opened, each as file number and leaf number."""

    open: list[Annotated[list[Count], Meta(min_length=2, max_length=2)]]
    outcome: NotRequired[str]


class OpenedLeaf(Body):
    """The bytes of a leaf with its proof to the file's pieces root."""

    file: Count
    leaf: Count
    data: Annotated[str, Meta(max_length=BLOCK * 2, description="Base64.")]
    proof: Annotated[list[Hex64], Meta(max_length=_MAX_PROOF)]


class OpenBody(Body):
    """The leaves that were asked for."""

    openings: Annotated[list[OpenedLeaf], Meta(max_length=OPENED)]


class Verdict(TypedDict):
    """How the audit ended."""

    outcome: str
    detail: str


@routes.post("/api/v1/audits/{id}/commit")
@operation(
    "Answer the first round of an audit",
    tag="Storage",
    answers={200: ToOpen},
    problems=(404, 409),
    path={"id": AuditId},
    body=CommitBody,
    security=SIGNED,
)
async def commit_to_audit(request: web.Request) -> web.Response:
    """Round one: the commitments, or a refusal; the leaves to be opened come back."""
    registrar, audit_id = request.app[REGISTRAR], request.match_info["id"]
    signed, message = await auth.signed_json(request)
    f = Fields(message, "this answer").only("commitments", "refused")
    node, settings = str(signed.key), registrar.settings
    if "refused" in message:
        why = f.choice("refused", auditing.REFUSALS)
        outcome = await registrar.db.write(auditing.refuse, settings, audit_id, node, why, registrar.clock())
        if outcome is not Outcome.CONTAINED:
            registrar.wakeups.wake_all()
        return web.json_response({"open": [], "outcome": outcome.value})
    commitments = f.items("commitments", hex_text, most=LEAVES)
    audit = await registrar.db.read(audits.by_id, audit_id)
    if audit is not None and len(commitments) != len(audit.leaves):
        raise InvalidInput(f"this audit needs {len(audit.leaves)} commitments, one for each leaf")
    opened = await registrar.db.write(
        auditing.commit, settings, audit_id, node, commitments, registrar.clock(), registrar.random
    )
    return web.json_response({"open": [[at.file, at.leaf] for at in opened]})


def _opening(value: Any) -> Opening:
    f = Fields(value, "an opened leaf").only("file", "leaf", "data", "proof")
    try:
        data = base64.b64decode(f.text("data", limit=BLOCK * 2), validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidInput("data of an opened leaf is not base64") from error
    proof = tuple(bytes.fromhex(step) for step in f.items("proof", hex_text, most=_MAX_PROOF))
    return Opening(LeafAt(f.number("file"), f.number("leaf")), data, proof)


@routes.post("/api/v1/audits/{id}/open")
@operation(
    "Answer the second round of an audit",
    tag="Storage",
    answers={200: Verdict},
    problems=(404, 409),
    path={"id": AuditId},
    body=OpenBody,
    security=SIGNED,
)
async def open_leaves(request: web.Request) -> web.Response:
    """Round two: the blocks with their proofs; the verdict comes back."""
    registrar, audit_id = request.app[REGISTRAR], request.match_info["id"]
    signed, message = await auth.signed_json(request)
    openings = Fields(message, "this answer").only("openings").items("openings", _opening, most=OPENED)
    outcome, detail = await registrar.db.write(
        auditing.opened, registrar.settings, audit_id, str(signed.key), openings, registrar.clock()
    )
    if outcome is not Outcome.SUCCESS:
        registrar.wakeups.wake_all()
    return web.json_response({"outcome": outcome.value, "detail": detail})
