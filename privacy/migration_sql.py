"""How a migration runs: the SQL file beside it, whole, on the connection and in the transaction that Alembic holds."""

from pathlib import Path

from alembic import op

__all__ = ["run_sql_beside"]


def run_sql_beside(migration: str) -> None:
    """Run the SQL file of the same name as the `migration` (its ``__file__``), which may hold several statements.

    It goes to the driver as it is: nothing in it is taken for a parameter.
    """
    connection = op.get_bind().connection.driver_connection
    assert connection is not None
    with connection.cursor() as cursor:
        cursor.execute(Path(migration).with_suffix(".sql").read_text())
