"""Attestations: a node's signed word that it read all bytes of a dataset and found them right."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, delete, insert, select

from seedkeep.core.statements import Attestation
from seedkeep_registrar.store.tables import attestations


def put(connection: Connection, attestation: Attestation, document: dict[str, Any]) -> None:
    """Keep the newest attestation of this node for this dataset.

    Args:
        document: as the node signed it.
    """
    forget(connection, attestation.content_id, attestation.node)
    connection.execute(
        insert(attestations).values(
            content_id=attestation.content_id,
            node=attestation.node,
            manifest=attestation.manifest,
            infohash_v1=attestation.infohash_v1,
            at=attestation.at,
            document=document,
        )
    )


def forget(connection: Connection, content_id: str, node: str) -> None:
    """The bytes are gone, or were not what the node said."""
    table = attestations
    connection.execute(delete(table).where(table.c.content_id == content_id, table.c.node == node))


def exists(connection: Connection, content_id: str, node: str) -> bool:
    """Whether this node has attested this dataset."""
    row = connection.execute(
        select(attestations.c.node).where(
            attestations.c.content_id == content_id, attestations.c.node == node
        )
    ).first()
    return row is not None
