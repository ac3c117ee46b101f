"""The schema as the database's own catalogue tells it: Alembic compares neither collations nor constraint names."""

from __future__ import annotations

from typing import Any

from tests.migrations.databases import TABLES, is_sqlite, literal, query

_POSTGRES = {
    "columns": """
        SELECT attname, attnum, format_type(atttypid, atttypmod), collname, attnotnull, pg_get_expr(adbin, adrelid)
        FROM pg_attribute
        LEFT JOIN pg_collation ON pg_collation.oid = attcollation
        LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
        WHERE attrelid = {table} AND attnum > 0 AND NOT attisdropped
    """,
    # Postgres 18 lists NOT NULL here too, under names that depend on how the column came by it.
    "constraints": """
        SELECT conname, contype::text, pg_get_constraintdef(oid)
        FROM pg_constraint WHERE conrelid = {table} AND contype <> 'n'
    """,
    "indexes": """
        SELECT relname, indisunique, indisprimary, indisvalid, pg_get_indexdef(indexrelid),
            ARRAY(SELECT collname::text FROM unnest(indcollation) AS wanted JOIN pg_collation ON oid = wanted)
        FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid WHERE indrelid = {table}
    """,
    "options": "SELECT unnest(reloptions) FROM pg_class WHERE oid = {table}",
    "triggers": "SELECT tgname FROM pg_trigger WHERE tgrelid = {table}",
}


def schema_of(url: str) -> dict[str, Any]:
    """Return everything that the catalogue holds about the two tables."""
    describe = _sqlite_table if is_sqlite(url) else _postgres_table
    return {table: describe(url, table) for table in TABLES}


def _postgres_table(url: str, table: str) -> dict[str, Any]:
    oid = f"to_regclass({literal(table)})"
    return {what: sorted(query(url, select.format(table=oid))) for what, select in _POSTGRES.items()}


def _sqlite_table(url: str, table: str) -> dict[str, Any]:
    indexes = query(url, f"PRAGMA index_list({table})")
    return {
        "columns": query(url, f"PRAGMA table_xinfo({table})"),
        "indexes": indexes,
        "index columns": {name: query(url, f"PRAGMA index_xinfo({name})") for _, name, *_ in indexes},
        "objects": query(url, f"SELECT type, name FROM sqlite_master WHERE tbl_name = '{table}' ORDER BY 1, 2"),
        "kind": query(url, f"SELECT type, ncol, wr, strict FROM pragma_table_list WHERE name = '{table}'"),
    }
