"""Brings a database to the schema of this version: Alembic's revisions, run by our own code over an open connection."""

from pathlib import Path

from sqlalchemy import Connection, inspect, text

HEAD = "0019"
"""The newest revision: a database that has it is opened without loading Alembic."""


def revision_of(conn: Connection) -> str | None:
    """The revision of a database; None when it has none yet."""
    if not inspect(conn).has_table("alembic_version"):
        return None
    return conn.execute(text("SELECT version_num FROM alembic_version")).scalar()


def upgrade(conn: Connection) -> None:
    """Run the missing revisions inside the caller's transaction."""
    if revision_of(conn) == HEAD:
        return
    from alembic import command  # noqa: PLC0415 - a third of a second that most starts do not need
    from alembic.config import Config  # noqa: PLC0415 - the same

    config = Config(attributes={"connection": conn})
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    command.upgrade(config, "head")
