"""Alembic's entry: runs every migration as the administrator, in one transaction."""

from alembic import context
from sqlalchemy import create_engine

from privacy.database import admin_url

engine = create_engine(admin_url())
with engine.connect() as connection:
    context.configure(connection=connection, version_table_schema="public")
    with context.begin_transaction():
        context.run_migrations()
    connection.commit()
engine.dispose()
