"""What people may change of their accounts; which mails are for curators"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Apply it."""
    op.add_column(
        "accounts", sa.Column("queue_mails", sa.Boolean(), server_default=sa.true(), nullable=False)
    )
    op.add_column("accounts", sa.Column("deleted", sa.Float(), nullable=True))
    op.add_column("sign_in_codes", sa.Column("account_id", sa.BigInteger(), nullable=True))
    op.add_column("mails", sa.Column("to_curators", sa.Boolean(), server_default=sa.false(), nullable=False))


def downgrade() -> None:
    """Take it back."""
    op.drop_column("mails", "to_curators")
    op.drop_column("sign_in_codes", "account_id")
    op.drop_column("accounts", "deleted")
    op.drop_column("accounts", "queue_mails")
