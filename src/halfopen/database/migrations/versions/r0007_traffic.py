"""What passes through edges, by tunnel and hostname."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "traffic",
        sa.Column("tunnel_id", sa.String(36)),
        sa.Column("hostname", sa.String(253)),
        sa.Column("edge_id", sa.String(32)),
        sa.Column("session", sa.String(32), nullable=False),
        sa.Column("counted", sa.JSON, nullable=False),
        sa.Column("before", sa.JSON, nullable=False),
        sa.Column("rate", sa.JSON, nullable=False),
        sa.Column("told", sa.BigInteger, nullable=False),
        sa.Column("last", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("tunnel_id", "hostname", "edge_id", name="pk_traffic"),
        sa.ForeignKeyConstraint(
            ["tunnel_id"], ["tunnels.id"], name="fk_traffic_tunnel_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["edge_id"], ["edges.id"], name="fk_traffic_edge_id", ondelete="CASCADE"),
    )
