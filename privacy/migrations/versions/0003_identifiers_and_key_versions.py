"""Identifiers sealed beside their lookups, contested ones, versions of keys in use, and a count of changes to tombstones."""

from pathlib import Path

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

SQL_FILE = Path(__file__).with_suffix(".sql")


def upgrade() -> None:
    """Add the columns, the table of key versions, and the counter."""
    connection = op.get_bind().connection.driver_connection
    assert connection is not None
    with connection.cursor() as cursor:
        cursor.execute(SQL_FILE.read_text())


def downgrade() -> None:
    """Refused: without the sealed identifiers a lookup key could not be rotated any more."""
    raise RuntimeError("This migration cannot be undone: sealed identifiers would be lost. Use './selvedge reset'.")
