"""No samples in the planner's statistics of what must be able to leave the disk."""

from privacy.migration_sql import run_sql_beside

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Switch the columns' statistics off."""
    run_sql_beside(__file__)


def downgrade() -> None:
    """Refused: erased words would be sampled again."""
    raise RuntimeError("This migration cannot be undone: erased words would be kept in the planner's statistics again.")
