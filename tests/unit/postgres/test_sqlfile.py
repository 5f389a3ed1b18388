"""SQL files as they lie in a folder: what is read, in which order, and what is refused before anything runs."""

from __future__ import annotations

import hashlib
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from supervisor import errors
from supervisor.errors import SupervisorError
from supervisor.postgres.sqlfile import SqlFile, load_tree, parse_file


def parse(text: str | bytes, name: str = "001_a.sql") -> SqlFile:
    return parse_file(Path("/sql/pre-schema") / name, text.encode() if isinstance(text, str) else text)


def refusal(text: str | bytes, name: str = "001_a.sql") -> SupervisorError:
    with pytest.raises(SupervisorError) as caught:
        _ = parse(text, name).statements
    assert caught.value.failure is errors.SQL_INVALID_FILE
    return caught.value


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def write(folder: Path, *names: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_text("SELECT 1;", encoding="utf-8")


def test_files_run_in_numeric_order(tmp_path: Path) -> None:
    write(tmp_path / "pre-schema", "10_ten.sql", "9_nine.sql", "001_one.sql", "0100_hundred.sql", "2_two.SQL")
    assert [file.number for file in load_tree(tmp_path).pre_schema] == [1, 2, 9, 10, 100]


@settings(max_examples=25)
@given(st.lists(st.integers(0, 10**12), unique=True, min_size=2, max_size=6))
def test_neither_names_nor_leading_zeros_change_the_order(numbers: list[int]) -> None:
    with TemporaryDirectory() as folder:
        write(Path(folder) / "pre-schema", *(f"{number:0{number % 5}d}_{'zyx'[number % 3]}.sql" for number in numbers))
        assert [file.number for file in load_tree(Path(folder)).pre_schema] == sorted(numbers)


def test_both_folders_are_read_and_all_gives_the_order_of_an_empty_database(tmp_path: Path) -> None:
    write(tmp_path / "pre-schema", "002_b.sql")
    write(tmp_path / "post-schema", "001_a.sql")
    tree = load_tree(tmp_path)
    assert [file.name for file in tree.all] == ["002_b.sql", "001_a.sql"]
    assert [file.label for file in tree.all] == ["pre-schema/002_b.sql", "post-schema/001_a.sql"]


def test_a_missing_folder_counts_as_an_empty_one(tmp_path: Path) -> None:
    assert load_tree(tmp_path / "nothing").all == ()


def test_what_is_no_sql_file_is_passed_over(tmp_path: Path) -> None:
    write(tmp_path / "pre-schema", "README.md", "001_a.sql.orig", ".001_a.sql.swp", "001_a.sql")
    assert [file.name for file in load_tree(tmp_path).all] == ["001_a.sql"]


def test_a_folder_called_like_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "pre-schema" / "001_a.sql").mkdir(parents=True)
    with pytest.raises(SupervisorError, match=r"001_a\.sql cannot be read"):
        load_tree(tmp_path)


def test_a_file_in_place_of_the_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "pre-schema").write_text("", encoding="utf-8")
    with pytest.raises(SupervisorError, match="pre-schema cannot be read"):
        load_tree(tmp_path)


@pytest.mark.parametrize(("one", "other"), [("1_a.sql", "001_b.sql"), ("001_a.sql", "001_b.sql")])
def test_two_files_with_one_number_are_refused_with_the_next_free_one(tmp_path: Path, one: str, other: str) -> None:
    write(tmp_path / "post-schema", one, other, "007_c.sql")
    with pytest.raises(SupervisorError) as caught:
        load_tree(tmp_path)
    assert caught.value.exit_code == 4
    assert one in caught.value.message
    assert other in caught.value.message
    assert "008" in caught.value.remedy


def test_one_number_in_both_folders_is_fine(tmp_path: Path) -> None:
    write(tmp_path / "pre-schema", "001_a.sql")
    write(tmp_path / "post-schema", "001_b.sql")
    assert len(load_tree(tmp_path).all) == 2


def test_one_name_in_both_folders_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "pre-schema", "001_a.sql")
    write(tmp_path / "post-schema", "001_a.sql")
    with pytest.raises(SupervisorError, match="have the same name") as caught:
        load_tree(tmp_path)
    assert caught.value.exit_code == 4


@pytest.mark.parametrize(
    "name", ["a.sql", "001.sql", "001_.sql", "a001_b.sql", "-1_a.sql", "._001_a.sql", "\u0661_a.sql"]
)
def test_a_name_without_a_number_is_refused(name: str) -> None:
    assert "has no number" in refusal("", name).message


def test_line_ends_and_byte_order_mark_do_not_reach_the_script() -> None:
    file = parse(b"\xef\xbb\xbfSELECT 1;\r\nSELECT 2;\r\n")
    assert file.text == "SELECT 1;\nSELECT 2;\n"
    assert [statement.line for statement in file.statements] == [1, 2]


LF, CRLF = b"SELECT 1;\nSELECT 2;\n", b"SELECT 1;\r\nSELECT 2;\r\n"


@pytest.mark.parametrize("data", [LF, CRLF])
def test_a_checkout_with_either_line_end_accepts_what_the_other_has_recorded(data: bytes) -> None:
    file = parse(data)
    assert file.checksum == sha256(LF)
    assert file.accepted_checksums == {sha256(LF), sha256(CRLF)}


