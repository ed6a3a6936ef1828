"""Who has named the web seeds of records that only credentials of this registrar open.

Whoever revises a record leaves the web seeds of others as they were: only what is new in a state was named by
its signer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, delete, insert, select, update

from seedkeep_registrar.store.private_seeds_tables import private_seeds


@dataclass(frozen=True, slots=True)
class Namer:
    """
    Args:
        signer: ``ed25519:…``
        editor: for whom the registrar signed: an account's id or a key; "" for the signer.
    """

    signer: str
    editor: str


def is_private(web_seed: str) -> bool:
    """Whether it is in no place that anybody can read."""
    return not web_seed.startswith(("http://", "https://"))


def put(connection: Connection, rid: str, web_seeds: Sequence[str], namer: Namer) -> None:
    """A record has exactly these web seeds now; those that are new were named by ``namer``."""
    private = set(filter(is_private, web_seeds))
    before = set(of_record(connection, rid))
    if dropped := before - private:
        gone = private_seeds.c.web_seed.in_(sorted(dropped))
        connection.execute(delete(private_seeds).where(private_seeds.c.rid == rid, gone))
    if new := private - before:
        by = {"rid": rid, "signer": namer.signer, "editor": namer.editor}
        connection.execute(insert(private_seeds), [{**by, "web_seed": seed} for seed in sorted(new)])


def forget_editors(connection: Connection, rid: str) -> None:
    """The registrar that has signed for them is this record's home no more: only keys count from now on."""
    held = update(private_seeds).where(private_seeds.c.rid == rid)
    connection.execute(held.values(editor=""))


def of_record(connection: Connection, rid: str) -> dict[str, Namer]:
    """Who named which private web seed of a record."""
    rows = connection.execute(select(private_seeds).where(private_seeds.c.rid == rid))
    return {row.web_seed: Namer(row.signer, row.editor) for row in rows}
