"""What each asset and each of its columns is made of."""

from alembic import op

from privacy.migration_sql import run_sql_beside

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns."""
    run_sql_beside(__file__)


def downgrade() -> None:
    """Remove them; the next materialisation would record them again."""
    op.execute("alter table requests.assets drop column inputs, drop column columns, drop column lineage")
