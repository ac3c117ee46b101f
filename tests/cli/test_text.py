"""Names, times, sizes and spans of time, as people read them."""

from __future__ import annotations

import pytest

from jeeves_journal.cli.text import clock, count, in_one_line, moment, shown, size, span


@pytest.mark.parametrize(
    ("text", "harmless"),
    [
        ("run-1 é 日本", "run-1 é 日本"),
        ("\x1b[31m", "\\x1b[31m"),
        ("a\tb\nc\r", "a\\tb\\nc\\r"),
        ("\x9b31m", "\\x9b31m"),
        ("\u202eabc", "\\u202eabc"),
        ("\udc80", "\\udc80"),
        ("\U000e0041", "\\U000e0041"),
    ],
)
def test_what_cannot_be_printed_is_escaped(text: str, harmless: str) -> None:
    assert shown(text) == harmless


def test_a_message_stays_in_its_line() -> None:
    assert in_one_line("one\n  two\x07") == "one two\\x07"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "1970-01-01T00:00:00.000000Z"),
        (1_750_000_000.25, "2025-06-15T15:06:40.250000Z"),
        (1e300, "1e+300"),
        (float("nan"), "nan"),
        (float("inf"), "inf"),
    ],
)
def test_times_are_iso_8601_in_utc(seconds: float, text: str) -> None:
    assert moment(seconds) == text


def test_a_clock_shows_seconds_and_whatever_is_no_time_as_it_is() -> None:
    assert clock(1_750_000_000.25) == "2025-06-15 15:06:40"
    assert clock(1e300) == "1e+300"


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1_000, "1.0 kB"),
        (999_449, "999.4 kB"),
        (1_234_567, "1.2 MB"),
        (10**16, "10000.0 TB"),
    ],
)
def test_sizes_have_a_unit_that_suits_them(number: int, text: str) -> None:
    assert size(number) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0 s"),
        (0.0004, "0.4 ms"),
        (1.25, "1.2 s"),
        (59.99, "60.0 s"),
        (61.0, "1 min 1 s"),
        (3_599.6, "1 h 0 min"),
        (7_260.0, "2 h 1 min"),
        (90_000.0, "1 d 1 h"),
        (float("nan"), "?"),
        (float("inf"), "?"),
    ],
)
def test_spans_have_units_that_suit_them(seconds: float, text: str) -> None:
    assert span(seconds) == text


def test_a_count_has_its_plural() -> None:
    assert [count(number, "step") for number in (0, 1, 2_000)] == ["0 steps", "1 step", "2,000 steps"]
