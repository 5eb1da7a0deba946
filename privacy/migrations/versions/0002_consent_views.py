"""The consent ledger as intervals, as what is agreed to now, and as what is withheld."""

from alembic import op

from privacy.migration_sql import run_sql_beside

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the views."""
    run_sql_beside(__file__)


def downgrade() -> None:
    """Drop the views; the ledger stays."""
    op.execute("drop view consent.current, consent.intervals, consent.withheld")
