"""Identifiers sealed beside their lookups, contested ones, versions of keys in use, and a count of changes to tombstones."""

from privacy.migration_sql import run_sql_beside

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns, the table of key versions, and the counter."""
    run_sql_beside(__file__)


def downgrade() -> None:
    """Refused: without the sealed identifiers a lookup key could not be rotated any more."""
    raise RuntimeError("This migration cannot be undone: sealed identifiers would be lost. Use './selvedge reset'.")
