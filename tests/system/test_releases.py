"""An older image undoes nothing of what a newer one has applied, whenever it comes back."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from supervisor.configuration import configure
from supervisor.dev.postgres import PostgresCluster
from supervisor.lineage import release as lineage
from supervisor.lineage.ledger import Ledger, begin_release, read_ledger
from supervisor.lineage.standing import Record
from supervisor.postgres.connect import connect
from supervisor.postgres.lock import LOCK_KEY
from tests.command import run_command
from tests.database import Session
from tests.releases import Release

VIEW = "-- supervisor: repeatable\nCREATE OR REPLACE VIEW answer AS SELECT {answer} AS answer;\n"
COLUMNS = (
    "SELECT attname::text FROM pg_attribute WHERE attrelid = 'things'::regclass AND attnum > 1 AND NOT attisdropped"
)

TAKES_ITS_PLACE = """
    INSERT INTO supervisor.releases (scope, digest, snapshot_sha256, directus_version, supervisor_version, host, sql)
    VALUES ('public', 'another', 'another', '11.1.0', '1', 'another', '{"numbered": {}, "repeatable": {}}')
"""


@pytest.fixture
def old(cluster: PostgresCluster, database: str, tmp_path: Path, node_binary: Path) -> Release:
    release = Release.make(tmp_path / "old", cluster.directus_env(database), node_binary)
    return release.schema(things="name").files(_001_log="CREATE TABLE log (id int)", _050_view=VIEW.format(answer=1))


@pytest.fixture
def new(cluster: PostgresCluster, database: str, tmp_path: Path, node_binary: Path) -> Release:
    release = Release.make(tmp_path / "new", cluster.directus_env(database), node_binary, "11.1.0")
    release.schema(things="name colour").files(_001_log="CREATE TABLE log (id int)", _050_view=VIEW.format(answer=42))
    return release.files(_002_more="ALTER TABLE log ADD more int")


def expect_new(session: Session) -> None:
    assert session.column(COLUMNS) == ["name", "colour"]
    assert session.value("SELECT answer FROM answer") == 42
    assert sorted(session.applied) == ["001_log.sql", "002_more.sql", "050_view.sql"]


def test_an_old_replica_that_comes_back_is_ready_and_leaves_the_new_schema_alone(
    old: Release, new: Release, session: Session
) -> None:
    old.migrate()
    new.migrate()
    with old.start("run") as process:
        process.wait_for("process.ready")
        (told,) = process.of("release.superseded")
        assert "11.1.0" in told["latest"]
        assert {record["phase"]: record["outcome"] for record in process.of("phase.finished")} == {
            "wait_for_postgres": "unchanged",
            "pre_schema": "skipped",
            "bootstrap": "unchanged",
            "schema_apply": "skipped",
            "post_schema": "skipped",
        }
        assert not process.of("lock.acquired")
    expect_new(session)
    assert {record["outcome"] for record in new.migrate().of("phase.finished")} == {"unchanged"}


def test_an_old_replica_leaves_alone_what_a_killed_new_one_had_begun(
    old: Release, new: Release, session: Session
) -> None:
    old.migrate()
    new.environ["STAND_IN_APPLY_S"] = "0.1"
    new.files(_002_more="ALTER TABLE log ADD more int; SELECT pg_sleep(60)")
    with new.start("migrate") as process:
        process.wait_for("phase.finished", phase="schema_apply")
        process.process.kill()
        process.process.wait()
    assert old.migrate().of("release.superseded")
    assert session.column(COLUMNS) == ["name", "colour"]
    # What was killed is the latest release, and is brought to its end by its next replica.
    new.files(_002_more="ALTER TABLE log ADD more int")
    new.migrate()
    expect_new(session)


def test_a_release_that_is_refused_before_it_changes_anything_makes_none_older(
    old: Release, new: Release, session: Session
) -> None:
    old.migrate()
    new.files(_001_log="CREATE TABLE log (id bigint)")
    new.migrate(status=2)
    assert not old.migrate().of("release.superseded")
    session.execute("INSERT INTO things (name) VALUES ('one')")
    new.files(_001_log="CREATE TABLE log (id int)").schema(others="name")
    new.migrate(status=6)
    assert not old.migrate().of("release.superseded")


def test_an_old_replica_that_waits_for_the_lock_looks_again_once_it_has_it(
    old: Release, new: Release, session: Session
) -> None:
    old.migrate()
    session.execute(f"SELECT pg_advisory_lock({LOCK_KEY})")
    with old.start("migrate") as process:
        process.wait_for("lock.waiting")
        # As the new replica that holds it: it takes its place before it applies anything.
        session.execute(TAKES_ITS_PLACE)
        session.execute(f"SELECT pg_advisory_unlock({LOCK_KEY})")
        process.expect_exit(0)
    assert process.of("release.superseded")
    assert process.of("phase.finished", phase="schema_apply", outcome="skipped")


def test_going_back_on_purpose_takes_the_word_that_the_warning_names_and_that_works_once(
    old: Release, new: Release, session: Session
) -> None:
    old.migrate()
    new.migrate()
    remedy = str(old.migrate().of("release.superseded")[0]["remedy"])
    old.environ["SUPERVISOR_ALLOW_DOWNGRADE"] = remedy.partition("SUPERVISOR_ALLOW_DOWNGRADE=")[2].split()[0]
    process = old.migrate()
    assert process.of("release.downgraded")
    assert session.column(COLUMNS) == ["name"]
    assert session.value("SELECT answer FROM answer") == 1
    # The new one is the older one now, by the same rule.
    assert new.migrate().of("release.superseded")
    new.environ["SUPERVISOR_ALLOW_DOWNGRADE"] = "always"
    new.migrate()
    expect_new(session)
    assert old.migrate().of("release.superseded")
    expect_new(session)


def test_a_row_that_the_old_file_would_contradict_does_not_stop_an_old_replica(
    old: Release, new: Release, session: Session
) -> None:
    old.migrate()
    new.files(_001_log="CREATE TABLE log (id int) -- mended")
    assert run_command(new, "repair", "--yes").status == 0
    new.migrate()
    assert old.migrate().of("release.superseded")


def test_an_old_image_that_the_database_never_met_is_held_by_what_it_lacks(
    old: Release, new: Release, session: Session
) -> None:
    new.migrate()
    assert "older by Directus" in old.migrate().of("release.superseded")[0]["reason"]
    expect_new(session)


def test_a_branch_is_applied_and_named(old: Release, new: Release, session: Session) -> None:
    new.migrate()
    old.files(_003_other="CREATE TABLE other (id int)")
    assert old.migrate().of("release.diverged")
    assert session.has("other")


def test_two_deployments_in_two_schemas_of_one_database_do_not_count_as_each_others_releases(
    old: Release, session: Session
) -> None:
    async def records() -> tuple[Ledger, Ledger]:
        connection = await connect(configure(old.environ, old.folder).target, 10)
        try:
            assert await begin_release(connection, "public", bare)
            return await read_ledger(connection, "public", bare), await read_ledger(connection, "aside", bare)
        finally:
            await connection.close()

    bare = lineage.Release("a snapshot", "11.0.0", {})
    own, aside = anyio.run(records)
    assert own.record.latest is not None
    assert aside == Ledger(Record(), writable=True)


def test_without_a_record_and_the_right_to_make_one_boots_go_on_as_ever(
    old: Release, new: Release, session: Session, cluster: PostgresCluster, database: str
) -> None:
    session.execute(
        f"CREATE ROLE plain_{database} LOGIN PASSWORD 'plain'; GRANT ALL ON SCHEMA public TO plain_{database}"
    )
    for release in (old, new):
        release.environ |= {"DB_USER": f"plain_{database}", "DB_PASSWORD": "plain"}
    try:
        old.migrate()
        new.migrate()
        expect_new(session)
        process = old.migrate()
        assert process.of("state.not_kept")
        assert session.column(COLUMNS) == ["name"]
    finally:
        session.execute(f"DROP OWNED BY plain_{database} CASCADE; DROP ROLE plain_{database}")


def test_the_first_boot_of_a_release_is_put_on_record_though_nothing_is_to_do(
    old: Release, new: Release, session: Session
) -> None:
    old.migrate()
    session.execute("DROP TABLE supervisor.releases; UPDATE supervisor.state_version SET version = 2")
    assert old.migrate().of("lock.acquired")
    assert not old.migrate().of("lock.acquired")
    new.migrate()
    assert old.migrate().of("release.superseded")
    assert session.value("SELECT count(*) FROM supervisor.releases WHERE finished_at IS NOT NULL") == 2
