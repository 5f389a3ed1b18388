"""The SQL runner by its command, on a real PostgreSQL: what runs, what is kept, and how a failure reads."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest

from supervisor.dev.postgres import PostgresCluster
from supervisor.postgres.apply import Terms, apply_plan, read_plan
from supervisor.postgres.connect import connect
from supervisor.postgres.lock import LOCK_KEY
from supervisor.postgres.sqlfile import load_tree
from supervisor.postgres.target import Target
from tests.database import Session
from tests.harness import Deployment, Supervised
from tests.unit.conftest import captured  # noqa: F401 - a fixture


def summary(process: Supervised, phase: str = "pre_schema") -> str:
    return str(process.wait_for("phase.finished", phase=phase)["summary"])


def test_files_run_once_in_numeric_order(deployment: Deployment, session: Session) -> None:
    deployment.sql("pre-schema", "10_last.sql", "INSERT INTO steps VALUES ('last');")
    deployment.sql("pre-schema", "002_next.sql", "INSERT INTO steps VALUES ('next');")
    deployment.sql(
        "pre-schema", "1_first.sql", "CREATE TABLE steps (name text, at serial); INSERT INTO steps VALUES ('first');"
    )
    deployment.sql("post-schema", "001_after.sql", "INSERT INTO steps VALUES ('after Directus');")
    first = deployment.migrate()
    assert summary(first) == "3 applied, 0 skipped"
    assert summary(first, "post_schema") == "1 applied, 0 skipped"

    second = deployment.migrate()
    assert summary(second) == "0 applied, 3 skipped"
    assert summary(second, "post_schema") == "0 applied, 1 skipped"
    assert second.wait_for("phase.finished", phase="pre_schema")["outcome"] == "unchanged"
    assert session.column("SELECT name FROM steps ORDER BY at") == ["first", "next", "last", "after Directus"]
    assert session.applied == ["1_first.sql", "002_next.sql", "10_last.sql", "001_after.sql"]


def test_a_file_and_its_row_share_one_transaction(deployment: Deployment, session: Session) -> None:
    deployment.sql("pre-schema", "001_one.sql", "CREATE TABLE seen AS SELECT pg_current_xact_id()::text AS id;")
    deployment.migrate()
    assert session.value("SELECT xmin::text FROM migrations_applied") == session.value("SELECT id FROM seen")


def test_broken_sql_leaves_nothing_and_is_retried(deployment: Deployment, session: Session) -> None:
    deployment.sql("pre-schema", "001_good.sql", "CREATE TABLE good (id int);")
    broken = "-- comment\nCREATE TABLE early (id int);\n\nCREATE TABLE\n    late (id int,, name text);\n"
    path = deployment.sql("pre-schema", "002_broken.sql", broken)
    deployment.sql("pre-schema", "003_never.sql", "CREATE TABLE never (id int);")
    failure = deployment.migrate(status=3).failure
    assert failure["code"] == "sql.failed"
    assert failure["message"].startswith("pre-schema/002_broken.sql:5:18: syntax error")
    assert failure["remedy"]
    assert session.applied == ["001_good.sql"]
    assert not session.has("early")
    assert not session.has("never")

    path.write_text(broken.replace(",,", ","))
    assert summary(deployment.migrate()) == "2 applied, 1 skipped"
    assert session.has("late")
    assert session.has("never")


@pytest.mark.parametrize(
    ("sql", "place", "message"),
    [
        (
            "CREATE TABLE t (id int PRIMARY KEY);\nINSERT INTO t VALUES (1);\nINSERT INTO t VALUES (1);",
            3,
            "duplicate key",
        ),
        ("SELECT 1;\nDO $$\nBEGIN\n  RAISE EXCEPTION 'not like this';\nEND $$;", None, "not like this"),
        (
            "CREATE TABLE t (id int UNIQUE DEFERRABLE INITIALLY DEFERRED);\nINSERT INTO t VALUES (1), (1);\nSELECT 1;",
            3,
            "duplicate key",
        ),
        ("SELECT 1;\nCREATE INDEX CONCURRENTLY i ON pg_class (oid);", 2, "cannot run inside a transaction block"),
    ],
    ids=["unique violation", "within a DO block", "deferred until the commit", "outside transactions only"],
)
def test_an_error_while_running_names_file_and_line(
    deployment: Deployment, session: Session, sql: str, place: int | None, message: str
) -> None:
    deployment.sql("pre-schema", "001_fails.sql", sql)
    failure = deployment.migrate(status=3).failure
    assert failure["code"] == "sql.failed"
    assert re.match(rf"pre-schema/001_fails\.sql:{place or '[2-5]'}\b", failure["message"])
    assert message in failure["message"]
    assert session.applied == []
    assert not session.has("t")


@pytest.mark.parametrize("copy", ["COPY t\nFROM  stdin", "COPY (SELECT 1) TO STDOUT", "COPY t FROM STDIN WITH CSV"])
def test_a_copy_that_needs_psql_is_refused_instead_of_awaited(
    deployment: Deployment, session: Session, copy: str
) -> None:
    deployment.sql("pre-schema", "001_first.sql", "CREATE TABLE t (id int);")
    deployment.sql("pre-schema", "002_copies.sql", f"SELECT 1;\n{copy};")
    failure = deployment.migrate(status=3, timeout_s=20).failure
    assert failure["code"] == "sql.invalid_file"
    assert failure["message"].startswith("pre-schema/002_copies.sql:2: COPY")
    assert not session.has("t")


@pytest.mark.parametrize("folder", ["pre-schema", "post-schema"])
def test_an_edited_file_stops_before_anything_runs(deployment: Deployment, session: Session, folder: str) -> None:
    path = deployment.sql(folder, "001_first.sql", "SELECT 1;")
    deployment.migrate()
    path.write_text("SELECT 2;")
    deployment.sql("pre-schema", "000_new.sql", "CREATE TABLE new (id int);")
    failure = deployment.migrate(status=2).failure
    assert failure["code"] == "sql.checksum_mismatch"
    assert f"{folder}/001_first.sql" in failure["message"]
    assert not session.has("new")


def test_a_checkout_with_other_line_ends_counts_as_the_same_file(deployment: Deployment) -> None:
    path = deployment.sql("pre-schema", "001_first.sql", "SELECT 1;\nSELECT 2;\n")
    deployment.migrate()
    path.write_bytes(b"SELECT 1;\r\nSELECT 2;\r\n")
    assert summary(deployment.migrate()) == "0 applied, 1 skipped"


BASH_FLOW = (
    "CREATE TABLE migrations_applied (filename text PRIMARY KEY, applied_at timestamptz DEFAULT now(), checksum text)"
)


@pytest.mark.parametrize("here", [b"SELECT 1;\r\n", b"SELECT 1;\n"], ids=["CRLF here", "LF here"])
def test_a_row_over_raw_windows_bytes_is_accepted(deployment: Deployment, session: Session, here: bytes) -> None:
    session.execute(BASH_FLOW)
    checksum = hashlib.sha256(b"SELECT 1;\r\n").hexdigest()
    session.execute(f"INSERT INTO migrations_applied VALUES ('001_first.sql', now(), '{checksum}')")
    deployment.sql("pre-schema", "001_first.sql", "").write_bytes(here)
    assert summary(deployment.migrate()) == "0 applied, 1 skipped"


@pytest.mark.parametrize(
    "columns",
    [
        "filename text PRIMARY KEY, applied_at timestamptz DEFAULT now(), checksum text",
        "filename varchar(255) PRIMARY KEY, applied_at timestamp NOT NULL DEFAULT now(), checksum char(64) NOT NULL",
        "checksum varchar(64), id serial PRIMARY KEY, host text DEFAULT 'x', applied_at date, filename text UNIQUE",
    ],
    ids=["text", "varchar, char, timestamp", "another order and further columns"],
)
def test_a_table_of_the_bash_flow_is_adopted_unchanged(deployment: Deployment, session: Session, columns: str) -> None:
    describe = """SELECT string_agg(format('%s %s %s', attname, atttypid::regtype, attnotnull), ',' ORDER BY attnum)
                    FROM pg_attribute WHERE attrelid = 'migrations_applied'::regclass AND attnum > 0"""
    session.execute(f"CREATE TABLE migrations_applied ({columns})")
    before = session.value(describe)
    checksum = hashlib.sha256(b"SELECT 1;").hexdigest().upper()
    session.execute(f"INSERT INTO migrations_applied (filename, checksum) VALUES ('001_old.sql', '{checksum}')")
    deployment.sql("pre-schema", "001_old.sql", "SELECT 1;")
    deployment.sql("pre-schema", "002_new.sql", "SELECT 2;")
    assert summary(deployment.migrate()) == "1 applied, 1 skipped"
    assert summary(deployment.migrate()) == "0 applied, 2 skipped"
    assert session.value(describe) == before
    assert session.value("SELECT checksum FROM migrations_applied WHERE filename = '001_old.sql'") == checksum


def test_a_row_without_a_checksum_counts_as_applied(deployment: Deployment, session: Session) -> None:
    session.execute(BASH_FLOW)
    session.execute("INSERT INTO migrations_applied (filename) VALUES ('001_old.sql')")
    deployment.sql("pre-schema", "001_old.sql", "SELECT 1;")
    assert summary(deployment.migrate()) == "0 applied, 1 skipped"
    assert session.value("SELECT checksum IS NULL FROM migrations_applied")


def test_a_guard_table_of_another_make_is_refused_in_words(deployment: Deployment, session: Session) -> None:
    session.execute("CREATE TABLE migrations_applied (name text)")
    deployment.sql("pre-schema", "001_first.sql", "CREATE TABLE t (id int);")
    failure = deployment.migrate(status=78).failure
    assert failure["code"] == "sql.guard_table"
    assert "public.migrations_applied" in failure["message"]
    assert not session.has("t")


def test_a_user_without_the_right_to_create_tables_is_told_so(deployment: Deployment, session: Session) -> None:
    session.execute("CREATE ROLE guest LOGIN PASSWORD 'guest'; REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    try:
        deployment.environ |= {"DB_USER": "guest", "DB_PASSWORD": "guest"}
        deployment.sql("pre-schema", "001_first.sql", "SELECT 1;")
        failure = deployment.migrate(status=78).failure
    finally:
        session.execute("DROP ROLE guest")
    assert failure["code"] == "sql.guard_table"
    assert 'GRANT USAGE, CREATE ON SCHEMA "public"' in failure["remedy"]


def test_two_files_with_one_number_stop_without_a_database(deployment: Deployment) -> None:
    deployment.environ["DB_PORT"] = "1"
    deployment.sql("post-schema", "007_one.sql", "SELECT 1;")
    deployment.sql("post-schema", "7_other.sql", "SELECT 1;")
    process = deployment.migrate(status=4)
    assert process.failure["code"] == "sql.duplicate_number"
    assert "007_one.sql" in process.failure["message"]
    assert "7_other.sql" in process.failure["message"]
    assert not process.of("boot.started")


def test_rows_of_files_that_are_gone_are_reported_and_harmless(deployment: Deployment, session: Session) -> None:
    gone = deployment.sql("pre-schema", "001_gone.sql", "SELECT 1;")
    deployment.migrate()
    gone.rename(gone.with_name("002_moved.sql"))
    process = deployment.migrate()
    assert process.wait_for("sql.orphan_rows")["files"] == ["001_gone.sql"]
    assert summary(process) == "1 applied, 0 skipped"
    assert session.applied == ["001_gone.sql", "002_moved.sql"]


def test_what_one_file_sets_does_not_reach_the_next(deployment: Deployment, session: Session) -> None:
    deployment.sql(
        "pre-schema",
        "001_sets.sql",
        """CREATE ROLE of_a_file; GRANT ALL ON SCHEMA public TO of_a_file;
           CREATE SCHEMA aside; SET search_path = aside; SET statement_timeout = '1h';
           CREATE TEMP TABLE scratch (id int); SET ROLE of_a_file; CREATE TABLE public.owned (id int);""",
    )
    deployment.sql(
        "pre-schema",
        "002_sees.sql",
        """CREATE TABLE seen AS SELECT current_user::text AS who, current_setting('search_path') AS path,
           current_setting('statement_timeout') AS timeout, to_regclass('scratch') IS NULL AS no_scratch;""",
    )
    try:
        deployment.migrate()
        assert session.value("SELECT tableowner FROM pg_tables WHERE tablename = 'owned'") == "of_a_file"
        assert session.value("SELECT who FROM public.seen") == deployment.environ["DB_USER"]
        assert session.value("SELECT path FROM public.seen") == session.value("SELECT current_setting('search_path')")
        assert session.value("SELECT timeout FROM public.seen") == "0"
        assert session.value("SELECT no_scratch FROM public.seen")
    finally:
        session.execute("DROP OWNED BY of_a_file; DROP ROLE of_a_file")


def test_not_even_the_transactions_of_the_next_file_begin_as_a_file_has_set(
    deployment: Deployment, session: Session
) -> None:
    deployment.sql(
        "pre-schema",
        "001_sets.sql",
        "SET default_transaction_read_only = on; SET default_transaction_isolation = 'serializable';",
    )
    deployment.sql(
        "pre-schema",
        "002_next.sql",
        "CREATE TABLE next AS SELECT current_setting('transaction_isolation') AS isolation;",
    )
    deployment.migrate()
    assert session.value("SELECT isolation FROM next") == "read committed"


def test_any_name_can_be_recorded_however_literals_are_read(deployment: Deployment, session: Session) -> None:
    names = ["001_o'clock\\.sql", "002_größe\\' $1 {x}.sql", "003_view'.sql"]
    deployment.sql("pre-schema", names[0], "SET standard_conforming_strings = off;")
    deployment.sql("pre-schema", names[1], "SET standard_conforming_strings = off; SET client_encoding = 'latin1';")
    view = deployment.sql("pre-schema", names[2], "-- supervisor: repeatable\nSELECT 1;")
    deployment.migrate()
    assert session.applied == names
    view.write_text("-- supervisor: repeatable\nSELECT 2;")
    assert summary(deployment.migrate()) == "1 applied, 2 skipped"
    assert summary(deployment.migrate()) == "0 applied, 3 skipped"
    assert session.applied == names


@pytest.mark.parametrize("sets", ["SET NAMES 'latin1'", "SELECT set_config('client_encoding', 'WIN1252', false)"])
def test_text_beyond_ascii_is_not_sent_where_the_file_has_the_server_expect_another_encoding(
    deployment: Deployment, session: Session, sets: str
) -> None:
    rows = "INSERT INTO names VALUES ('plain');\nINSERT INTO names VALUES ('Zoë');"
    text = f"CREATE TABLE names (name text);\n{sets};\n{rows}"
    path = deployment.sql("pre-schema", "001_names.sql", text)
    failure = deployment.migrate(status=3).failure
    assert failure["code"] == "sql.failed"
    assert failure["message"].startswith("pre-schema/001_names.sql:4: the statement is UTF-8")
    assert "client_encoding" in failure["remedy"]
    assert not session.has("names")
    path.write_text(text.replace(sets, "SET client_encoding = 'UTF-8'; SET client_encoding = sql_ascii"))
    deployment.migrate()
    assert session.column("SELECT name FROM names") == ["plain", "Zoë"]


def test_what_ran_before_another_encoding_is_named_where_it_is_kept(deployment: Deployment, session: Session) -> None:
    head = "-- supervisor: no-transaction\n"
    deployment.sql("pre-schema", "001_names.sql", f"{head}CREATE TABLE a (); SET NAMES 'latin1';\nSELECT 'Zoë';")
    failure = deployment.migrate(status=3).failure
    assert failure["message"].startswith("pre-schema/001_names.sql:3: ")
    assert failure["message"].endswith("2 of its statements are kept")
    assert session.has("a")


def test_a_failed_commit_keeps_nothing_and_names_the_file(deployment: Deployment, session: Session) -> None:
    deployment.sql(
        "pre-schema",
        "001_defers.sql",
        "CREATE TABLE one (id int UNIQUE DEFERRABLE INITIALLY DEFERRED);\nINSERT INTO one VALUES (1), (1);\n-- end\n",
    )
    failure = deployment.migrate(status=3).failure
    assert failure["code"] == "sql.failed"
    assert failure["message"].startswith("pre-schema/001_defers.sql:3: duplicate key value")
    assert session.applied == []
    assert not session.has("one")


def test_a_lock_that_is_lost_at_the_commit_stops_before_the_next_file(deployment: Deployment, session: Session) -> None:
    deployment.sql(
        "pre-schema",
        "001_lets_go.sql",
        """
        CREATE TABLE one (id int);
        CREATE SEQUENCE touched;
        CREATE FUNCTION let_go() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN PERFORM pg_advisory_unlock_all(); RETURN NULL; END $$;
        CREATE CONSTRAINT TRIGGER late AFTER INSERT ON one DEFERRABLE INITIALLY DEFERRED
            FOR EACH ROW EXECUTE FUNCTION let_go();
        INSERT INTO one VALUES (1);
        """,
    )
    deployment.sql("pre-schema", "002_next.sql", "SELECT nextval('touched');")
    failure = deployment.migrate(status=3).failure
    assert failure["code"] == "sql.lock_released"
    assert session.applied == ["001_lets_go.sql"]
    # No rollback takes a sequence back: the file has not even begun.
    assert not session.value("SELECT is_called FROM touched")


@pytest.mark.anyio
@pytest.mark.usefixtures("captured")
async def test_a_small_file_takes_two_round_trips_beside_its_statements(
    cluster: PostgresCluster, database: str, tmp_path: Path
) -> None:
    folder = tmp_path / "pre-schema"
    folder.mkdir()
    for number in range(1, 11):
        (folder / f"{number:03d}_x.sql").write_text("SELECT 1; SELECT 2;")
    environ = cluster.directus_env(database)
    target = Target(cluster.host, int(environ["DB_PORT"]), database, environ["DB_USER"], environ["DB_PASSWORD"])
    connection = await connect(target, 10)
    asked: list[str] = []
    try:
        await connection.execute(f"SELECT pg_advisory_lock({LOCK_KEY})")
        plan = await read_plan(connection, "public", load_tree(tmp_path).all, ())
        terms = Terms("public", 5000, 0, lambda: connect(target, 10), lambda _name: None)
        with connection.query_logger(lambda record: asked.append(record.query)):
            await apply_plan(connection, plan, terms)
    finally:
        connection.terminate()
    # Beside all files: the guard table, our own process id, and the reset before the first and after the last one.
    assert len(asked) - 10 * (2 + 2) <= 5


def test_the_server_options_of_directus_hold_for_every_file(deployment: Deployment, session: Session) -> None:
    deployment.environ["PGOPTIONS"] = "-c work_mem=7MB"
    for number, name in enumerate(("first", "second")):
        sql = f"CREATE TABLE {name} AS SELECT current_setting('work_mem') AS mem; SET work_mem = '9MB';"
        deployment.sql("pre-schema", f"{number}_{name}.sql", sql)
    deployment.migrate()
    assert session.column("SELECT mem FROM first UNION ALL SELECT mem FROM second") == ["7MB", "7MB"]


def test_files_and_their_record_go_to_the_schema_of_directus(deployment: Deployment, session: Session) -> None:
    session.execute('CREATE SCHEMA "Rally App"')
    deployment.environ |= {"DB_SEARCH_PATH": "array:Rally App,public"}
    deployment.sql("pre-schema", "001_first.sql", "CREATE TABLE positions (id int); SET search_path = public;")
    deployment.sql("pre-schema", "002_next.sql", "ALTER TABLE positions ADD COLUMN faulty boolean;")
    deployment.environ["PGOPTIONS"] = "-c search_path=public"
    with deployment.start("migrate") as process:
        process.wait_for("phase.finished", phase="pre_schema", summary="2 applied, 0 skipped")
    assert session.has('"Rally App".positions')
    assert session.has('"Rally App".migrations_applied')
    assert not session.has("public.migrations_applied")


def test_a_schema_that_does_not_exist_is_named_with_its_variable(deployment: Deployment) -> None:
    deployment.environ["DB_SEARCH_PATH"] = "nowhere"
    deployment.sql("pre-schema", "001_first.sql", "SELECT 1;")
    failure = deployment.migrate(status=78).failure
    assert "nowhere" in failure["message"]
    assert "DB_SEARCH_PATH" in failure["remedy"]


SNAPSHOT = """\
version: 1
directus: 11.17.4
vendor: postgres
collections:
  - collection: organization_users
    schema:
      name: organization_users
