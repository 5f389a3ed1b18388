"""Taking over the database of a bash flow: its guard table, its checksums, its left-over rows, and files that moved."""

from __future__ import annotations

import hashlib

import pytest

from tests.database import Session
from tests.harness import Deployment

# As psql's loop made it, with sha256sum over the bytes as they lay in the image.
TABLE = """CREATE TABLE migrations_applied (
    filename text PRIMARY KEY, applied_at timestamptz DEFAULT now(), checksum text
)"""


def applied_by_bash(session: Session, name: str, content: bytes) -> None:
    checksum = hashlib.sha256(content).hexdigest()
    session.execute(f"INSERT INTO migrations_applied (filename, checksum) VALUES ('{name}', '{checksum}')")


@pytest.fixture
def moved(deployment: Deployment, session: Session) -> Deployment:
    """A deployment whose database the bash flow has brought up to date."""
    session.execute(TABLE)
    applied_by_bash(session, "001_unix.sql", b"CREATE TABLE one (id int);\n")
    applied_by_bash(session, "002_windows.sql", b"CREATE TABLE two (id int);\r\nSELECT 1;\r\n")
    applied_by_bash(session, "003_junctions.sql", b"CREATE TABLE three (id int);\n")
    applied_by_bash(session, "004_gone.sql", b"CREATE TABLE four (id int);\n")
    deployment.sql("pre-schema", "001_unix.sql", "CREATE TABLE one (id int);\n")
    deployment.sql("pre-schema", "002_windows.sql", "CREATE TABLE two (id int);\nSELECT 1;\n")
    # The bash flow ran it before the schema; it belongs after it.
    deployment.sql("post-schema", "003_junctions.sql", "CREATE TABLE three (id int);\n")
    deployment.sql("post-schema", "005_new.sql", "CREATE TABLE five (id int);\n")
    return deployment


def test_what_bash_has_applied_never_runs_again_and_the_rest_does(moved: Deployment, session: Session) -> None:
    before = session.column("SELECT migrations_applied::text FROM migrations_applied ORDER BY filename")
    process = moved.migrate()
    assert process.wait_for("phase.finished", phase="pre_schema")["summary"] == "0 applied, 2 skipped"
    assert process.wait_for("phase.finished", phase="post_schema")["summary"] == "1 applied, 1 skipped"
    assert process.wait_for("sql.orphan_rows")["files"] == ["004_gone.sql"]
    assert session.has("five")
    assert not any(session.has(table) for table in ("one", "two", "three", "four"))
    after = session.column("SELECT migrations_applied::text FROM migrations_applied ORDER BY filename")
    assert after[:4] == before
    assert len(after) == 5


def test_a_file_that_was_edited_on_its_way_to_the_other_folder_is_found(moved: Deployment, session: Session) -> None:
    moved.sql("post-schema", "003_junctions.sql", "CREATE TABLE three (id bigint);\n")
    failure = moved.migrate(status=2).failure
    assert "post-schema/003_junctions.sql" in failure["message"]
    assert not session.has("five")


def test_a_file_that_lies_in_both_folders_is_refused(moved: Deployment, session: Session) -> None:
    moved.sql("pre-schema", "003_junctions.sql", "CREATE TABLE three (id int);\n")
    assert moved.migrate(status=4).failure["code"] == "sql.duplicate_number"


def test_an_applied_file_with_transaction_control_is_left_alone_and_refused_where_it_would_run(
    moved: Deployment, session: Session
) -> None:
    text = b"BEGIN;\nCREATE TABLE six (id int);\nCOMMIT;\n"
    applied_by_bash(session, "006_begins.sql", text)
    path = moved.sql("pre-schema", "006_begins.sql", text.decode())
    moved.migrate()
    assert not session.has("six")
    session.execute("DELETE FROM migrations_applied WHERE filename = '006_begins.sql'")
    failure = moved.migrate(status=3).failure
    assert failure["code"] == "sql.invalid_file"
    assert "006_begins.sql:1: BEGIN" in failure["message"]

    applied_by_bash(session, "006_begins.sql", text)
    path.write_text("CREATE TABLE six (id int);\n")
    assert moved.migrate(status=2).failure["code"] == "sql.checksum_mismatch"
    # The way that docs/migrating-from-entrypoint.md names for such a file.
    session.execute("UPDATE migrations_applied SET checksum = NULL WHERE filename = '006_begins.sql'")
    moved.migrate()
    assert not session.has("six")
