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

_KEY_COLLATIONS = sa.text(
    "SELECT collname FROM pg_catalog.pg_attribute LEFT JOIN pg_catalog.pg_collation c ON c.oid = attcollation "
    "WHERE attrelid = to_regclass(:table) AND attname = ANY (:keys)"
)


def upgrade() -> None:
    for table, payload in (("journal_steps", "value"), ("journal_streams", "chunks")):
        is_new = context.is_offline_mode() or not _is_there(table)
        if is_new:
            _create(table, payload)
        if op.get_context().dialect.name == "postgresql" and (is_new or not _is_collated_by_bytes(table)):
            _collate_by_bytes(table)


def downgrade() -> None:
    """Leave the tables and every recorded row in place."""


def _is_there(table: str) -> bool:
    # Looked up and not left to IF NOT EXISTS, which needs the CREATE privilege even where the table is there.
    return sa.inspect(op.get_bind()).has_table(table, schema=op.get_context().version_table_schema)


def _is_collated_by_bytes(table: str) -> bool:
    # Not by SQLAlchemy's reflection: it reads collations as JSON, which a connection of a caller's pool does not decode
    # as SQLAlchemy expects.
    collations = op.get_bind().scalars(_KEY_COLLATIONS, {"table": _qualified(table), "keys": list(KEYS)})
    return set(collations) == {"C"}


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
    # One statement for both columns, so that the index is rebuilt once.
    changes = ", ".join(f'ALTER COLUMN {key} TYPE TEXT COLLATE "C"' for key in KEYS)
    # Alembic takes a string for one with parameters, which begin with a colon.
    op.execute(f"ALTER TABLE {_qualified(table)} {changes}".replace(":", r"\:"))


def _qualified(table: str) -> str:
    schema = op.get_context().version_table_schema
    return f"{op.get_context().dialect.identifier_preparer.quote_identifier(schema)}.{table}" if schema else table