fields: []
relations: []
"""


def test_a_file_on_the_wrong_side_of_the_schema_names_the_folder_to_move_it_to(deployment: Deployment) -> None:
    deployment.snapshot.parent.mkdir()
    deployment.snapshot.write_text(SNAPSHOT)
    deployment.sql(
        "pre-schema", "001_junction.sql", "ALTER TABLE organization_users ADD UNIQUE (organization_id, user_id);"
    )
    failure = deployment.migrate(status=3).failure
    assert 'relation "organization_users" does not exist' in failure["message"]
    assert "Move the file to sql/post-schema/" in failure["remedy"]


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("DO $$ BEGIN\n  ASSERT 1 = 2, 'positions.speed is not real';\nEND $$;", "positions.speed is not real"),
        ("DO $$ BEGIN RAISE 'no hypertable' USING ERRCODE = 'P0004'; END $$;", "no hypertable"),
        ("DO $$ BEGIN RAISE 'no hypertable' USING ERRCODE = 'assert_failure'; END $$;", "no hypertable"),
    ],
)
def test_a_failed_assertion_reads_as_one(deployment: Deployment, session: Session, sql: str, said: str) -> None:
    deployment.sql("pre-schema", "001_asserts.sql", f"CREATE TABLE positions (id int);\n{sql}")
    failure = deployment.migrate(status=3).failure
    assert failure["code"] == "sql.assertion_failed"
    assert re.match(rf"pre-schema/001_asserts\.sql:[23]\b.*: {said}", failure["message"])
    assert not session.has("positions")


def test_a_notice_is_an_event_of_its_file(deployment: Deployment) -> None:
    deployment.sql(
        "pre-schema", "001_talks.sql", "DO $$ BEGIN RAISE NOTICE 'half way'; RAISE WARNING 'mind this'; END $$;"
    )
    process = deployment.migrate()
    file = "pre-schema/001_talks.sql"
    process.wait_for("sql.notice", file=file, message="half way", severity="NOTICE")
    process.wait_for("sql.notice", file=file, message="mind this", severity="WARNING")


NEEDS = "-- supervisor: requires-extension {}\nCREATE TABLE needs (id int);"
NOWHERE = "an_extension_of_no_server"


@pytest.fixture
def offered(session: Session) -> str:
    """A real extension that this server offers and the database does not have yet."""
    name = session.value(
        "SELECT name::text FROM pg_available_extensions WHERE installed_version IS NULL ORDER BY name = 'vector' DESC"
    )
    assert name
    return str(name)


def test_a_file_that_needs_an_optional_extension_stays_pending(deployment: Deployment, session: Session) -> None:
    deployment.environ["SUPERVISOR_OPTIONAL_EXTENSIONS"] = f"other,{NOWHERE}"
    deployment.sql("pre-schema", "001_needs.sql", NEEDS.format(NOWHERE))
    deployment.sql("pre-schema", "002_goes_on.sql", "CREATE TABLE goes_on (id int);")
    process = deployment.migrate()
    process.wait_for("sql.pending", file="pre-schema/001_needs.sql", extension=NOWHERE)
    assert summary(process) == "1 applied, 0 skipped, 1 pending"
    assert not session.has("needs")
    assert session.applied == ["002_goes_on.sql"]


def test_a_missing_extension_stops_before_anything_of_the_folder_runs(deployment: Deployment, session: Session) -> None:
    deployment.sql("pre-schema", "001_first.sql", "CREATE TABLE first (id int);")
    deployment.sql("pre-schema", "002_needs.sql", NEEDS.format(NOWHERE))
    failure = deployment.migrate(status=3).failure
    assert failure["code"] == "sql.extension_missing"
    assert "pre-schema/002_needs.sql" in failure["message"]
    assert NOWHERE in failure["message"]
    assert "SUPERVISOR_OPTIONAL_EXTENSIONS" in failure["remedy"]
    assert not session.has("first")


def test_a_pending_file_runs_once_its_extension_is_offered(
    deployment: Deployment, session: Session, offered: str
) -> None:
    deployment.environ["SUPERVISOR_OPTIONAL_EXTENSIONS"] = f"{NOWHERE},{offered}"
    path = deployment.sql("pre-schema", "001_needs.sql", NEEDS.format(NOWHERE))
    deployment.sql("pre-schema", "002_later.sql", "SELECT 1;")
    assert summary(deployment.migrate()) == "1 applied, 0 skipped, 1 pending"
    # A pending file has no record yet, so that it may be changed; here to an extension that is there.
    path.write_text(NEEDS.format(offered) + f'\nCREATE EXTENSION "{offered}";')
    assert summary(deployment.migrate()) == "1 applied, 1 skipped"
    assert session.has("needs")
    assert session.value("SELECT count(*) FROM pg_extension WHERE extname = $1", offered) == 1
    assert summary(deployment.migrate()) == "0 applied, 2 skipped"


def test_no_folder_and_an_empty_folder_are_no_work(deployment: Deployment) -> None:
    Path(deployment.environ["SUPERVISOR_SQL_DIR"], "post-schema").mkdir(parents=True)
    process = deployment.migrate()
    assert summary(process) == summary(process, "post_schema") == "0 applied, 0 skipped"
