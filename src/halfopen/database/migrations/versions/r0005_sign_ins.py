"""Sign-ins of browsers."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Make their table."""
    op.create_table(
        "sign_ins",
        sa.Column("lookup", sa.LargeBinary),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("token_id", sa.String(32), nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("expires", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("lookup", name="pk_sign_ins"),
        sa.ForeignKeyConstraint(["token_id"], ["tokens.id"], name="fk_sign_ins_token_id", ondelete="CASCADE"),
    )
