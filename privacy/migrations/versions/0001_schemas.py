"""Schemas, roles, the vault, the consent ledger, the shop's tables, requests and the audit log."""

from privacy.migration_sql import run_sql_beside

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Everything is in the SQL file beside this one; the roles exist already."""
    run_sql_beside(__file__)


def downgrade() -> None:
    """Refused: dropping the vault would lose every pseudonym."""
    raise RuntimeError("The first migration cannot be undone: it would destroy the vault. Use './selvedge reset'.")
