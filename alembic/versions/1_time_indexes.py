"""Index both tables by time, for listing the latest sessions and for pruning.

No recorded row is touched. On Postgres nobody is kept from reading or writing while an index is built on a table that
holds rows. A build that was interrupted leaves an index that is not valid: it is dropped and built again. One that is
valid, as an administrator may have built it beforehand, is kept.
https://www.postgresql.org/docs/current/sql-createindex.html#SQL-CREATEINDEX-CONCURRENTLY
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import context, op

revision = "1_time_indexes"
down_revision = "1_inline_values"
branch_labels = None
depends_on = None

COLUMNS = ["created_at", "session_id"]

_IS_VALID = sa.text(
    "SELECT indisvalid FROM pg_catalog.pg_index JOIN pg_catalog.pg_class c ON c.oid = indexrelid "
    "WHERE indrelid = to_regclass(:table) AND relname = :index"
)
_LOCK_NOT_AVAILABLE = "55P03"


def upgrade() -> None:
    is_postgres = op.get_context().dialect.name == "postgresql"
    for table in ("journal_steps", "journal_streams"):
        if is_postgres and not context.is_offline_mode():
            _build_without_blocking(table)
        elif is_postgres and context.get_starting_revision_argument():
            with op.get_context().autocommit_block():
                _create(table, if_not_exists=True, postgresql_concurrently=True)
        else:
            _create(table, if_not_exists=True)


def downgrade() -> None:
    """Leave the indexes in place: nothing depends on them, and to build them again may take long."""


def _build_without_blocking(table: str) -> None:
    is_valid = _is_valid(table)
    if is_valid is False:
        # Somebody may be building it just now, who has this lock, with which writers go on.
        op.get_bind().exec_driver_sql(f"LOCK TABLE {_qualified(table)} IN SHARE UPDATE EXCLUSIVE MODE")
        is_valid = _is_valid(table)
    if is_valid or (is_valid is None and _create_at_once(table)):
        return
    with op.get_context().autocommit_block():
        if is_valid is False:
            schema = op.get_context().version_table_schema
            op.drop_index(_index(table), table, schema=schema, if_exists=True, postgresql_concurrently=True)
        _create(table, postgresql_concurrently=True)


def _is_valid(table: str) -> bool | None:
    """Return whether the index is valid, or ``None`` where there is none."""
    found: bool | None = op.get_bind().scalar(_IS_VALID, {"table": _qualified(table), "index": _index(table)})
    return found


def _create_at_once(table: str) -> bool:
    """Create the index in this transaction and return true, if the table is empty and nobody is writing to it."""
    bind = op.get_bind()
    if not _is_empty(table):
        return False
    try:
        with bind.begin_nested():
            # To wait for a writer here would keep all later ones waiting.
            bind.exec_driver_sql(f"LOCK TABLE {_qualified(table)} IN SHARE MODE NOWAIT")
            is_empty = _is_empty(table)
            if is_empty:
                _create(table)
            return is_empty
    except sa.exc.DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) != _LOCK_NOT_AVAILABLE:
            raise
        return False


def _is_empty(table: str) -> bool:
    rows = sa.select(sa.literal(1)).select_from(sa.table(table, schema=op.get_context().version_table_schema)).limit(1)
    return op.get_bind().scalar(rows) is None


def _create(table: str, **options: Any) -> None:
    op.create_index(_index(table), table, COLUMNS, schema=op.get_context().version_table_schema, **options)


def _index(table: str) -> str:
    return f"{table}_created_at_session_id_idx"


def _qualified(table: str) -> str:
    schema = op.get_context().version_table_schema
    return f"{op.get_context().dialect.identifier_preparer.quote_identifier(schema)}.{table}" if schema else table
