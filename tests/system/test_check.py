"""`check` by its command; and what it says of the corpus held against a real PostgreSQL."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import anyio
import pytest
from asyncpg import AssertError, PostgresError, RaiseError, UndefinedObjectError, UndefinedTableError

from supervisor.check.finding import Severity
from supervisor.dev.postgres import PostgresCluster
from tests.database import Session
from tests.harness import Deployment
from tests.unit.check.corpus import CASES, Case
from tests.unit.check.judging import SNAPSHOT, judged

PROJECT = Path(__file__).parents[2]
MISPLACED = """\
-- A member is listed once.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_constraint WHERE conname = 'once') THEN
        ALTER TABLE organization_users ADD CONSTRAINT once UNIQUE (organization_id, user_id);
    END IF;
END
$$;
"""


def check(
    folder: Path, *arguments: str, start: str = "", environ: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the command in a folder."""
    code = f"import sys; {start}\nfrom supervisor.__main__ import main\nmain()"
    return subprocess.run(
        [sys.executable, "-c", code, "check", *arguments],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(PROJECT), **(environ or {})},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The deployment of this repository, in a folder of its own."""
    shutil.copytree(PROJECT / "sql", tmp_path / "sql")
    shutil.copytree(PROJECT / "snapshots", tmp_path / "snapshots")
    return tmp_path


def write(folder: Path, name: str, text: str) -> None:
    path = folder / "sql" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def test_good_files_end_with_0_even_strictly(project: Path) -> None:
    done = check(project, "--strict")
    assert (done.returncode, done.stdout, done.stderr) == (0, "no findings in 6 SQL files\n", "")


def test_the_misplaced_file_is_found_without_a_database(project: Path) -> None:
    write(project, "pre-schema/005_members.sql", MISPLACED)
    done = check(project)
    assert done.returncode == 1
    assert done.stdout.split("\n") == [
        (
            "sql/pre-schema/005_members.sql:5:21: needs-snapshot: "
            "needs organization_users, which the snapshot creates after this file has run"
        ),
        "          ALTER TABLE organization_users ADD CONSTRAINT once UNIQUE (organization_id, user_id);",
        "                      ^",
        "  remedy: Move the file to sql/post-schema/.",
        "",
        "1 error, 0 warnings in 7 SQL files",
        "",
    ]
    (project / "sql/pre-schema/005_members.sql").rename(project / "sql/post-schema/005_members.sql")
    assert check(project).returncode == 0


def test_the_boot_fails_on_exactly_the_relation_that_check_has_named(deployment: Deployment) -> None:
    shutil.copytree(PROJECT / "snapshots", deployment.folder / "snapshots")
    deployment.sql("pre-schema", "001_members.sql", MISPLACED)
    done = check(deployment.folder, "--format", "json", environ=deployment.environ)
    (found,) = json.loads(done.stdout)["findings"]
    failure = deployment.migrate(status=3).failure
    assert failure["code"] == "sql.failed"
    assert failure["sqlstate"] == "42P01"
    assert f'relation "{found["relation"]}" does not exist' in failure["message"]


def test_warnings_count_only_strictly(tmp_path: Path) -> None:
    write(tmp_path, "pre-schema/001_a.sql", "CREATE TABLE t (id int);")
    assert check(tmp_path).returncode == 0
    assert check(tmp_path, "--strict").returncode == 1


def test_json_is_one_object(tmp_path: Path) -> None:
    write(tmp_path, "pre-schema/001_a.sql", "SELEC 1;")
    done = check(tmp_path, "--format", "json")
    assert done.returncode == 1
    document = json.loads(done.stdout)
    assert (document["errors"], document["findings"][0]["file"]) == (1, "sql/pre-schema/001_a.sql")


def test_github_gets_annotations_with_paths_from_the_working_directory(tmp_path: Path) -> None:
    write(tmp_path / "service", "pre-schema/001_a.sql", "SELEC 1;")
    done = check(tmp_path, "service", "--format", "github")
    assert done.stdout.startswith("::error file=service/sql/pre-schema/001_a.sql,line=1,col=1,title=syntax::")


def test_the_settings_say_where_the_files_are(tmp_path: Path) -> None:
    write(tmp_path / "a", "pre-schema/001_a.sql", "SELEC 1;")
    (tmp_path / "supervisor.yaml").write_text("sql_dir: a/sql\n", encoding="utf-8")
    assert "a/sql/pre-schema/001_a.sql:1:1" in check(tmp_path).stdout
    assert check(tmp_path, environ={"SUPERVISOR_SQL_DIR": "elsewhere"}).returncode == 0


@pytest.mark.parametrize("argument", [".", "sql"])
def test_the_argument_goes_before_the_environment(project: Path, argument: str) -> None:
    write(project, "pre-schema/005_members.sql", MISPLACED)
    done = check(project, argument, environ={"SUPERVISOR_SQL_DIR": "/nowhere", "SUPERVISOR_SNAPSHOT": "/nowhere"})
    assert done.returncode == 1
    assert "needs-snapshot" in done.stdout


def test_an_empty_folder_has_no_findings(tmp_path: Path) -> None:
    done = check(tmp_path)
    assert (done.returncode, done.stdout) == (0, "no findings in 0 SQL files\n")


def test_a_folder_that_is_not_there_ends_with_78(tmp_path: Path) -> None:
    done = check(tmp_path, "nowhere")
    assert (done.returncode, done.stdout) == (78, "")
    assert "config.invalid: nowhere is no folder" in done.stderr


def test_a_setting_that_cannot_be_used_ends_with_78(tmp_path: Path) -> None:
    done = check(tmp_path, environ={"SUPERVISOR_SQL_DIRS": "x"})
    assert done.returncode == 78
    assert "SUPERVISOR_SQL_DIRS" in done.stderr


def test_a_file_that_cannot_be_read_is_one_finding_of_all(tmp_path: Path) -> None:
    (tmp_path / "sql/pre-schema/001_a.sql").mkdir(parents=True)
    write(tmp_path, "pre-schema/002_b.sql", "SELEC 1;")
    codes = [each["code"] for each in json.loads(check(tmp_path, "--format", "json").stdout)["findings"]]
    assert codes == ["unreadable", "syntax"]


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_a_name_that_cannot_be_recorded_or_shown_is_a_finding(tmp_path: Path, encoding: str) -> None:
    folder = tmp_path / "sql" / "pre-schema"
    folder.mkdir(parents=True)
    (folder / os.fsdecode(b"001_\xff.sql")).write_text("COPY t FROM stdin;", encoding="utf-8")
    done = check(tmp_path, environ={"PYTHONIOENCODING": encoding})
    assert done.returncode == 1, done.stderr
    assert "file-name: its name is not UTF-8" in done.stdout
    assert "001_\\udcff.sql" in done.stdout
    assert "copy-stdin" in done.stdout


def test_a_relation_can_be_assumed_and_the_schema_is_that_of_directus(project: Path) -> None:
    write(project, "pre-schema/005_a.sql", "SELECT FROM app.members, app.vehicles;")
    done = check(project, "--assume", "app.members", environ={"DB_SEARCH_PATH": "app"})
    assert "needs app.vehicles" in done.stdout
    assert "app.members" not in done.stdout.partition("\n")[0]


def test_without_pglast_it_says_what_to_install(tmp_path: Path) -> None:
    done = check(tmp_path, start="sys.modules['pglast'] = None")
    assert (done.returncode, done.stdout) == (78, "")
    assert "check.tool_missing" in done.stderr
    assert "pip install 'directus-supervisor[check]'" in done.stderr


def test_without_squawk_lint_says_what_to_install(tmp_path: Path) -> None:
    done = check(tmp_path, "--lint", start=f"sys.executable = {str(tmp_path / 'python')!r}")
    assert done.returncode == 78
    assert "pip install squawk-cli" in done.stderr


def test_neither_a_database_driver_nor_an_event_loop_is_loaded(project: Path) -> None:
    start = "import atexit; atexit.register(lambda: print(sorted(sys.modules), file=sys.stderr))"
    loaded = check(project, start=start).stderr
    assert "'supervisor.check.project'" in loaded
    for module in ("asyncpg", "anyio", "asyncio", "structlog", "uvicorn"):
        assert f"'{module}'" not in loaded


# They need an extension, a file of the server, or a library that is not here.
BEYOND_THIS_SERVER = {
    "by create_hypertable", "as a type by %TYPE", "a schema of somebody else", "a type", "a table of postgis",
    "a table of an extension that is not known", "COPY of a server's file", "CREATE EXTENSION",
    "a continuous aggregate without data", "below an extension", "a hypertable that may be there",
}  # fmt: skip
# Nothing is said of what cannot be known, or it is the matter of another file or of no transaction.
NOT_KNOWN = {
    "a temporary table of another file", "a search path that is not known", "in EXECUTE of what is not known",
    "a body beyond the parser", "the same with the directive",
}  # fmt: skip
REAL = [case for case in CASES if case.name not in BEYOND_THIS_SERVER | NOT_KNOWN]
ORDER = {"needs-snapshot", "needs-directus", "needs-later-file", "unknown-relation", "dropped-relation"}
SETUP = """
SET statement_timeout = '10s';
CREATE TABLE migrations_applied (filename text);
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
"""
TABLES = """
CREATE TABLE events (id serial PRIMARY KEY);
CREATE TABLE users_roles (id serial PRIMARY KEY);
CREATE TABLE "Odd Name" ();
CREATE TABLE directus_users ();
"""


@pytest.fixture(scope="module")
def sessions(cluster: PostgresCluster) -> Iterator[dict[bool, Session]]:
    """A session on a database as it is before the schema, and one as it is after it."""
    with ExitStack() as stack:
        opened: dict[bool, Session] = {}
        for after_schema, tables in ((False, ""), (True, TABLES)):
            name = f"test_check_{after_schema}".lower()
            anyio.run(cluster.create_database, name)
            stack.callback(anyio.run, cluster.drop_database, name)
            opened[after_schema] = stack.enter_context(Session(cluster, name))
            opened[after_schema].execute(SETUP + tables)
        yield opened


@pytest.mark.postgres
@pytest.mark.parametrize("case", REAL, ids=lambda case: case.name)
def test_a_real_postgres_agrees(case: Case, sessions: dict[bool, Session]) -> None:
    folder = {"001_case.sql": case.sql}
    findings = judged(post=folder, snapshot=SNAPSHOT) if case.post else judged(pre=folder, snapshot=SNAPSHOT)
    errors = [each for each in findings if each.severity is Severity.ERROR and each.code != "unguarded"]
    relations = {each.relation for each in errors if each.code in ORDER}
    others = {each.code for each in errors} - ORDER
    if others - {"syntax"}:
        # These are refused by the supervisor's runner, or are no matter of the server's.
        return
    refusal = refused(sessions[case.post], case.sql)
    if refusal is None:
        assert not errors, [each.message for each in errors]
    elif isinstance(refusal, UndefinedTableError | UndefinedObjectError):
        assert any(f'"{name}"' in str(refusal) or f'.{name}"' in str(refusal) for name in relations), str(refusal)
    else:
        assert others or (relations and isinstance(refusal, RaiseError | AssertError)), f"check has missed: {refusal}"


def refused(session: Session, sql: str) -> PostgresError | None:
    """Run statements and roll them back; what PostgreSQL refuses them with, if it does."""
    try:
        session.execute(f"BEGIN;\n{sql}\n")
    except PostgresError as error:
        return error
    finally:
        session.execute("ROLLBACK")
    return None
