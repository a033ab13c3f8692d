"""What all tables of the database have in common. Each room has its own; a change of any is a new migration and a new REVISION."""

from __future__ import annotations

from typing import Final

from sqlalchemy import MetaData

REVISION: Final = "0007"
"""The migration that the tables are the result of."""

METADATA: Final = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_name)s",
    }
)
