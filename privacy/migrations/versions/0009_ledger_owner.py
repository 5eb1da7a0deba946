"""The consent ledger and the audit log belong to a role that nobody can become."""

from privacy.migration_sql import run_sql_beside

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Hand over schemas, tables and functions, and grant what the application needs."""
    run_sql_beside(__file__)


def downgrade() -> None:
    """Refused: the application could switch off what keeps its own ledger from being changed."""
    raise RuntimeError(
        "This migration cannot be undone: the application could change its own ledger and audit log again."
    )
