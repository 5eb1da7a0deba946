"""By what somebody who was erased still follows their own request."""

from alembic import op

from privacy.migration_sql import run_sql_beside

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table, and the trigger that dates it."""
    run_sql_beside(__file__)


def downgrade() -> None:
    """Drop them; who was erased cannot follow their request any more."""
    op.execute("drop trigger requester_marks_closed on requests.privacy_requests")
    op.execute("drop function requests.close_requester_marks()")
    op.execute("drop table requests.requester_marks")
