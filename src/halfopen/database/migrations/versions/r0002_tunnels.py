"""Zones, edges, tunnels and what is connected; tokens of edges."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_DEAD = sa.text("dead IS NOT NULL")
_NOT_DEAD = sa.text("dead IS NULL")
_NOT_DELETED = sa.text("deleted IS NULL")


def upgrade() -> None:
    """Make the tables of tunnels."""
    op.add_column("tokens", sa.Column("edge", sa.String(63)))
    op.create_table(
        "zones",
        sa.Column("id", sa.String(32)),
        sa.Column("account_id", sa.String(32), nullable=False),
        sa.Column("name", sa.String(253), nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_zones"),
        sa.UniqueConstraint("name", name="uq_zones_name"),
        _belongs("zones", "account_id", "accounts.id"),
    )
    op.create_table(
        "tunnels",
        sa.Column("id", sa.String(36)),
        sa.Column("account_id", sa.String(32), nullable=False),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("config_src", sa.String(10), nullable=False),
        sa.Column("secret", sa.LargeBinary, nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("deleted", sa.BigInteger),
        sa.Column("ran", sa.Boolean, nullable=False),
        sa.Column("active", sa.BigInteger),
        sa.Column("inactive", sa.BigInteger),
        sa.PrimaryKeyConstraint("id", name="pk_tunnels"),
        _belongs("tunnels", "account_id", "accounts.id"),
    )
    op.create_index(
        "uq_tunnels_name", "tunnels", ["account_id", "name"], unique=True,
        sqlite_where=_NOT_DELETED, postgresql_where=_NOT_DELETED,
    )  # fmt: skip
    op.create_index("ix_tunnels_age", "tunnels", ["account_id", "created", "id"])
    op.create_table(
        "edges",
        sa.Column("id", sa.String(32)),
        sa.Column("name", sa.String(63), nullable=False),
        sa.Column("colo", sa.String(32), nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("revoked", sa.BigInteger),
        sa.Column("session", sa.String(32)),
        sa.Column("alive", sa.BigInteger),
        sa.PrimaryKeyConstraint("id", name="pk_edges"),
        sa.UniqueConstraint("name", name="uq_edges_name"),
    )
    op.create_table(
        "connectors",
        sa.Column("tunnel_id", sa.String(36)),
        sa.Column("id", sa.String(36)),
        sa.Column("version", sa.String(64), nullable=False),
        sa.Column("arch", sa.String(64), nullable=False),
        sa.Column("features", sa.JSON, nullable=False),
        sa.Column("run", sa.BigInteger, nullable=False),
        sa.Column("config_version", sa.Integer),
        sa.PrimaryKeyConstraint("tunnel_id", "id", name="pk_connectors"),
        _belongs("connectors", "tunnel_id", "tunnels.id"),
    )
    op.create_table(
        "connections",
        sa.Column("id", sa.String(36)),
        sa.Column("tunnel_id", sa.String(36), nullable=False),
        sa.Column("connector_id", sa.String(36), nullable=False),
        sa.Column("conn_index", sa.SmallInteger, nullable=False),
        sa.Column("edge_id", sa.String(32), nullable=False),
        sa.Column("colo", sa.String(32), nullable=False),
        sa.Column("origin_ip", sa.String(45), nullable=False),
        sa.Column("opened", sa.BigInteger, nullable=False),
        sa.Column("lost", sa.BigInteger),
        sa.Column("dead", sa.BigInteger),
        sa.PrimaryKeyConstraint("id", name="pk_connections"),
        _belongs("connections", "tunnel_id", "tunnels.id"),
        _belongs("connections", "edge_id", "edges.id"),
    )
    op.create_index("ix_connections_tunnel_id", "connections", ["tunnel_id"])
    op.create_index("ix_connections_edge_id", "connections", ["edge_id"])
    op.create_index(
        "ix_connections_dead", "connections", ["edge_id"], sqlite_where=_DEAD, postgresql_where=_DEAD
    )
    op.create_index(
        "uq_connections_place", "connections", ["tunnel_id", "connector_id", "conn_index"], unique=True,
        sqlite_where=_NOT_DEAD, postgresql_where=_NOT_DEAD,
    )  # fmt: skip
    op.create_table(
        "configurations",
        sa.Column("tunnel_id", sa.String(36)),
        sa.Column("version", sa.Integer, autoincrement=False),
        sa.Column("source", sa.String(10), nullable=False),
        sa.Column("config", sa.Text, nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("tunnel_id", "version", name="pk_configurations"),
        _belongs("configurations", "tunnel_id", "tunnels.id"),
    )
    op.create_table(
        "hostnames",
        sa.Column("hostname", sa.String(253)),
        sa.Column("zone_id", sa.String(32), nullable=False),
        sa.Column("tunnel_id", sa.String(36), nullable=False),
        sa.Column("claimed", sa.Boolean, nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("hostname", name="pk_hostnames"),
        _belongs("hostnames", "zone_id", "zones.id"),
        _belongs("hostnames", "tunnel_id", "tunnels.id"),
    )
    op.create_index("ix_hostnames_tunnel_id", "hostnames", ["tunnel_id"])
    op.create_table(
        "counters",
        sa.Column("name", sa.String(32)),
        sa.Column("value", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_counters"),
    )
    op.execute("INSERT INTO counters (name, value) VALUES ('routing', 0)")


def _belongs(table: str, column: str, to: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [to], name=f"fk_{table}_{column}", ondelete="CASCADE")
