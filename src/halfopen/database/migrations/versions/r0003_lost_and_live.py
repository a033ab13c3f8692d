"""Indexes of lost and of live connections: every question about tunnels asks whether one is to be forgotten, or how many live."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_LOST = sa.text("lost IS NOT NULL")
_LIVE = sa.text("dead IS NULL AND lost IS NULL")


def upgrade() -> None:
    """Make the indexes."""
    op.create_index(
        "ix_connections_lost", "connections", ["lost"], sqlite_where=_LOST, postgresql_where=_LOST
    )
    op.create_index(
        "ix_connections_live", "connections", ["tunnel_id"], sqlite_where=_LIVE, postgresql_where=_LIVE
    )
