"""Directives in the head of a SQL file: read strictly, with every problem told at its place."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.postgres.directives import DIRECTIVES, Directives, Problem, RequiredExtension, read_directives


def read(*lines: str) -> Directives:
    directives, problems = read_directives("\n".join([*lines, "SELECT 1;"]))
    assert problems == ()
    return directives


def problem(*lines: str) -> Problem:
    _, problems = read_directives("\n".join([*lines, "SELECT 1;"]))
    (only,) = problems
    return only


def test_without_directives_a_file_is_one_transaction_that_runs_once() -> None:
    assert read("-- about") == Directives(
        transaction=True, extensions=(), lock_timeout_ms=None, statement_timeout_ms=None, repeatable=False
    )


def test_each_directive_is_read() -> None:
    assert read(
        "-- about",
        "",
        "-- supervisor: no-transaction",
        "-- supervisor: requires-extension timescaledb",
        "-- supervisor: requires-extension uuid-ossp optional",
        "-- supervisor: lock-timeout 5s",
        "-- supervisor: statement-timeout 10min",
        "-- supervisor: repeatable",
    ) == Directives(
        transaction=False,
        extensions=(RequiredExtension("timescaledb"), RequiredExtension("uuid-ossp", optional=True)),
        lock_timeout_ms=5_000,
        statement_timeout_ms=600_000,
        repeatable=True,
    )


@pytest.mark.parametrize(
    "line",
    [
        "--supervisor:requires-extension   postgis ",
        "-- Supervisor: requires-extension postgis",
        "--\tsupervisor:\trequires-extension\tpostgis",
        "  -- supervisor : requires-extension postgis",
    ],
)
def test_blanks_and_capitals_before_the_name_do_not_matter(line: str) -> None:
    assert read(line).extensions == (RequiredExtension("postgis"),)


@pytest.mark.parametrize(
    ("argument", "ms"),
    [("0", 0), ("0ms", 0), ("250ms", 250), ("5s", 5_000), ("5 s", 5_000), ("10min", 600_000), ("2h", 7_200_000)],
)
@pytest.mark.parametrize("name", ["lock-timeout", "statement-timeout"])
def test_durations_have_the_units_of_postgres(name: str, argument: str, ms: int) -> None:
    directives = read(f"-- supervisor: {name} {argument}")
    assert (directives.lock_timeout_ms if name == "lock-timeout" else directives.statement_timeout_ms) == ms


@pytest.mark.parametrize(
    "argument", ["", "5", "5m", "5S", "5sec", "1.5s", "-1s", "s", "5s 6s", "5s;", "597h", "9" * 5000 + "s"]
)
def test_another_duration_is_refused_with_the_way_to_write_it(argument: str) -> None:
    told = problem(f"-- supervisor: lock-timeout {argument}")
    assert "lock-timeout" in told.message
    assert "ms, s, min, h" in told.remedy


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("require-extension x", "unknown directive 'require-extension'; did you mean requires-extension?"),
        ("no_transaction", "unknown directive 'no_transaction'; did you mean no-transaction?"),
        ("NO-TRANSACTION", "unknown directive 'NO-TRANSACTION'; did you mean no-transaction?"),
        ("lock_timeout 5s", "unknown directive 'lock_timeout'; did you mean lock-timeout?"),
        ("xyzzy", "unknown directive 'xyzzy'"),
        ("", "unknown directive ''"),
        ("no-transaction please", "no-transaction takes no argument, not 'please'"),
        ("repeatable 5s", "repeatable takes no argument, not '5s'"),
        ("requires-extension", "takes the name of one extension, and `optional` after it or nothing, not ''"),
        ("requires-extension a, b", "not 'a, b'"),
        ("requires-extension a;drop", "not 'a;drop'"),
        ("requires-extension a opt", "not 'a opt'"),
        ("requires-extension a optional b", "not 'a optional b'"),
    ],
)
def test_a_directive_is_read_strictly(line: str, told: str) -> None:
    found = problem("-- about", f"-- supervisor: {line}")
    assert found.line == 2
    assert told in found.message
    assert found.remedy


def test_a_problem_is_told_with_its_column() -> None:
    assert problem("  --   supervisor:   repeatabel").column == 22


def test_every_problem_is_told_in_order() -> None:
    _, problems = read_directives(
        "-- supervisor: nonsense\n-- supervisor: lock-timeout 5\n-- supervisor: repeatable\n"
        "-- supervisor: repeatable\nSELECT 1;\n-- supervisor: no-transaction\n"
    )
    assert [one.line for one in problems] == [1, 2, 4, 6]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("no-transaction", "no-transaction"),
        ("lock-timeout 5s", "lock-timeout 6s"),
        ("requires-extension a", "requires-extension a optional"),
    ],
)
def test_a_directive_that_stands_twice_is_refused_with_the_first_line(one: str, other: str) -> None:
    found = problem("-- about", f"-- supervisor: {one}", f"-- supervisor: {other}")
    assert found.line == 3
    assert "stands in line 2 already" in found.message


@pytest.mark.parametrize(
    "lines", [("lock-timeout 5s", "statement-timeout 5s"), ("statement-timeout 1s", "lock-timeout 1h")]
)
def test_timeouts_that_contradict_each_other_are_refused_at_the_later_one(lines: tuple[str, str]) -> None:
    found = problem(*(f"-- supervisor: {line}" for line in lines))
    assert found.line == 2
    assert found.column == 16
    assert "would always end the statement first" in found.message


@pytest.mark.parametrize(
    "lines", [("lock-timeout 0", "statement-timeout 5s"), ("statement-timeout 0", "lock-timeout 1h")]
)
def test_no_limit_contradicts_nothing(lines: tuple[str, str]) -> None:
    read(*(f"-- supervisor: {line}" for line in lines))


@pytest.mark.parametrize("before", ["SELECT 1;", "/* about */", "SELECT '"])
@pytest.mark.parametrize("indent", ["", "  "])
def test_a_directive_after_the_head_is_refused(before: str, indent: str) -> None:
    directives, (found,) = read_directives(f"-- about\n{before}\n{indent}-- supervisor: no-transaction\n")
    assert directives.transaction
    assert (found.line, found.column) == (3, len(indent) + 1)
    assert "after the head" in found.message


@pytest.mark.parametrize("name", DIRECTIVES)
def test_a_directive_without_its_colon_is_refused(name: str) -> None:
    found = problem(f"-- supervisor {name}")
    assert f"the directive {name!r} lacks its colon" in found.message


@pytest.mark.parametrize(
    "line", ["-- supervisor runs this first", "-- see supervisor: nothing", "-- supervisor repeatable files run last"]
)
def test_a_comment_that_merely_speaks_of_the_supervisor_is_no_directive(line: str) -> None:
    assert read(line) == Directives()


def test_a_separator_that_only_python_takes_for_a_line_end_ends_no_line() -> None:
    assert problem("-- one\u2028two\x0cthree\x85four", "-- supervisor: x").line == 2


names = st.from_regex(r"[a-z_][a-z0-9_-]{0,8}", fullmatch=True).filter(lambda name: name != "optional")
extensions = st.dictionaries(names, st.booleans(), max_size=3)
units = {"ms": 1, "s": 1_000, "min": 60_000, "h": 3_600_000}


@given(
    st.booleans(),
    extensions,
    st.none() | st.tuples(st.integers(0, 500), st.sampled_from(sorted(units))),
    st.booleans(),
    st.data(),
)
def test_what_is_written_is_what_is_read_in_any_order(
    transaction: bool, required: dict[str, bool], timeout: tuple[int, str] | None, repeatable: bool, data: st.DataObject
) -> None:
    lines = [f"requires-extension {name}" + (" optional" if optional else "") for name, optional in required.items()]
    lines += [] if transaction else ["no-transaction"]
    lines += ["repeatable"] if repeatable else []
    lines += [f"lock-timeout {timeout[0]}{timeout[1]}"] if timeout else []
    shuffled = data.draw(st.permutations(lines))
    directives = read(*(f"-- supervisor: {line}" for line in shuffled))
    assert directives.transaction is transaction
    assert directives.repeatable is repeatable
    assert {(one.name, one.optional) for one in directives.extensions} == set(required.items())
    assert directives.lock_timeout_ms == (timeout[0] * units[timeout[1]] if timeout else None)


@given(st.lists(st.text("-supervior:no tacklmu5\tx'", max_size=30), max_size=6))
def test_every_problem_of_any_text_lies_within_it(lines: list[str]) -> None:
    _, problems = read_directives("\n".join(lines))
    for found in problems:
        assert re.search("supervisor", lines[found.line - 1])
        assert 1 <= found.column <= len(lines[found.line - 1]) + 1