def test_the_checksum_over_the_raw_bytes_is_accepted() -> None:
    mixed = b"SELECT 1;\r\nSELECT 2;\n"
    assert sha256(mixed) in parse(mixed).accepted_checksums


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0'\"$/\r"), max_size=50))
def test_any_edit_but_of_line_ends_changes_every_checksum(text: str) -> None:
    # Within a comment, since a text such as "ABORT" is refused as a statement.
    file, edited = parse("-- a " + text.replace("\n", " ")), parse("-- b " + text.replace("\n", " "))
    assert not file.accepted_checksums & edited.accepted_checksums


@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"])
def test_a_byte_that_is_not_utf_8_is_told_with_its_line(start: bytes) -> None:
    assert "001_a.sql:2: the byte 0xe4 is not UTF-8" in refusal(start + b"SELECT 1;\nSELECT '\xe4';").message


def test_a_nul_is_told_with_its_line() -> None:
    assert "001_a.sql:3: there is a NUL" in refusal("SELECT 1;\n\n\0").message


def test_utf_16_is_told_as_what_it_is() -> None:
    assert "UTF-8" in refusal("SELECT 1;".encode("utf-16-le")).remedy
    assert "UTF-8" in refusal("SELECT 1;".encode("utf-16")).remedy


def test_a_quote_that_never_ends_is_told_with_its_line() -> None:
    assert "001_a.sql:3: a string begins here and never ends" in refusal("SELECT 1;\n\nSELECT 'x;\n").message


def test_the_first_problem_of_its_directives_refuses_a_file_and_all_of_them_are_told() -> None:
    text = "-- about\n-- supervisor: repeatable yes\n-- supervisor: no-transactoin\nSELECT 1;"
    error = refusal(text)
    assert "001_a.sql:2:16: repeatable takes no argument, not 'yes'" in error.message
    assert [problem.partition(":")[0] for problem in error.facts["problems"]] == ["2", "3"]


def test_repeatable_files_come_last_in_numeric_order_among_themselves(tmp_path: Path) -> None:
    folder = tmp_path / "pre-schema"
    write(folder, "20_b.sql", "003_c.sql")
    for name in ("10_view.sql", "2_function.sql"):
        (folder / name).write_text("-- supervisor: repeatable\nSELECT 1;", encoding="utf-8")
    assert [file.number for file in load_tree(tmp_path).pre_schema] == [3, 20, 2, 10]


def test_a_number_is_unique_among_numbered_and_repeatable_files_together(tmp_path: Path) -> None:
    write(tmp_path / "pre-schema", "001_a.sql", "009_c.sql")
    (tmp_path / "pre-schema" / "1_b.sql").write_text("-- supervisor: repeatable\n", encoding="utf-8")
    with pytest.raises(SupervisorError, match="both have the number 1") as caught:
        load_tree(tmp_path)
    assert "010" in caught.value.remedy


NO_TRANSACTION = "-- supervisor: no-transaction\n"


def test_transaction_control_is_refused_in_a_file_without_a_transaction_too() -> None:
    error = refusal(NO_TRANSACTION + "BEGIN; SELECT 1; COMMIT;")
    assert "001_a.sql:2: BEGIN in a file that runs statement by statement" in error.message


def test_an_index_built_concurrently_needs_a_name() -> None:
    error = refusal(NO_TRANSACTION + "SELECT 1;\nCREATE INDEX CONCURRENTLY ON t (id);")
    assert "001_a.sql:3: the index has no name" in error.message
    assert parse(NO_TRANSACTION + "CREATE INDEX ON t (id); CREATE INDEX CONCURRENTLY i ON t (id);").statements


@pytest.mark.parametrize(
    "statement",
    [
        "BEGIN",
        "begin work",
        "START TRANSACTION READ ONLY",
        "COMMIT",
        "COMMIT AND CHAIN",
        "COMMIT PREPARED 'x'",
        "END",
        "END TRANSACTION",
        "ABORT",
        "ROLLBACK",
        "ROLLBACK WORK",
        "ROLLBACK PREPARED 'x'",
        "PREPARE TRANSACTION 'x'",
        "/* a */ Begin -- b",
    ],
)
def test_transaction_control_is_refused_with_its_line(statement: str) -> None:
    message = refusal(f"SELECT 1;\n\n{statement}\n;\n").message
    assert "001_a.sql:3: " in message
    assert "one transaction" in message


@pytest.mark.parametrize(
    "statement",
    [
        "DO $$ BEGIN PERFORM 1; END $$",
        "CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN 1; END; $$",
        "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; END",
        "CREATE PROCEDURE p() LANGUAGE plpgsql AS 'BEGIN COMMIT; END'",
        "SELECT 'COMMIT;'",
        'SELECT 1 AS "begin"',
        "-- COMMIT;\nSELECT 1",
        "SAVEPOINT a; ROLLBACK TO a; ROLLBACK WORK TO SAVEPOINT a; RELEASE a",
        "PREPARE q AS SELECT 1",
        "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE",
        "COMMENT ON TABLE t IS 'end'",
    ],
)
def test_what_only_looks_like_transaction_control_is_fine(statement: str) -> None:
    assert parse(statement + ";\n").statements


def test_an_empty_file_is_a_file() -> None:
    assert parse("").statements == ()


def test_a_name_that_is_not_utf_8_is_refused() -> None:
    name = b"001_\xe4.sql".decode("utf-8", "surrogateescape")
    message = refusal("", name).message
    assert "is not UTF-8" in message
    assert message.isprintable()


def test_a_script_that_cannot_run_is_still_read_and_summed_up() -> None:
    file = parse("BEGIN; SELECT 'x")
    assert file.checksum == sha256(b"BEGIN; SELECT 'x")
