"""A chained audit log, certificates, models due for training, and records that a law keeps."""

from privacy.migration_sql import run_sql_beside

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Everything is in the SQL file beside this one."""
    run_sql_beside(__file__)


def downgrade() -> None:
    """Refused: certificates refer to the chain, and the law to the records."""
    raise RuntimeError(
        "Migration 0007 cannot be undone: certificates would lose the log that they are chained to."
    )
