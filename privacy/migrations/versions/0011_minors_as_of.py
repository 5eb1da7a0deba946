"""When what is known of a minor was stated."""

from pathlib import Path

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

SQL_FILE = Path(__file__).with_suffix(".sql")


def upgrade() -> None:
    """Add the column."""
    connection = op.get_bind().connection.driver_connection
    assert connection is not None
    with connection.cursor() as cursor:
        cursor.execute(SQL_FILE.read_text())


def downgrade() -> None:
    """Refused: an older row of a source would take a child's protection away."""
    raise RuntimeError(
        "This migration cannot be undone: an older row of a source would take a child's protection away."
    )
