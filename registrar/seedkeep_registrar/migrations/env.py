"""Alembic's entry: migrate on the connection that :mod:`seedkeep_registrar.migrations` brings along."""

from __future__ import annotations

from alembic import context

from seedkeep_registrar.store import (
    accounts_tables,  # noqa: F401 - registers its tables
    aliases_tables,  # noqa: F401
    collections_tables,  # noqa: F401
    curation_tables,  # noqa: F401
    federation_tables,  # noqa: F401
    homes_tables,  # noqa: F401
    idempotency_tables,  # noqa: F401
    key_ring_tables,  # noqa: F401
    log_tables,  # noqa: F401
    operation_tables,  # noqa: F401
    pages_tables,  # noqa: F401
    private_seeds_tables,  # noqa: F401
    running_tables,  # noqa: F401
    search_tables,  # noqa: F401
    taint_tables,  # noqa: F401
    totals_tables,  # noqa: F401
    uploads_tables,  # noqa: F401
)
from seedkeep_registrar.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transaction_per_migration=False,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
