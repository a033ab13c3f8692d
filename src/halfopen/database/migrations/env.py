"""What Alembic runs: the revisions, on the connection and in the transaction it is given."""

from __future__ import annotations

from alembic import context

from halfopen.database.metadata import METADATA

# SQLite's changes of tables can be undone like any other; Alembic by itself assumes that they cannot.
context.configure(
    connection=context.config.attributes["connection"], target_metadata=METADATA, transactional_ddl=True
)
with context.begin_transaction():
    context.run_migrations()
