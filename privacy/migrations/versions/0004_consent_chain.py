"""The consent ledger chained by hash, its erasures and signed heads, and agreements that run out."""

from pathlib import Path

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

SQL_FILE = Path(__file__).with_suffix(".sql")


def upgrade() -> None:
    """Chain every record that is there, and refuse whatever would change one."""
    connection = op.get_bind().connection.driver_connection
    assert connection is not None
    with connection.cursor() as cursor:
        cursor.execute(SQL_FILE.read_text())


def downgrade() -> None:
    """Refused: without the chain nobody could tell what was changed meanwhile."""
    raise RuntimeError("The consent chain cannot be taken away: it is the ledger's proof.")
