"""The two tables, made anew or taken over from JeevesAgent.

No recorded row is touched. JeevesAgent's tables differ on Postgres only, in the collation of their keys: changing it
rebuilds the index and leaves the table's file as it is.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import context, op
from sqlalchemy.dialects import postgresql

revision = "1_journal_tables"
down_revision = None
branch_labels = None
depends_on = None

KEYS = ("session_id", "step_name")
KEY_TYPE = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")
TIME_TYPE = sa.Double().with_variant(sa.REAL(), "sqlite")


def upgrade() -> None:
    for table, payload in (("journal_steps", "value"), ("journal_streams", "chunks")):
        present = _column_collations(table)
        if not present:
            _create(table, payload)
        if op.get_context().dialect.name == "postgresql" and any(present.get(key) != "C" for key in KEYS):
            _collate_by_bytes(table)


def downgrade() -> None:
    """Leave the tables and every recorded row in place."""


def _column_collations(table: str) -> dict[str, str | None]:
    """Return the columns that a table has, with the collation of each; none where there is no table."""
    if context.is_offline_mode():
        return {}
    # Looked up and not left to IF NOT EXISTS, which needs the CREATE privilege even where the table is there.
    inspector = sa.inspect(op.get_bind())
    schema = op.get_context().version_table_schema
    if not inspector.has_table(table, schema=schema):
        return {}
    columns = inspector.get_columns(table, schema=schema)
    return {column["name"]: getattr(column["type"], "collation", None) for column in columns}


def _create(table: str, payload: str) -> None:
    op.create_table(
        table,
        sa.Column("session_id", KEY_TYPE, nullable=False),
        sa.Column("step_name", KEY_TYPE, nullable=False),
        sa.Column(payload, sa.LargeBinary(), nullable=False),
        sa.Column("created_at", TIME_TYPE, nullable=False),
        sa.PrimaryKeyConstraint(*KEYS, name=f"{table}_pkey"),
        schema=op.get_context().version_table_schema,
        if_not_exists=True,
    )


def _collate_by_bytes(table: str) -> None:
    quote = op.get_context().dialect.identifier_preparer.quote_identifier
    schema = op.get_context().version_table_schema
    name = f"{quote(schema)}.{table}" if schema else table
    # One statement for both columns, so that the index is rebuilt once.
    changes = ", ".join(f'ALTER COLUMN {key} TYPE TEXT COLLATE "C"' for key in KEYS)
    # Alembic takes a string for one with parameters, which begin with a colon.
    op.execute(f"ALTER TABLE {name} {changes}".replace(":", r"\:"))
