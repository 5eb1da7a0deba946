"""By what somebody who was erased still follows their own request."""

from pathlib import Path

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

SQL_FILE = Path(__file__).with_suffix(".sql")


def upgrade() -> None:
    """Create the table, and the trigger that dates it."""
    connection = op.get_bind().connection.driver_connection
    assert connection is not None
    with connection.cursor() as cursor:
        cursor.execute(SQL_FILE.read_text())


def downgrade() -> None:
    """Drop them; who was erased cannot follow their request any more."""
    op.execute("drop trigger requester_marks_closed on requests.privacy_requests")
    op.execute("drop function requests.close_requester_marks()")
    op.execute("drop table requests.requester_marks")
