"""The options: their names, their values, and how a URL spells them."""

from __future__ import annotations

from typing import Any

import pytest

from jeeves_journal import ConfigurationError, Keyring
from jeeves_journal.options import (
    COMMON_OPTIONS,
    LARGEST_VALUE_BYTES,
    LONGEST_TIMEOUT,
    POSTGRES_OPTIONS,
    Settings,
    read_settings,
)


def read_all(**options: Any) -> Settings:
    return read_settings(options, accepted=POSTGRES_OPTIONS)  # type: ignore[arg-type]


def test_without_options_the_defaults_hold() -> None:
    assert read_settings({}) == Settings(timeout=30.0, max_value_bytes=268_435_456, create_tables=None)


def test_keywords_are_read() -> None:
    settings = read_all(
        timeout=1, max_value_bytes=5, create_tables=False, pool_size=1, max_overflow=0, schema="Étapes", pgbouncer=True
    )
    assert settings == Settings(
        timeout=1.0,
        max_value_bytes=5,
        create_tables=False,
        pool_size=1,
        max_overflow=0,
        schema="Étapes",
        pgbouncer=True,
    )


def test_a_urls_query_part_is_read() -> None:
    query = {"timeout": "2.5", "max_value_bytes": "1000", "create_tables": "true", "pgbouncer": "off"}
    assert read_settings({}, query, accepted=POSTGRES_OPTIONS) == Settings(
        timeout=2.5, max_value_bytes=1_000, create_tables=True, pgbouncer=False
    )


def test_a_url_does_not_open_a_sealed_journal() -> None:
    with pytest.raises(ConfigurationError, match="'allow_unsealed' cannot stand in a URL.*keyword"):
        read_settings({"keys": Keyring.generate()}, {"allow_unsealed": "true"})


def test_a_keyword_wins_over_the_query_part() -> None:
    assert read_settings({"timeout": 5}, {"timeout": "7", "max_value_bytes": "9"}) == Settings(
        timeout=5.0, max_value_bytes=9
    )


@pytest.mark.parametrize("spelled", ["true", "1", "YES", "On"])
def test_a_switch_may_be_turned_on_in_four_ways(spelled: str) -> None:
    assert read_settings({}, {"create_tables": spelled}).create_tables is True


@pytest.mark.parametrize("spelled", ["false", "0", "NO", "Off"])
def test_a_switch_may_be_turned_off_in_four_ways(spelled: str) -> None:
    assert read_settings({}, {"create_tables": spelled}).create_tables is False


def test_an_unknown_option_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigurationError) as refusal:
        read_settings({"time_out": 5})  # type: ignore[typeddict-unknown-key]  # pyright: ignore[reportArgumentType]
    assert str(refusal.value) == f"unknown option 'time_out': this store accepts {', '.join(COMMON_OPTIONS)}"


@pytest.mark.parametrize("name", sorted(set(POSTGRES_OPTIONS) - set(COMMON_OPTIONS)))
def test_an_option_that_means_nothing_here_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match=f"unknown option '{name}'"):
        read_settings({}, {name: "1"})


@pytest.mark.parametrize(
    ("name", "expected", "values"),
    [
        (
            "timeout",
            "a number of seconds greater than 0, at most 1,000,000",
            [
                0,
                -1,
                1_000_001,
                float("nan"),
                float("inf"),
                "nan",
                "inf",
                "1e999",
                10**400,
                "",
                "soon",
                True,
                None,
                b"1",
                (1,),
            ],
        ),
        (
            "max_value_bytes",
            f"a whole number from 1 to {LARGEST_VALUE_BYTES:,}",
            [0, -1, LARGEST_VALUE_BYTES + 1, 1.5, "1.5", "", "1 MB", "9" * 5_000, True, None],
        ),
        ("pool_size", "a whole number from 1 to 10,000", [0, 10_001, "many", None]),
        ("max_overflow", "a whole number from 0 to 10,000", [-1, 10_001, "many", None]),
        ("create_tables", "true or false", [1, 0, "maybe", "", None]),
        ("pgbouncer", "true or false", [1, "maybe", None]),
        ("schema", "a schema's name, at most 63 bytes", ["", "a\0b", "s" * 64, "é" * 32, "a\ud800", 7, None, b"s"]),
    ],
)
def test_a_value_that_cannot_be_used_is_refused(name: str, expected: str, values: list[Any]) -> None:
    for value in values:
        with pytest.raises(ConfigurationError) as refusal:
            read_all(**{name: value})
        assert str(refusal.value) == f"the value of option '{name}' cannot be used: pass {expected}"


def test_the_limits_themselves_are_accepted() -> None:
    for options in (
        {"max_value_bytes": 1},
        {"max_value_bytes": LARGEST_VALUE_BYTES},
        {"pool_size": 10_000},
        {"schema": "s" * 63},
        {"timeout": 0.001},
        {"timeout": LONGEST_TIMEOUT},
    ):
        read = read_all(**options)
        assert {name: getattr(read, name) for name in options} == options


def test_a_refusal_does_not_repeat_the_value() -> None:
    with pytest.raises(ConfigurationError) as refusal:
        read_settings({}, {"timeout": "hunter2"})
    assert "hunter2" not in str(refusal.value)
    assert refusal.value.__cause__ is None
