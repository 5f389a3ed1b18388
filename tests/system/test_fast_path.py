"""The schema apply that costs nothing when nothing has changed, and that is never left out when something has."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import anyio
import pytest

from supervisor.configuration import Configuration, configure
from supervisor.directus.fast_path import Seal, Verdict, judge, keep_record, read_inputs
from supervisor.directus.fingerprint import take_fingerprint
from supervisor.postgres.connect import connect
from supervisor.postgres.lock import LOCK_KEY
from supervisor.postgres.sqlfile import SqlTree, load_tree
from supervisor.postgres.state import ApplyRecord, BootRecord, read_apply, record_apply, record_boot
from tests.database import Session
from tests.harness import Deployment, Supervised
from tests.unit.captured import Captured
from tests.unit.conftest import captured  # noqa: F401 - a fixture

if TYPE_CHECKING:
    from supervisor.postgres.connect import Connection

T = TypeVar("T")
RECORD = ApplyRecord("a key", "a fingerprint", "a sum", "11.17.4")


def summary(process: Supervised) -> str:
    return str(process.of("phase.finished", phase="schema_apply")[0]["summary"])


@pytest.mark.directus
def test_a_warm_boot_asks_directus_nothing_and_needs_no_lock(migrated_rally: Deployment, session: Session) -> None:
    migrated_rally.environ["SUPERVISOR_LOCK_TIMEOUT_S"] = "0.2"
    session.execute(f"SELECT pg_advisory_lock({LOCK_KEY})")
    process = migrated_rally.migrate()
    assert {record["outcome"] for record in process.of("phase.finished")} == {"unchanged"}
    assert "nothing has changed since" in summary(process)
    assert not process.of("directus.step")
    assert not process.of("lock.acquired")
    # What a boot says without the lock, it says once.
    assert len(process.of("sql.pending")) == 2


@pytest.mark.directus
def test_a_change_by_hand_is_found_and_mended_and_the_next_boot_is_quick_again(
    migrated_rally: Deployment, session: Session
) -> None:
    session.execute("ALTER TABLE vehicles ALTER make SET DEFAULT 'Lada'")
    process = migrated_rally.migrate()
    (asked,) = process.of("schema.asked")
    assert asked["reason"] == "the live schema has changed since the last apply"
    assert process.of("schema.plan", changed=["vehicles.make"])
    default = (
        "SELECT column_default FROM information_schema.columns WHERE table_name = 'vehicles' AND column_name = 'make'"
    )
    assert "Lada" not in str(session.value(default))

    process = migrated_rally.migrate()
    assert not process.of("directus.step")

    migrated_rally.snapshot.write_text(migrated_rally.snapshot.read_text() + "\n# another\n")
    assert migrated_rally.migrate().of("directus.step", step="schema-apply")
    assert not migrated_rally.migrate().of("directus.step")


class Prepared:
    """A database with the tables of Directus, and a snapshot whose apply can be sealed by hand."""

    def __init__(self, deployment: Deployment, log: Captured) -> None:
        self.log = log
        deployment.migrate()
        deployment.snapshot.parent.mkdir(exist_ok=True)
        deployment.snapshot.write_text("a snapshot")
        self.deployment = deployment

    @property
    def configuration(self) -> Configuration:
        return configure(self.deployment.environ, self.deployment.folder)

    def run(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """Do something on a session such as a boot has."""

        async def connected() -> T:
            connection = await connect(self.configuration.target, 10)
            try:
                return await work(connection)
            finally:
                await connection.close()

        return anyio.run(connected)

    def seal(self) -> Seal:
        async def now(connection: Connection) -> Seal:
            diffed = (await take_fingerprint(connection, self.configuration.target)).diffed
            return Seal(read_inputs(self.configuration, self.tree, self.deployment.snapshot.read_bytes()), diffed)

        return self.run(now)

    @property
    def tree(self) -> SqlTree:
        return load_tree(self.configuration.settings.sql_dir)

    def keep(self, seal: Seal) -> None:
        self.run(lambda connection: keep_record(connection, self.configuration, self.tree, seal))

    @property
    def verdict(self) -> Verdict:
        inputs = read_inputs(self.configuration, self.tree, self.deployment.snapshot.read_bytes())
        return self.run(lambda connection: judge(connection, self.configuration, inputs))


@pytest.fixture
def prepared(deployment: Deployment, request: pytest.FixtureRequest) -> Prepared:
    return Prepared(deployment, request.getfixturevalue("captured"))


def test_nothing_is_left_out_before_an_apply_was_recorded(prepared: Prepared) -> None:
    assert not prepared.verdict.unchanged
    prepared.keep(prepared.seal())
    assert prepared.verdict.unchanged


def test_whatever_decides_an_apply_ends_the_record(prepared: Prepared, tmp_path: Path) -> None:
    prepared.keep(prepared.seal())
    environ = prepared.deployment.environ
    for name, value in (
        ("SUPERVISOR_SCHEMA_MODE", "additive"),
        ("DB_EXCLUDE_TABLES", "spatial_ref_sys,cars"),
        ("DB_SEARCH_PATH", "array:public,other"),
    ):
        environ[name] = value
        assert not prepared.verdict.unchanged, name
        del environ[name]
    extension = Path(environ["EXTENSIONS_PATH"], "hook", "dist", "index.js")
    extension.parent.mkdir(parents=True)
    extension.write_text("")
    assert not prepared.verdict.unchanged
    extension.unlink()
    assert prepared.verdict.unchanged

    manifest = Path(environ["SUPERVISOR_DIRECTUS_DIR"], "node_modules", "directus", "package.json")
    manifest.write_text(manifest.read_text().replace('"version": "', '"version": "9'))
    assert not prepared.verdict.unchanged


def test_another_snapshot_and_another_sql_file_end_the_record(prepared: Prepared) -> None:
    prepared.keep(prepared.seal())
    path = prepared.deployment.sql("post-schema", "001_first.sql", "SELECT 1;")
    assert not prepared.verdict.unchanged
    path.unlink()
    assert prepared.verdict.unchanged
    prepared.deployment.snapshot.write_text("a snapshot ")
    assert not prepared.verdict.unchanged


def test_two_images_on_one_database_keep_their_own_records(prepared: Prepared) -> None:
    prepared.keep(prepared.seal())
    prepared.deployment.snapshot.write_text("a newer snapshot")
    prepared.keep(prepared.seal())
    assert prepared.verdict.unchanged
    prepared.deployment.snapshot.write_text("a snapshot")
    assert prepared.verdict.unchanged


def test_an_edit_after_directus_has_looked_is_never_recorded_as_seen(prepared: Prepared, session: Session) -> None:
    seal = prepared.seal()
    session.execute("INSERT INTO directus_collections VALUES ('made meanwhile')")
    prepared.keep(seal)
    assert not prepared.verdict.unchanged
    assert "has changed after Directus had looked" in prepared.log.of("schema.not_recorded")[0]["message"]


def test_a_snapshot_replaced_after_directus_has_looked_is_never_recorded_as_seen(prepared: Prepared) -> None:
    seal = prepared.seal()
    prepared.deployment.snapshot.write_text("another snapshot")
    prepared.keep(seal)
    assert not prepared.verdict.unchanged


def test_a_snapshot_that_names_a_partition_is_never_recorded(prepared: Prepared, session: Session) -> None:
    session.execute(
        "CREATE TABLE parted (day date) PARTITION BY LIST (day); CREATE TABLE a_day PARTITION OF parted DEFAULT"
    )
    prepared.keep(prepared.seal())
    assert prepared.verdict.unchanged
    prepared.deployment.snapshot.write_text("collections: [{collection: a_day}]")
    prepared.keep(prepared.seal())
    assert not prepared.verdict.unchanged


def test_what_a_snapshot_cannot_hold_is_recorded_with_the_rest(prepared: Prepared, session: Session) -> None:
    seal = prepared.seal()
    session.execute("ALTER TABLE directus_relations ADD UNIQUE (many_collection, many_field)")
    prepared.keep(seal)
    assert prepared.verdict.unchanged
    session.execute("ALTER TABLE directus_relations DROP CONSTRAINT directus_relations_many_collection_many_field_key")
    assert not prepared.verdict.unchanged


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE supervisor.schema_applies SET fingerprint = ''",
        "TRUNCATE supervisor.schema_applies",
        "ALTER TABLE supervisor.schema_applies DROP COLUMN fingerprint",
        "ALTER TABLE supervisor.schema_applies ALTER host TYPE text USING NULL, ALTER host DROP NOT NULL",
        "ALTER TABLE supervisor.schema_applies ALTER applied_at DROP DEFAULT, ALTER applied_at TYPE text USING 'x'",
        "DROP SCHEMA supervisor CASCADE",
        "DROP TABLE directus_fields",
    ],
)
def test_a_damaged_record_counts_as_none(prepared: Prepared, session: Session, damage: str) -> None:
    prepared.keep(prepared.seal())
    session.execute(damage)
    assert not prepared.verdict.unchanged


def test_a_user_without_the_right_to_remember_only_loses_the_record(prepared: Prepared, session: Session) -> None:
    # The history of the boots before has made it already.
    session.execute("DROP SCHEMA IF EXISTS supervisor CASCADE")
    session.execute(
        "CREATE ROLE forgetful LOGIN PASSWORD 'forgetful'; GRANT SELECT ON ALL TABLES IN SCHEMA public TO forgetful"
    )
    try:
        prepared.deployment.environ |= {"DB_USER": "forgetful", "DB_PASSWORD": "forgetful"}
        prepared.keep(prepared.seal())
        assert not prepared.verdict.unchanged
        assert not session.value("SELECT count(*) FROM pg_namespace WHERE nspname = 'supervisor'")
        (warning,) = prepared.log.of("state.not_kept")
        assert "permission denied" in warning["message"]
    finally:
        session.execute("DROP OWNED BY forgetful; DROP ROLE forgetful")


def test_somebody_who_locks_the_record_does_not_hold_up_the_boot(prepared: Prepared, session: Session) -> None:
    prepared.keep(prepared.seal())
    session.execute("BEGIN; LOCK TABLE supervisor.schema_applies IN EXCLUSIVE MODE")
    assert not prepared.run(lambda connection: record_apply(connection, RECORD))
    session.execute("ROLLBACK")
    assert prepared.run(lambda connection: record_apply(connection, RECORD))


def test_tables_of_an_earlier_supervisor_are_brought_up_to_date_and_those_of_a_later_one_are_used(
    prepared: Prepared, session: Session
) -> None:
    assert prepared.run(lambda connection: record_apply(connection, RECORD))
    session.execute("DROP TABLE supervisor.boots, supervisor.releases; UPDATE supervisor.state_version SET version = 1")
    assert prepared.run(lambda connection: record_apply(connection, RECORD))
    assert session.has("supervisor.boots")
    session.execute("UPDATE supervisor.state_version SET version = 99")
    assert prepared.run(lambda connection: record_apply(connection, RECORD))
    assert session.value("SELECT version FROM supervisor.state_version") == 99


def test_only_the_latest_records_are_kept(prepared: Prepared, session: Session) -> None:
    async def many(connection: Connection) -> None:
        for number in range(25):
            await record_apply(connection, ApplyRecord(f"key {number}", "", "", ""))
        assert await read_apply(connection, "key 0") is None
        assert await read_apply(connection, "key 24") is not None

    prepared.run(many)
    assert session.value("SELECT count(*) FROM supervisor.schema_applies") == 20


def test_a_boot_is_added_to_the_history(prepared: Prepared, session: Session) -> None:
    boot = BootRecord(datetime.now(UTC), 1.5, "11.17.4", None, '[{"phase": "bootstrap"}]')
    assert prepared.run(lambda connection: record_boot(connection, boot))
    assert session.value("SELECT phases -> 0 ->> 'phase' FROM supervisor.boots ORDER BY id DESC LIMIT 1") == "bootstrap"
