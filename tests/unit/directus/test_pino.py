"""Directus' lines: understood as far as they go, and never in the way."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.directus.pino import Entry, parse_lines
from supervisor.logs.events import LEVELS


def parse_line(line: bytes, *, plain_level: str = "info", partial: bool = False) -> Entry:
    (entry,) = parse_lines([line], plain_level=plain_level, partial=partial)
    return entry


def parse(record: object) -> Entry:
    return parse_line(json.dumps(record).encode())


def data_of(entry: Entry) -> object:
    return json.loads(entry.data)


@pytest.mark.parametrize(
    ("number", "level"),
    [(10, "debug"), (20, "debug"), (30, "info"), (35, "info"), (40, "warning"), (50, "error"), (60, "error")],
)
def test_pino_s_numbers_become_our_levels(number: int, level: str) -> None:
    assert parse({"level": number, "msg": "hello"}) == Entry(level, "hello")


def test_what_every_line_repeats_is_left_out_and_the_rest_kept() -> None:
    entry = parse({"level": 30, "time": 1, "pid": 2, "hostname": "h", "msg": "m", "req": {"id": 7}})
    assert entry == Entry("info", "m", b'{"req":{"id":7}}')


def test_an_error_without_a_message_is_told_by_the_error_s_own() -> None:
    error = {"type": "Error", "message": "connect ECONNREFUSED", "stack": "…"}
    entry = parse({"level": 50, "err": error})
    assert (entry.level, entry.message, data_of(entry)) == ("error", "connect ECONNREFUSED", {"err": error})


@pytest.mark.parametrize("error", [None, "text", {}, [], {"message": None}])
def test_an_error_of_another_shape_is_kept_as_data(error: object) -> None:
    entry = parse({"level": 50, "err": error})
    assert entry.level == "error"
    assert data_of(entry) == {"err": error}


@pytest.mark.parametrize("stream_level", ["info", "error"])
def test_a_plain_line_has_the_level_of_its_stream(stream_level: str) -> None:
    assert parse_line(b"Database is up\r", plain_level=stream_level) == Entry(stream_level, "Database is up")


@pytest.mark.parametrize("line", [b"{", b"{}", b"[]", b'{"level":"info","msg":"x"}', b'{"a":1}', b"{" * 100_000])
def test_json_that_is_not_pino_s_stays_text(line: bytes) -> None:
    assert parse_line(line, plain_level="info") == Entry("info", line.decode())


def test_bytes_that_are_no_utf_8_are_spelled_out() -> None:
    assert parse_line(b"caf\xe9\x00", plain_level="info").message == "caf\\xe9\x00"


@pytest.mark.parametrize("depth", [300, 400, 900])
def test_data_too_deep_to_walk_through_stays_text_with_its_level(depth: int) -> None:
    line = b'{"level":50,"msg":"m","x":' + b"[" * depth + b"]" * depth + b"}"
    entry = parse_line(line, plain_level="info")
    assert entry == Entry("error", line.decode())


@given(st.binary(max_size=100) | st.binary(max_size=60).map(lambda tail: b'{"level":30,' + tail))
def test_no_line_raises(line: bytes) -> None:
    assert parse_line(line, plain_level="info").level in LEVELS


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["level", "msg", "err", "time", "x"]), json_values))
def test_no_json_line_raises(record: dict[str, object]) -> None:
    entry = parse(record)
    assert entry.level in LEVELS
    assert isinstance(entry.message, str)


@given(
    st.dictionaries(st.text(max_size=4) | st.sampled_from(["msg", "time"]), json_values, max_size=4),
    st.text(max_size=9),
)
def test_every_value_of_a_structured_line_is_kept_exactly(fields: dict[str, object], message: str) -> None:
    record = {"level": 30, "x": 1, **fields, "msg": message}
    record["level"] = 30
    entry = parse(record)
    left_out = {"level", "time", "pid", "hostname", "msg", "severity"}
    kept = {name: value for name, value in json.loads(json.dumps(record)).items() if name not in left_out}
    assert entry.message == message
    # NaN and the infinities are told as text, since JSON has no numbers for them.
    assert json.dumps(data_of(entry)) == re.sub(r"(?<=[:\[ ])(NaN|-?Infinity)(?=[,}\]])", _as_text, json.dumps(kept))


def _as_text(match: re.Match[str]) -> str:
    return {"NaN": '"nan"', "Infinity": '"inf"', "-Infinity": '"-inf"'}[match[0]]


@pytest.mark.parametrize("number", ["123456789012345678901234567890", "-18446744073709551617", "18446744073709551616"])
def test_a_number_beyond_64_bits_is_kept_digit_by_digit(number: str) -> None:
    entry = parse_line(f'{{"level":30,"msg":"m","x":{number}}}'.encode())
    assert entry.data == f'{{"x":{number}}}'.encode()


def test_a_carriage_return_belongs_to_a_line_that_goes_on() -> None:
    assert parse_line(b"half\r", partial=True).message == "half\r"
    assert parse_line(b"whole\r").message == "whole"


def test_lines_are_understood_one_by_one() -> None:
    lines = [b'{"level":40,"msg":"a","x":1}', b"plain", b"", b'{"level":30,"msg":"b"}']
    assert parse_lines(lines, plain_level="error") == [
        Entry("warning", "a", b'{"x":1}'),
        Entry("error", "plain"),
        Entry("error", ""),
        Entry("info", "b"),
    ]
