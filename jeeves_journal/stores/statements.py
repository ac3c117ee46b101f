"""The statements of the hot path: built once from the models, compiled once for a dialect."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    Dialect,
    Integer,
    LargeBinary,
    Table,
    TableClause,
    Text,
    bindparam,
    column,
    func,
    literal_column,
    select,
    values,
)
from sqlalchemy.dialects.postgresql import Insert as PostgresInsert
from sqlalchemy.dialects.sqlite import Insert as SqliteInsert
from sqlalchemy.sql.expression import ClauseElement

from jeeves_journal.records import Kind
from jeeves_journal.stores.models import KEY_TYPE, TIME_TYPE, StepRecord, StreamRecord

KINDS: Final[tuple[Kind, ...]] = ("step", "stream")

TABLES: Final[Mapping[Kind, Table]] = {
    "step": cast("Table", StepRecord.__table__),
    "stream": cast("Table", StreamRecord.__table__),
}
PAYLOADS: Final[Mapping[Kind, str]] = {"step": "value", "stream": "chunks"}
TABLE_NAMES: Final[Mapping[Kind, str]] = {"step": StepRecord.__tablename__, "stream": StreamRecord.__tablename__}


@dataclass(frozen=True)
class Statements:
    """Compiled text, whose parameters are positional and stand in the order that is given here."""

    upsert: Mapping[Kind, str]
    """session_id, step_name, bytes, created_at."""
    read: Mapping[Kind, str]
    """session_id, step_name. Returns bytes, created_at."""
    read_session: str
    """session_id. Returns step_name, bytes, created_at of its steps, in recorded order."""
    read_session_if_within: str
    """session_id, byte bound, session_id. As read_session, in any order, or nothing if they exceed the bound."""
    read_session_within: str
    """session_id, byte bound, session_id. As read_session, of the first steps that fit the bound."""

    @classmethod
    def compiled_for(
        cls,
        dialect: Dialect,
        insert: Callable[[Any], SqliteInsert | PostgresInsert],
        schema: str | None = None,
    ) -> Statements:
        """Build the statements from the models.

        Args:
            dialect: What to compile for.
            insert: The dialect's own INSERT construct, since Core's knows no upsert.
            schema: Where the tables are, if not on the connection's search path.
        """

        def text(statement: ClauseElement, *parameters: str) -> str:
            return compile_text(statement, dialect, schema, *parameters)

        return cls(
            upsert={kind: text(_upsert(kind, insert), *_ROW_PARAMETERS) for kind in KINDS},
            read={kind: text(_read(kind), "session_id", "step_name") for kind in KINDS},
            read_session=text(_read_session(), "session_id"),
            read_session_if_within=text(_read_session_if_within(), "session_id", "max_bytes", "same_session_id"),
            read_session_within=text(_read_session_within(), "session_id", "max_bytes", "same_session_id"),
        )


def compile_text(statement: ClauseElement, dialect: Dialect, schema: str | None, *parameters: str) -> str:
    """Return a statement's text, having made sure that its parameters stand in this order."""
    where: dict[str, Any] = {"schema_translate_map": {None: schema}, "render_schema_translate": True} if schema else {}
    compiled: Any = statement.compile(dialect=dialect, **where)
    if tuple(compiled.positiontup) != parameters:
        raise AssertionError(f"SQLAlchemy compiled parameters {compiled.positiontup}, not {parameters}")
    return str(compiled)


def read_many(kind: Kind) -> ClauseElement:
    """Return the SELECT of many keys; Postgres only.

    Their session ids are one text and their step names another, each split at ``separator``. Returns the key's
    position, counted from 1, bytes, created_at.
    """
    table = TABLES[kind]
    names = ("session_id", "step_name")
    wanted = func.unnest(*_split_keys()).table_valued(*names, with_ordinality="position").render_derived(name="given")
    on = (table.c.session_id == wanted.c.session_id) & (table.c.step_name == wanted.c.step_name)
    columns = (wanted.c.position, table.c[PAYLOADS[kind]], table.c.created_at)
    return select(*columns).select_from(table.join(wanted, on))


def insert_many(kind: Kind, insert: Callable[[Any], PostgresInsert]) -> ClauseElement:
    """Return the INSERT of many rows whose keys are new; Postgres only.

    They are given as to ``upsert_many``, and with them the table's name. Where the table has lost its primary key, it
    inserts nothing.
    """
    return _from_many(kind, insert, _HAS_PRIMARY_KEY)


def upsert_many(kind: Kind, insert: Callable[[Any], PostgresInsert]) -> ClauseElement:
    """Return the upsert of many rows, in which no key may stand twice; Postgres only.

    Their keys are given as to ``read_many``, the rest in two parallel arrays.
    """
    return _over_earlier(_from_many(kind, insert), PAYLOADS[kind])


def _from_many(kind: Kind, insert: Callable[[Any], PostgresInsert], *conditions: ColumnElement[bool]) -> PostgresInsert:
    columns = ("session_id", "step_name", PAYLOADS[kind], "created_at")
    arrays = (bindparam("payloads", type_=ARRAY(LargeBinary)), bindparam("created_ats", type_=ARRAY(TIME_TYPE)))
    rows = func.unnest(*_split_keys(), *arrays).table_valued(*columns).render_derived(name="given")
    given = select(*(rows.c[name] for name in columns)).where(*conditions)
    return insert(TABLES[kind]).from_select(list(columns), given)


