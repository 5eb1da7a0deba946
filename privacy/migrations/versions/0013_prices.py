"""Prices as precise as a source states them, and a schema for what they were."""

from privacy.migration_sql import run_sql_beside

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Widen the columns; dbt makes the views on them anew at its next build."""
    run_sql_beside(__file__)


def downgrade() -> None:
    """Refused: prices would be rounded, and the sums over them would no longer be those of the source."""
    raise RuntimeError(
        "This migration cannot be undone: prices would be rounded, and sums would differ from the source's."
    )
