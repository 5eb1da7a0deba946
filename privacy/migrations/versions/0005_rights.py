"""Rectifications, restrictions, requesters' tokens and idempotency keys."""

from alembic import op

from privacy.migration_sql import run_sql_beside

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables and the view."""
    run_sql_beside(__file__)


def downgrade() -> None:
    """Drop them; corrections and restrictions that were made are lost."""
    op.execute("revoke select (expires) on requests.exports from selvedge_dagster")
    op.execute("drop view consent.restricted, consent.corrected")
    op.execute(
        "drop table requests.rectifications, requests.used_tokens, requests.idempotency_keys"
    )
    op.execute("alter table requests.privacy_requests drop column content")
