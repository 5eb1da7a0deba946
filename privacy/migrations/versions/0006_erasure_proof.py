"""A chained audit log, certificates, models due for training, and records that a law keeps."""

from pathlib import Path

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

SQL_FILE = Path(__file__).with_suffix(".sql")


def upgrade() -> None:
    """Everything is in the SQL file beside this one."""
    connection = op.get_bind().connection.driver_connection
    assert connection is not None
    with connection.cursor() as cursor:
        cursor.execute(SQL_FILE.read_text())


def downgrade() -> None:
    """Refused: certificates refer to the chain, and the law to the records."""
    raise RuntimeError(
        "Migration 0007 cannot be undone: certificates would lose the log that they are chained to."
    )
