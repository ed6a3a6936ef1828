"""Whether a record is a version of the one that ``URI@latest`` names: each says itself what it supersedes."""

from __future__ import annotations

from seedkeep.core.errors import VerificationFailed
from seedkeep.core.identifiers import Identifier, Kind, mint_ark
from seedkeep.record_document import Record, may_be
from seedkeep.registrar_client import RegistrarClient

_MOST = 200


async def check_version(client: RegistrarClient, record: Record, name: Identifier) -> None:
    """Check that ``record`` is the one that is named, or supersedes it, directly or through others.

    That there is none newer is the registrar's word.

    Raises:
        VerificationFailed: it is not.
        TaintedRecord, Unreachable: what lies between cannot be read.
    """
    older = record
    for _ in range(_MOST):
        if _is(older, name):
            return
        before = older.state.supersedes
        if not before:
            break
        if _names(name, before):
            return
        older = await client.chains.read_even_withdrawn(before)
    raise VerificationFailed(
        f"asked for {name}, the registrar answered with {record.ark}, which is no version of it"
    )


def _is(record: Record, name: Identifier) -> bool:
    if name.bare:
        return name.value in (record.content_id, record.rid)
    return may_be(record.document, name)


def _names(name: Identifier, rid: str) -> bool:
    """Whether a name is that of a record which need not be read to tell."""
    if name.kind is Kind.ARK:
        return mint_ark(name.value.partition("/")[0], rid) == name.value
    return name.kind is Kind.RID and name.value == rid
