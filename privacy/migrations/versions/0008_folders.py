"""Which folders of data ever held something."""

from privacy.migration_sql import run_sql_beside

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    run_sql_beside(__file__)


def downgrade() -> None:
    """Refused: a folder that is not mounted would be taken for an empty one."""
    raise RuntimeError(
        "This migration cannot be undone: a folder that is not mounted would be taken for an empty one."
    )
