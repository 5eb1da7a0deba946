"""What the shop knows of one subject, as serving may ask for it."""

from alembic import op

from privacy.migration_sql import run_sql_beside

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the function and the indexes that it looks subjects up by."""
    run_sql_beside(__file__)


def downgrade() -> None:
    """Drop them; the profile route then answers 503."""
    op.execute("drop function consent.shop_profile(text, text[])")
    op.execute(
        "drop index shop.order_lines_subject, shop.returns_subject, shop.quiz_answers_subject"
    )
