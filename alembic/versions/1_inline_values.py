"""Keep values of up to 8 KB in their rows on Postgres, as they are.

Postgres compresses a row that is over 2 KB, and moves it out if that does not help. For values of a few KB, that takes
longer than writing them, and callers wait for it. No recorded row is touched, and nobody is kept from reading or
writing meanwhile. https://www.postgresql.org/docs/current/sql-createtable.html#RELOPTION-TOAST-TUPLE-TARGET
"""

from __future__ import annotations

from alembic import op

revision = "1_inline_values"
down_revision = "1_journal_tables"
branch_labels = None
depends_on = None


def upgrade() -> None:
    if op.get_context().dialect.name != "postgresql":
        return
    for table in ("journal_steps", "journal_streams"):
        # Alembic takes a string for one with parameters, which begin with a colon.
        op.execute(f"ALTER TABLE {_qualified(table)} SET (toast_tuple_target = 8160)".replace(":", r"\:"))


def downgrade() -> None:
    """Leave the tables as they are: nothing depends on it."""


def _qualified(table: str) -> str:
    schema = op.get_context().version_table_schema
    return f"{op.get_context().dialect.identifier_preparer.quote_identifier(schema)}.{table}" if schema else table
