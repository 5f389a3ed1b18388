"""One record as text: logfmt for machines, lines for people."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.logs.render import console_renderer, to_json, to_logfmt

NAMES = st.from_regex(r"[a-z_]{1,8}", fullmatch=True)
SCALARS = (
    st.text()
    | st.integers(-(2**63), 2**64)
    | st.booleans()
    | st.none()
    | st.floats(allow_nan=False, allow_infinity=False)
)
VALUES = SCALARS | st.lists(SCALARS, max_size=3)
PAIR = re.compile(r'([^ ="]+)=("(?:[^"\\]|\\.)*"|[^ "]*)(?: |\Z)')


def read_logfmt(line: str) -> dict[str, str]:
    """What a reader of logfmt makes of a line."""
    return {name: json.loads(value) if value.startswith('"') else value for name, value in PAIR.findall(line)}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("word", "a=word"),
        ("two words", 'a="two words"'),
        ("", 'a=""'),
        ('say "it"', r'a="say \"it\""'),
        ("one\ntwo", r'a="one\ntwo"'),
        ("a=b", 'a="a=b"'),
        (True, "a=true"),
        (None, "a=null"),
        (1.5, "a=1.5"),
        (["x", "y"], r'a="[\"x\",\"y\"]"'),
    ],
)
def test_a_value_in_logfmt_is_bare_where_it_can_be_and_quoted_as_in_json_where_not(value: object, text: str) -> None:
    assert to_logfmt({"a": value}).decode() == text


@given(st.dictionaries(NAMES, VALUES, min_size=1))
def test_whatever_a_record_holds_it_is_one_line_of_logfmt_that_reads_back(record: dict[str, Any]) -> None:
    line = to_logfmt(record).decode("utf-8", "surrogatepass")
    assert "\n" not in line
    read = read_logfmt(line)
    assert list(read) == list(record)
    for name, value in record.items():
        if isinstance(value, str) and value.isprintable():
            assert read[name] == value
        elif not isinstance(value, str):
            assert read[name] == to_json(value).decode()


def shown(**fields: object) -> list[str]:
    record = {"timestamp": "2026-01-02T03:04:05.678Z", "level": "error", "event": "sql.failed", **fields}
    return console_renderer(is_terminal=False)(record).decode().splitlines()


def test_an_excerpt_stands_under_its_line_as_it_is() -> None:
    first, *below = shown(component="migrations", excerpt="3 | SELECT 1/0;\n  |         ^")
    assert "sql.failed" in first
    assert "excerpt" not in first
    assert below == ["    excerpt:", "    | 3 | SELECT 1/0;", "    |   |         ^"]


def test_the_last_lines_of_a_process_stand_below_one_by_one_and_a_short_list_does_not() -> None:
    first, *below = shown(last_lines=["a" * 60, "b" * 60], names=["one", "two"])
    assert "names=['one', 'two']" in first
    assert below == ["    last_lines:", f"    | {'a' * 60}", f"    | {'b' * 60}"]


def test_what_only_machines_need_is_left_out() -> None:
    (line,) = shown(boot_id="b00", seq=7)
    assert "b00" not in line
    assert "seq" not in line
