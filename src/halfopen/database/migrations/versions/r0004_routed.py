"""What edges were told of hostnames, and by which number: they ask for what has changed since."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_NOW = "(SELECT value FROM counters WHERE name = 'routing')"


def upgrade() -> None:
    """Make the table and the column; what is there counts as told."""
    op.create_table(
        "routed",
        sa.Column("hostname", sa.String(253)),
        sa.Column("tunnel_id", sa.String(36)),
        sa.Column("changed", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("hostname", name="pk_routed"),
    )
    op.create_index("ix_routed_changed", "routed", ["changed"])
    op.add_column("tunnels", sa.Column("configured", sa.BigInteger))
    op.execute(f"INSERT INTO routed SELECT hostname, tunnel_id, {_NOW} FROM hostnames")
    op.execute(f"UPDATE tunnels SET configured = {_NOW} WHERE config_src = 'cloudflare'")
