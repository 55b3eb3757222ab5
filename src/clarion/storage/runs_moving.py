"""Runs of somebody who turns out to be somebody else."""

from sqlalchemy import Connection, text

from clarion.model import Key

_GIVE_WAY = """
DELETE FROM automation_run WHERE +project = :project AND person = :known AND ended IS NOT NULL AND EXISTS (
    SELECT 1 FROM automation_run other WHERE +other.project = :project AND other.person = :anonymous
    AND other.automation = automation_run.automation AND other.run_key = automation_run.run_key
    AND other.ended IS NULL
)
"""
_TAKE_OVER = """
UPDATE automation_run SET person = :known
WHERE +project = :project AND person = :anonymous AND NOT EXISTS (
    SELECT 1 FROM automation_run AS kept WHERE +kept.project = :project AND kept.person = :known
    AND kept.automation = automation_run.automation AND kept.run_key = automation_run.run_key
)
"""


def merge_runs(conn: Connection, project: Key, anonymous: Key, known: Key) -> None:
    """The runs of the one become the other's; of two under one key that of the known person stays, if it goes on."""
    both = {"project": project, "anonymous": anonymous, "known": known}
    conn.execute(text(_GIVE_WAY), both)
    conn.execute(text(_TAKE_OVER), both)
    conn.execute(text("DELETE FROM automation_run WHERE +project = :project AND person = :anonymous"), both)
