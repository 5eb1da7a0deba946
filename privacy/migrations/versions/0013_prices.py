"""Prices as precise as a source states them, and a schema for what they were."""

from pathlib import Path

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

SQL_FILE = Path(__file__).with_suffix(".sql")


def upgrade() -> None:
    """Widen the columns; dbt makes the views on them anew at its next build."""
    connection = op.get_bind().connection.driver_connection
    assert connection is not None
    with connection.cursor() as cursor:
        cursor.execute(SQL_FILE.read_text())


def downgrade() -> None:
    """Refused: prices would be rounded, and the sums over them would no longer be those of the source."""
    raise RuntimeError(
        "This migration cannot be undone: prices would be rounded, and sums would differ from the source's."
    )
