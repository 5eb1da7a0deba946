"""Schemas, roles, the vault, the consent ledger, the shop's tables, requests and the audit log."""

from pathlib import Path

from alembic import op
from psycopg import sql

from privacy.database import Role, role_password

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

SQL_FILE = Path(__file__).with_suffix(".sql")


def upgrade() -> None:
    """Create the roles, then everything else from the SQL file beside this one."""
    connection = op.get_bind().connection.driver_connection
    assert connection is not None
    with connection.cursor() as cursor:
        for role in Role:
            cursor.execute("select 1 from pg_roles where rolname = %s", [role.value])
            verb = "alter" if cursor.fetchone() else "create"
            cursor.execute(
                sql.SQL("{} role {} login password {}").format(
                    sql.SQL(verb), sql.Identifier(role.value), sql.Literal(role_password(role))
                )
            )
        cursor.execute(SQL_FILE.read_text())


def downgrade() -> None:
    """Refused: dropping the vault would lose every pseudonym."""
    raise RuntimeError("The first migration cannot be undone: it would destroy the vault. Use './selvedge reset'.")
