"""The tables of users, accounts and tokens. A change here is a new migration."""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
)

from halfopen.database.metadata import METADATA

INSTALLATION: Final = Table(
    "installation",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=False),  # always 1
    Column("digest_key", LargeBinary, nullable=False),
)

USERS: Final = Table(
    "users",
    METADATA,
    Column("id", String(32), primary_key=True),
    Column("email", String(254), nullable=False, unique=True),
    Column("key_digest", LargeBinary),
    Column("created", BigInteger, nullable=False),  # times: microseconds since 1970, UTC
)

ACCOUNTS: Final = Table(
    "accounts",
    METADATA,
    Column("id", String(32), primary_key=True),
    Column("name", String(100), nullable=False),
    Column("created", BigInteger, nullable=False),
)

MEMBERSHIPS: Final = Table(
    "memberships",
    METADATA,
    Column("user_id", String(32), ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
    Column("account_id", String(32), ForeignKey("accounts.id", ondelete="CASCADE"), primary_key=True),
)

TOKENS: Final = Table(
    "tokens",
    METADATA,
    Column("id", String(32), primary_key=True),
    Column("lookup", LargeBinary, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("name", String(100), nullable=False),
    Column("user_id", String(32), ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("account_id", String(32), ForeignKey("accounts.id", ondelete="CASCADE")),
    Column("sensor", String(63)),
    Column("edge", String(63)),
    Column("permissions", JSON, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("expires", BigInteger),
    Column("revoked", BigInteger),
    Column("used", BigInteger),
    Index("ix_tokens_lookup", "lookup", unique=True),
)

SIGN_INS: Final = Table(
    "sign_ins",
    METADATA,
    Column("lookup", LargeBinary, primary_key=True),
    Column("digest", LargeBinary, nullable=False),
    Column("token_id", String(32), ForeignKey("tokens.id", ondelete="CASCADE"), nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("expires", BigInteger, nullable=False),
)
