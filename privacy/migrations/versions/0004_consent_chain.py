"""The consent ledger chained by hash, its erasures and signed heads, and agreements that run out."""

from privacy.migration_sql import run_sql_beside

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Chain every record that is there, and refuse whatever would change one."""
    run_sql_beside(__file__)


def downgrade() -> None:
    """Refused: without the chain nobody could tell what was changed meanwhile."""
    raise RuntimeError("The consent chain cannot be taken away: it is the ledger's proof.")
