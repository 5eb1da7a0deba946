"""Schemas, roles, the vault, the consent ledger, the shop's tables, requests and the audit log."""

from pathlib import Path

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

SQL_FILE = Path(__file__).with_suffix(".sql")


def upgrade() -> None:
    """Everything is in the SQL file beside this one; the roles exist already."""
    connection = op.get_bind().connection.driver_connection
    assert connection is not None
    with connection.cursor() as cursor:
        cursor.execute(SQL_FILE.read_text())


def downgrade() -> None:
    """Refused: dropping the vault would lose every pseudonym."""
    raise RuntimeError("The first migration cannot be undone: it would destroy the vault. Use './selvedge reset'.")
