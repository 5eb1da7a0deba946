"""Which folders of data ever held something."""

from pathlib import Path

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

SQL_FILE = Path(__file__).with_suffix(".sql")


def upgrade() -> None:
    """Create the table."""
    connection = op.get_bind().connection.driver_connection
    assert connection is not None
    with connection.cursor() as cursor:
        cursor.execute(SQL_FILE.read_text())


def downgrade() -> None:
    """Refused: a folder that is not mounted would be taken for an empty one."""
    raise RuntimeError(
        "This migration cannot be undone: a folder that is not mounted would be taken for an empty one."
    )
