"""Alembic's entry: runs the revisions on the connection and in the transaction that `migrate.upgrade` brings."""

from alembic import context

from clarion.storage.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
