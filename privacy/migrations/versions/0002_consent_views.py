"""The consent ledger as intervals, as what is agreed to now, and as what is withheld."""

from pathlib import Path

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

SQL_FILE = Path(__file__).with_suffix(".sql")


def upgrade() -> None:
    """Create the views."""
    connection = op.get_bind().connection.driver_connection
    assert connection is not None
    with connection.cursor() as cursor:
        cursor.execute(SQL_FILE.read_text())


def downgrade() -> None:
    """Drop the views; the ledger stays."""
    op.execute("drop view consent.current, consent.intervals, consent.withheld")
