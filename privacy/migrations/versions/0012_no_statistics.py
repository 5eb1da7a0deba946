"""No samples in the planner's statistics of what must be able to leave the disk."""

from pathlib import Path

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

SQL_FILE = Path(__file__).with_suffix(".sql")


def upgrade() -> None:
    """Switch the columns' statistics off."""
    connection = op.get_bind().connection.driver_connection
    assert connection is not None
    with connection.cursor() as cursor:
        cursor.execute(SQL_FILE.read_text())


def downgrade() -> None:
    """Refused: erased words would be sampled again."""
    raise RuntimeError("This migration cannot be undone: erased words would be kept in the planner's statistics again.")
