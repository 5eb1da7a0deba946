"""Children's own agreements do not count, and models know whose data they are to forget."""

from privacy.migration_sql import run_sql_beside

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables and views, and let the intervals read only the statements that count."""
    run_sql_beside(__file__)


def downgrade() -> None:
    """Refused: children's own agreements would count again."""
    raise RuntimeError("This migration cannot be undone: children's own agreements would count again.")
