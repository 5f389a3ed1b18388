"""What is to be done about each file, from the files, their record and what the server offers."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor import errors
from supervisor.errors import SupervisorError
from supervisor.postgres.plan import Plan, State, make_plan, refuse
from supervisor.postgres.sqlfile import SqlFile, parse_file


def file(name: str, text: str = "SELECT 1;", folder: str = "pre-schema") -> SqlFile:
    return parse_file(Path("/sql") / folder / name, text.encode())


def plan(files: list[SqlFile], recorded: dict[str, str | None], optional: tuple[str, ...] = ()) -> Plan:
    return make_plan(files, recorded, {"offered"}, optional)


def states(planned: Plan) -> list[State]:
    return [one.state for one in planned.files]


REPEATABLE = "-- supervisor: repeatable\n"


def test_a_file_runs_until_it_has_a_record() -> None:
    one, two = file("001_a.sql"), file("002_b.sql")
    planned = plan([one, two], {"001_a.sql": one.checksum})
    assert states(planned) == [State.APPLIED, State.TO_APPLY]
    assert planned.to_apply == (two,)


def test_an_edited_file_is_changed_and_stops_a_run() -> None:
    planned = plan([file("001_a.sql"), file("002_b.sql")], {"001_a.sql": "0" * 64})
    assert states(planned) == [State.CHANGED, State.TO_APPLY]
    with pytest.raises(SupervisorError, match=r"pre-schema/001_a\.sql differs") as caught:
        refuse(planned)
    assert caught.value.failure is errors.SQL_CHECKSUM_MISMATCH


@pytest.mark.parametrize(
    ("checksum", "state"),
    [("0" * 64, State.TO_APPLY), (None, State.TO_APPLY), ("same", State.APPLIED)],
)
def test_a_repeatable_file_runs_whenever_its_record_is_not_of_this_content(checksum: str | None, state: State) -> None:
    one = file("001_view.sql", REPEATABLE)
    planned = plan([one], {"001_view.sql": one.checksum.upper() + " " if checksum == "same" else checksum})
    assert states(planned) == [state]
    assert planned.files[0].recorded
    refuse(planned)


def test_a_row_without_a_checksum_counts_as_unedited() -> None:
    assert states(plan([file("001_a.sql")], {"001_a.sql": None})) == [State.APPLIED]


def test_a_numbered_file_that_becomes_repeatable_runs_again() -> None:
    before = file("001_view.sql", "CREATE OR REPLACE VIEW v AS SELECT 1;")
    after = file("001_view.sql", REPEATABLE + before.text)
    assert states(plan([after], {"001_view.sql": before.checksum})) == [State.TO_APPLY]


def test_a_repeatable_file_that_becomes_numbered_counts_as_edited() -> None:
    before = file("001_view.sql", REPEATABLE + "SELECT 1;")
    assert states(plan([file("001_view.sql")], {"001_view.sql": before.checksum})) == [State.CHANGED]


@pytest.mark.parametrize(
    ("directive", "optional", "state"),
    [
        ("offered", (), State.TO_APPLY),
        ("missing", (), State.IMPOSSIBLE),
        ("missing optional", (), State.PENDING),
        ("missing", ("missing",), State.PENDING),
        ("missing optional", ("other",), State.PENDING),
    ],
)
def test_a_missing_extension_leaves_a_file_pending_only_where_it_may(
    directive: str, optional: tuple[str, ...], state: State
) -> None:
    planned = plan([file("001_a.sql", f"-- supervisor: requires-extension {directive}\n")], {}, optional)
    assert states(planned) == [state]
    assert planned.files[0].missing_extension == (None if directive == "offered" else "missing")


def test_of_several_missing_extensions_each_must_be_optional() -> None:
    head = "-- supervisor: requires-extension a optional\n-- supervisor: requires-extension b\n"
    planned = plan([file("001_a.sql", head)], {})
    assert states(planned) == [State.IMPOSSIBLE]
    with pytest.raises(SupervisorError, match="requires the extension 'b'") as caught:
        refuse(planned)
    assert caught.value.failure is errors.SQL_EXTENSION_MISSING


def test_an_applied_file_stays_applied_without_its_extension() -> None:
    one = file("001_a.sql", "-- supervisor: requires-extension missing\n")
    assert states(plan([one], {"001_a.sql": one.checksum})) == [State.APPLIED]


def test_a_file_before_an_applied_one_of_its_folder_is_out_of_order() -> None:
    applied = file("005_c.sql")
    files = [
        file("001_a.sql"),
        applied,
        file("006_d.sql"),
        file("002_b.sql", REPEATABLE),
        file("003_p.sql", folder="post"),
    ]
    planned = plan(files, {"005_c.sql": applied.checksum})
    assert [one.file.name for one in planned.files if one.out_of_order] == ["001_a.sql"]


def test_an_applied_repeatable_file_puts_nothing_out_of_order() -> None:
    view = file("900_view.sql", REPEATABLE)
    assert not any(one.out_of_order for one in plan([file("001_a.sql"), view], {"900_view.sql": view.checksum}).files)


def test_rows_without_a_file_are_named_and_stop_nothing() -> None:
    planned = plan([file("001_a.sql")], {"002_gone.sql": "x", "000_gone.sql": None})
    assert planned.rows_without_file == ("000_gone.sql", "002_gone.sql")
    refuse(planned)


def test_a_file_that_moved_to_the_other_folder_keeps_its_record() -> None:
    before, after = file("001_a.sql"), file("001_a.sql", folder="post-schema")
    planned = plan([after], {"001_a.sql": before.checksum})
    assert states(planned) == [State.APPLIED]
    assert planned.rows_without_file == ()


texts = st.sampled_from(["SELECT 1;", "SELECT 2;", REPEATABLE, "-- supervisor: requires-extension nowhere optional\n"])
folders = st.dictionaries(st.integers(0, 9), st.tuples(texts, st.sampled_from(["no", "same", "other", "none"])))


@given(folders)
def test_a_second_plan_after_everything_ran_has_nothing_to_do(drawn: dict[int, tuple[str, str]]) -> None:
    files = [file(f"{number}_x.sql", text) for number, (text, _) in sorted(drawn.items())]
    recorded: dict[str, str | None] = {
        one.name: {"same": one.checksum, "other": "0" * 64, "none": None}[drawn[one.number][1]]
        for one in files
        if drawn[one.number][1] != "no"
    }
    first = plan(files, recorded)
    assert [one.file for one in first.files] == files
    second = plan(files, recorded | {one.name: one.checksum for one in first.to_apply})
    assert second.to_apply == ()
    assert second.of(State.CHANGED) == first.of(State.CHANGED)


@pytest.mark.parametrize("script", ["BEGIN;", "SELECT 'x;", "COPY t FROM STDIN;"])
def test_what_cannot_run_is_refused_only_where_it_would_run(script: str) -> None:
    one, two = file("001_a.sql", script), file("002_b.sql")
    refuse(plan([one, two], {"001_a.sql": one.checksum}))
    with pytest.raises(SupervisorError, match=r"001_a\.sql:1") as caught:
        refuse(plan([two, one], {}))
    assert caught.value.failure is errors.SQL_INVALID_FILE


def test_a_pending_file_that_could_never_run_is_refused_before_its_extension_comes() -> None:
    with pytest.raises(SupervisorError, match="COMMIT"):
        refuse(plan([file("001_a.sql", "-- supervisor: requires-extension missing optional\nCOMMIT;")], {}))


def test_files_that_ran_are_not_read_for_their_statements() -> None:
    files = [file(f"{number:03d}_x.sql") for number in range(1, 4)]
    planned = plan(files, {one.name: one.checksum for one in files[:2]})
    refuse(planned)
    assert ["statements" in vars(one) for one in files] == [False, False, True]
