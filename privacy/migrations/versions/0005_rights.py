"""Rectifications, restrictions, requesters' tokens and idempotency keys."""

from pathlib import Path

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

SQL_FILE = Path(__file__).with_suffix(".sql")


def upgrade() -> None:
    """Create the tables and the view."""
    connection = op.get_bind().connection.driver_connection
    assert connection is not None
    with connection.cursor() as cursor:
        cursor.execute(SQL_FILE.read_text())


def downgrade() -> None:
    """Drop them; corrections and restrictions that were made are lost."""
    op.execute("revoke select (expires) on requests.exports from selvedge_dagster")
    op.execute("drop view consent.restricted, consent.corrected")
    op.execute(
        "drop table requests.rectifications, requests.used_tokens, requests.idempotency_keys"
    )
    op.execute("alter table requests.privacy_requests drop column content")
