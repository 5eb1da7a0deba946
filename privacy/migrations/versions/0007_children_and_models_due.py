"""Children's own agreements do not count, and models know whose data they are to forget."""

from pathlib import Path

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

SQL_FILE = Path(__file__).with_suffix(".sql")


def upgrade() -> None:
    """Create the tables and views, and let the intervals read only the statements that count."""
    connection = op.get_bind().connection.driver_connection
    assert connection is not None
    with connection.cursor() as cursor:
        cursor.execute(SQL_FILE.read_text())


def downgrade() -> None:
    """Refused: children's own agreements would count again."""
    raise RuntimeError("This migration cannot be undone: children's own agreements would count again.")