def read_listed(kind: Kind, count: int) -> ClauseElement:
    """Return the SELECT of so many keys, given one after the other: session_id, step_name, session_id, ...

    Returns the key's position, counted from 0, bytes, created_at; for a key that is not there the latter two are NULL.
    """
    table = TABLES[kind]
    wanted = (
        values(column("position", Integer), column("session_id", Text), column("step_name", Text), name="wanted")
        .data(
            [
                (literal_column(str(position), Integer), _key(f"session_id_{position}"), _key(f"step_name_{position}"))
                for position in range(count)
            ]
        )
        .cte()
    )
    on = (table.c.session_id == wanted.c.session_id) & (table.c.step_name == wanted.c.step_name)
    # An outer join, since SQLite takes its left side first: it would be free to scan the table for an inner one.
    return select(wanted.c.position, table.c[PAYLOADS[kind]], table.c.created_at).select_from(
        wanted.outerjoin(table, on)
    )


def listed_parameters(count: int) -> list[str]:
    """Return the names of that statement's parameters."""
    return [f"{key}_{position}" for position in range(count) for key in ("session_id", "step_name")]


MANY_KEYS: Final = ("session_ids", "separator", "step_names")
MANY_ROWS: Final = (*MANY_KEYS, "payloads", "created_ats")
MANY_NEW_ROWS: Final = (*MANY_ROWS, "table_name")

_INDEXES: Final = TableClause("pg_index", column("indrelid"), column("indisprimary"), schema="pg_catalog")
_HAS_PRIMARY_KEY: Final = (
    select(_INDEXES.c.indrelid)
    .where(_INDEXES.c.indrelid == func.to_regclass(bindparam("table_name", type_=Text())), _INDEXES.c.indisprimary)
    .exists()
)


def _split_keys() -> Iterator[ColumnElement[Sequence[str]]]:
    # Two texts and no arrays: asyncpg asks two abstract base classes about each element of an array, which takes longer
    # than all the rest that it does with a key.
    for name in ("session_ids", "step_names"):
        text, separator = bindparam(name, type_=Text()), bindparam("separator", type_=Text())
        yield func.string_to_array(text, separator, type_=ARRAY(Text))


_ROW_PARAMETERS: Final = ("session_id", "step_name", "data", "created_at")


def _key(name: str) -> ColumnElement[str]:
    # Without a collation of its own: a table that JeevesAgent made and nobody upgraded yet has the database's, and an
    # explicit other one would keep Postgres from using its index.
    return bindparam(name, type_=Text())


def _upsert(kind: Kind, insert: Callable[[Any], SqliteInsert | PostgresInsert]) -> ClauseElement:
    statement, payload = insert(TABLES[kind]), PAYLOADS[kind]
    statement = statement.values(
        {
            "session_id": _key("session_id"),
            "step_name": _key("step_name"),
            payload: bindparam("data", type_=LargeBinary()),
            "created_at": bindparam("created_at", type_=TIME_TYPE),
        }
    )
    return _over_earlier(statement, payload)


def _over_earlier(statement: SqliteInsert | PostgresInsert, payload: str) -> ClauseElement:
    return statement.on_conflict_do_update(
        index_elements=["session_id", "step_name"],
        set_={payload: statement.excluded[payload], "created_at": statement.excluded["created_at"]},
    )


def _read(kind: Kind) -> ClauseElement:
    table = TABLES[kind]
    return select(table.c[PAYLOADS[kind]], table.c.created_at).where(
        table.c.session_id == _key("session_id"), table.c.step_name == _key("step_name")
    )


# JeevesAgent's tables may still have another collation.
_RECORDED_ORDER: Final = TABLES["step"].c.created_at, TABLES["step"].c.step_name.cast(KEY_TYPE)


def _read_session() -> ClauseElement:
    steps = TABLES["step"]
    return (
        select(steps.c.step_name, steps.c.value, steps.c.created_at)
        .where(steps.c.session_id == _key("session_id"))
        .order_by(*_RECORDED_ORDER)
    )


def _read_session_if_within() -> ClauseElement:
    steps = TABLES["step"]
    # Asked once for the whole statement, and without reading a payload: its size stands in the row's header.
    total = select(func.sum(func.length(steps.c.value))).where(steps.c.session_id == _key("session_id"))
    return select(steps.c.step_name, steps.c.value, steps.c.created_at).where(
        total.correlate(None).scalar_subquery() <= bindparam("max_bytes", type_=BigInteger()),
        steps.c.session_id == _key("same_session_id"),
    )


def _read_session_within() -> ClauseElement:
    steps = TABLES["step"]
    size = func.sum(func.length(steps.c.value)).over(order_by=_RECORDED_ORDER)
    # The sizes come first and alone, so that no payload beyond the bound is read from disk or sorted.
    sized = select(steps.c.step_name, size.label("size")).where(steps.c.session_id == _key("session_id")).subquery()
    return (
        select(steps.c.step_name, steps.c.value, steps.c.created_at)
        .join(sized, sized.c.step_name == steps.c.step_name)
        .where(
            sized.c.size <= bindparam("max_bytes", type_=BigInteger()), steps.c.session_id == _key("same_session_id")
        )
        .order_by(*_RECORDED_ORDER)
    )
