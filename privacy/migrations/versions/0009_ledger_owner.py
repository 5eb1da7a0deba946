"""The consent ledger and the audit log belong to a role that nobody can become."""

from pathlib import Path

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

SQL_FILE = Path(__file__).with_suffix(".sql")


def upgrade() -> None:
    """Hand over schemas, tables and functions, and grant what the application needs."""
    connection = op.get_bind().connection.driver_connection
    assert connection is not None
    with connection.cursor() as cursor:
        cursor.execute(SQL_FILE.read_text())


def downgrade() -> None:
    """Refused: the application could switch off what keeps its own ledger from being changed."""
    raise RuntimeError(
        "This migration cannot be undone: the application could change its own ledger and audit log again."
    )
