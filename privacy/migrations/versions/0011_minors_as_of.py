"""When what is known of a minor was stated."""

from privacy.migration_sql import run_sql_beside

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    run_sql_beside(__file__)


def downgrade() -> None:
    """Refused: an older row of a source would take a child's protection away."""
    raise RuntimeError(
        "This migration cannot be undone: an older row of a source would take a child's protection away."
    )
