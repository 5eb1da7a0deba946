"""The audit log refuses to be emptied."""

from pathlib import Path

from alembic import op

revision = "0010"
down_revision = "0008"
branch_labels = None
depends_on = None

SQL_FILE = Path(__file__).with_suffix(".sql")


def upgrade() -> None:
    """Create the trigger."""
    connection = op.get_bind().connection.driver_connection
    assert connection is not None
    with connection.cursor() as cursor:
        cursor.execute(SQL_FILE.read_text())


def downgrade() -> None:
    """Refused: the log that certificates are chained to could be emptied unnoticed."""
    raise RuntimeError(
        "This migration cannot be undone: the log that certificates are chained to could be emptied unnoticed."
    )
