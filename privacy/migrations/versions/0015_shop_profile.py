"""What the shop knows of one subject, as serving may ask for it."""

from pathlib import Path

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

SQL_FILE = Path(__file__).with_suffix(".sql")


def upgrade() -> None:
    """Create the function and the indexes that it looks subjects up by."""
    connection = op.get_bind().connection.driver_connection
    assert connection is not None
    with connection.cursor() as cursor:
        cursor.execute(SQL_FILE.read_text())


def downgrade() -> None:
    """Drop them; the profile route then answers 503."""
    op.execute("drop function consent.shop_profile(text, text[])")
    op.execute(
        "drop index shop.order_lines_subject, shop.returns_subject, shop.quiz_answers_subject"
    )
