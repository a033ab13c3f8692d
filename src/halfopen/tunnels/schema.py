"""The tables of zones, tunnels, edges and what is connected, beside those of the accounts.

Times are microseconds since 1970, UTC. A connection is **live** while neither `lost` nor `dead` is set and its edge's lease runs;
**pending** from `lost` on, for the grace (A15); **dead** once it was cleaned up or replaced: its row stays, in no list, until the edge that
holds it has closed it.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    String,
    Table,
    Text,
    text,
)

from halfopen.database.metadata import METADATA

ZONES: Final = Table(
    "zones",
    METADATA,
    Column("id", String(32), primary_key=True),
    Column("account_id", String(32), ForeignKey("accounts.id", ondelete="CASCADE"), nullable=False),
    Column("name", String(253), nullable=False, unique=True),
    Column("created", BigInteger, nullable=False),
)

TUNNELS: Final = Table(
    "tunnels",
    METADATA,
    Column("id", String(36), primary_key=True),
    Column("account_id", String(32), ForeignKey("accounts.id", ondelete="CASCADE"), nullable=False),
    Column("name", String(100), nullable=False),
    Column("config_src", String(10), nullable=False),  # local or cloudflare
    Column("secret", LargeBinary, nullable=False),  # sealed
    Column("created", BigInteger, nullable=False),
    Column("deleted", BigInteger),
    Column("ran", Boolean, nullable=False),  # whether anything was ever connected
    Column("active", BigInteger),  # since when something has been live
    Column("inactive", BigInteger),  # since when nothing has been
    Column("configured", BigInteger),  # number of the routing that its last configuration, set here, made
    Index(
        "uq_tunnels_name", "account_id", "name", unique=True,
        sqlite_where=text("deleted IS NULL"), postgresql_where=text("deleted IS NULL"),
    ),
    Index("ix_tunnels_age", "account_id", "created", "id"),
)  # fmt: skip

EDGES: Final = Table(
    "edges",
    METADATA,
    Column("id", String(32), primary_key=True),
    Column("name", String(63), nullable=False, unique=True),
    Column("colo", String(32), nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("revoked", BigInteger),
    Column("session", String(32)),  # of the process that speaks for it now
    Column("alive", BigInteger),  # until when its lease runs; null, when what it held has been let go
    Column("begun", BigInteger),  # when that process, or the last one, began
    Column("heard", BigInteger),  # when it was last heard of
)

CONNECTORS: Final = Table(
    "connectors",
    METADATA,
    Column("tunnel_id", String(36), ForeignKey("tunnels.id", ondelete="CASCADE"), primary_key=True),
    Column("id", String(36), primary_key=True),
    Column("version", String(64), nullable=False),
    Column("arch", String(64), nullable=False),
    Column("features", JSON, nullable=False),
    Column("run", BigInteger, nullable=False),  # its first registration of those that are connected
    Column("config_version", Integer),  # what it said it applied last
)

CONNECTIONS: Final = Table(
    "connections",
    METADATA,
    Column("id", String(36), primary_key=True),
    Column("tunnel_id", String(36), ForeignKey("tunnels.id", ondelete="CASCADE"), nullable=False),
    Column("connector_id", String(36), nullable=False),
    Column("conn_index", SmallInteger, nullable=False),
    Column("edge_id", String(32), ForeignKey("edges.id", ondelete="CASCADE"), nullable=False),
    Column("colo", String(32), nullable=False),
    Column("origin_ip", String(45), nullable=False),
    Column("opened", BigInteger, nullable=False),
    Column("lost", BigInteger),
    Column("dead", BigInteger),
    Index("ix_connections_tunnel_id", "tunnel_id"),
    Index("ix_connections_edge_id", "edge_id"),
    Index("ix_connections_dead", "edge_id", sqlite_where=text("dead IS NOT NULL"), postgresql_where=text("dead IS NOT NULL")),
    Index("ix_connections_lost", "lost", sqlite_where=text("lost IS NOT NULL"), postgresql_where=text("lost IS NOT NULL")),
    Index(
        "ix_connections_live", "tunnel_id",
        sqlite_where=text("dead IS NULL AND lost IS NULL"), postgresql_where=text("dead IS NULL AND lost IS NULL"),
    ),
    # A connector's place in a tunnel is held by one connection: the next one replaces it.
    Index(
        "uq_connections_place", "tunnel_id", "connector_id", "conn_index", unique=True,
        sqlite_where=text("dead IS NULL"), postgresql_where=text("dead IS NULL"),
    ),
)  # fmt: skip

CONFIGURATIONS: Final = Table(
    "configurations",
    METADATA,
    Column("tunnel_id", String(36), ForeignKey("tunnels.id", ondelete="CASCADE"), primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("source", String(10), nullable=False),  # local: reported by a connector; cloudflare: set here
    Column("config", Text, nullable=False),  # JSON
    Column("created", BigInteger, nullable=False),
)

HOSTNAMES: Final = Table(
    "hostnames",
    METADATA,
    Column("hostname", String(253), primary_key=True),  # lower case, IDNA; may begin with *.
    Column("zone_id", String(32), ForeignKey("zones.id", ondelete="CASCADE"), nullable=False),
    Column("tunnel_id", String(36), ForeignKey("tunnels.id", ondelete="CASCADE"), nullable=False),
    Column("claimed", Boolean, nullable=False),  # by a route; else by the tunnel's configuration
    Column("created", BigInteger, nullable=False),
    Index("ix_hostnames_tunnel_id", "tunnel_id"),
)

ROUTED: Final = Table(
    "routed",
    METADATA,
    Column("hostname", String(253), primary_key=True),
    Column("tunnel_id", String(36)),  # null: it leads nowhere any more
    Column("changed", BigInteger, nullable=False),  # number of the routing that made it so
    Index("ix_routed_changed", "changed"),
)
"""What edges are told of hostnames: what they lead to, brought up to it by `rows.reroute` at the end of each change."""

COUNTERS: Final = Table(
    "counters",
    METADATA,
    Column("name", String(32), primary_key=True),
    Column("value", BigInteger, nullable=False),
)
"""How often something has changed that edges go by: ``routing``, hostnames and configurations."""

TRAFFIC: Final = Table(
    "traffic",
    METADATA,
    Column("tunnel_id", String(36), ForeignKey("tunnels.id", ondelete="CASCADE"), primary_key=True),
    Column("hostname", String(253), primary_key=True),
    Column("edge_id", String(32), ForeignKey("edges.id", ondelete="CASCADE"), primary_key=True),
    Column("session", String(32), nullable=False),  # of the edge in which this was counted
    Column("counted", JSON, nullable=False),  # since that began (traffic.Sums)
    Column("before", JSON, nullable=False),  # in the sessions before it
    Column("rate", JSON, nullable=False),  # as the last report has it (traffic.Rate)
    Column("told", BigInteger, nullable=False),  # when the last one came
    Column("last", BigInteger, nullable=False),  # when the last request was over
)
