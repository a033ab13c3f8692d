"""When edges begin and are heard of: how long one has been there, or away."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Make the columns; nothing is known of what was before."""
    op.add_column("edges", sa.Column("begun", sa.BigInteger))
    op.add_column("edges", sa.Column("heard", sa.BigInteger))
