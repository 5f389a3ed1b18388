"""The whole gate on a database of its own, which is gone afterwards, whatever happened; no other one is touched."""

from __future__ import annotations

import json
import os
import shutil
import signal
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from supervisor.dev.paths import project_data_folder
from supervisor.dev.postgres import PostgresCluster
from supervisor.dry_run import database as database_module
from supervisor.dry_run.command import server_of
from supervisor.dry_run.database import throwaway_database
from supervisor.dry_run.marker import Mark, read_mark
from supervisor.errors import SupervisorError
from tests.command import run_command
from tests.database import Session
from tests.harness import eventually, is_gone
from tests.releases import Release

OURS = "SELECT datname::text FROM pg_database WHERE datname LIKE 'directus_dry_run_%'"
SLEEPERS = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)%' AND pid <> pg_backend_pid()"
CONTENT = "SELECT string_agg(t::text, ',' ORDER BY t::text) FROM precious t"


@pytest.fixture
def gate(tmp_path: Path, node_binary: Path) -> Iterator[Release]:
    """A deployment that knows no database."""
    release = Release.make(tmp_path / "gate", {}, node_binary).schema(things="name")
    release.sql("pre-schema", "001_log.sql", "CREATE TABLE log (id int PRIMARY KEY);\n")
    release.environ |= {"XDG_DATA_HOME": str(tmp_path / "data")}
    yield release
    shutil.rmtree(folder_of(release), ignore_errors=True)


@pytest.fixture
def server(own_cluster: PostgresCluster) -> Iterator[Session]:
    """The maintenance session of a server that has a database with something in it."""
    anyio.run(own_cluster.create_database, "production")
    with Session(own_cluster, "production") as session:
        session.execute("CREATE TABLE precious (id int); INSERT INTO precious VALUES (1), (2)")
        yield session


def folder_of(release: Release) -> Path:
    """Where its own server lies: for root that is not below ``XDG_DATA_HOME`` where the server could not enter."""
    data = project_data_folder(release.folder, release.environ)
    return data.with_name(f"{data.name}-dry-run")


def address(cluster: PostgresCluster, user: str | None = None, database: str = "") -> str:
    return f"postgres://{user or cluster.user}:{cluster.password}@{cluster.host}:{cluster.port}/{database}"


def test_a_server_of_its_own_tries_everything_twice_and_is_gone_afterwards(gate: Release) -> None:
    gate.sql("pre-schema", "002_needs.sql", "-- supervisor: requires-extension no_such_thing\nSELECT 1;\n")
    ended = run_command(gate, "dry-run")
    assert ended.status == 0, ended.err
    rows = {line[0]: line for line in ended.lines if line}
    assert [rows["schema_apply"][1], rows["schema_apply"][3]] == ["changed", "unchanged"]
    assert "not tried: pre-schema/002_needs.sql, for this server has no no_such_thing" in ended.out
    assert ended.out.splitlines()[-1].startswith("all well on PostgreSQL")
    assert {path.name for path in folder_of(gate).iterdir()} == {".directus-supervisor-data", "dry-run.lock"}


def test_on_a_given_server_no_other_database_is_touched(
    gate: Release, own_cluster: PostgresCluster, server: Session
) -> None:
    before = server.column("SELECT datname::text FROM pg_database ORDER BY 1")
    ended = run_command(gate, "dry-run", "--json", "--against", address(own_cluster, database="production"))
    assert ended.status == 0, ended.out + ended.err
    document = ended.document
    assert [run["status"] for run in document["runs"]] == [0, 0]
    assert {phase["outcome"] for phase in document["runs"][1]["phases"]} == {"unchanged"}
    assert "directus_dry_run_" in document["database"]
    assert server.column("SELECT datname::text FROM pg_database ORDER BY 1") == before
    assert server.value(CONTENT) == "(1),(2)"
    assert server.column("SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace") == [
        "precious"
    ]


def test_a_configuration_that_leads_elsewhere_is_refused_before_anything_runs(
    gate: Release, own_cluster: PostgresCluster, server: Session
) -> None:
    (gate.folder / "directus" / ".env").write_text(
        "\n".join(f"{name}={value}" for name, value in own_cluster.directus_env("production").items())
    )
    ended = run_command(gate, "dry-run", "--json")
    assert ended.status == 78
    assert ended.document["problem"]["code"] == "dry_run.not_isolated"
    assert ".env" in ended.document["problem"]["message"]
    assert not ended.document["runs"]
    assert not server.has("log")


def test_variables_that_name_another_database_or_a_redis_count_for_nothing(
    gate: Release, own_cluster: PostgresCluster, server: Session
) -> None:
    gate.environ |= own_cluster.directus_env("production")
    gate.environ |= {
        "PGDATABASE": "production",
        "SUPERVISOR_MIGRATION_DB_HOST": "nowhere.example",
        "REDIS": "redis://x",
    }
    assert run_command(gate, "dry-run").status == 0
    assert not server.has("log")


def test_steps_are_left_out_for_nobody_knows_what_they_reach(gate: Release) -> None:
    (gate.folder / "supervisor.yaml").write_text(
        f"steps:\n  reaches:\n    command: touch {gate.folder}/reached\n    before: bootstrap\n"
    )
    ended = run_command(gate, "dry-run")
    assert ended.status == 0, ended.out
    assert "step:" not in ended.out
    assert not (gate.folder / "reached").exists()


def test_what_the_second_run_changes_again_fails_the_gate_by_name(gate: Release) -> None:
    gate.environ["STAND_IN_RESTLESS"] = "things"
    ended = run_command(gate, "dry-run", "--json")
    assert ended.status == 1
    problem = ended.document["problem"]
    assert problem["code"] == "dry_run.not_settled"
    assert "schema_apply (things)" in problem["message"]


def test_a_failure_has_its_own_status_and_account_and_leaves_no_database(
    gate: Release, own_cluster: PostgresCluster, server: Session
) -> None:
    gate.sql("post-schema", "001_broken.sql", "SELECT 1 / 0;\n")
    ended = run_command(gate, "dry-run", "--json", "--against", address(own_cluster))
    assert ended.status == 3
    assert ended.document["problem"]["code"] == "sql.failed"
    assert "001_broken.sql" in ended.document["problem"]["message"]
    assert not server.column(OURS)


def test_what_check_finds_ends_it_before_there_is_a_database(
    gate: Release, own_cluster: PostgresCluster, server: Session
) -> None:
    gate.sql("pre-schema", "002_misplaced.sql", "ALTER TABLE things ADD other int;\n")
    ended = run_command(gate, "dry-run", "--json", "--against", address(own_cluster))
    assert ended.status == 1
    assert "002_misplaced.sql" in ended.err
    assert not ended.document["runs"]


def test_all_that_check_finds_is_shown(gate: Release) -> None:
    for number in range(100, 140):
        gate.sql("pre-schema", f"{number}_misplaced.sql", "ALTER TABLE things ADD other int;\n")
    ended = run_command(gate, "dry-run", "--against", "postgres://nobody@127.0.0.1:1/x")
    assert ended.status == 1
    assert ended.err.count("needs-snapshot") == 40


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_and_leaves_nothing(
    gate: Release, own_cluster: PostgresCluster, server: Session, number: signal.Signals
) -> None:
    gate.sql("post-schema", "001_slow.sql", "SELECT pg_sleep(600);\n")
    with gate.start("dry-run", "--against", address(own_cluster)) as process:
        eventually(lambda: server.value(SLEEPERS) == 1)
        process.signal(number)
        process.expect_exit(128 + number)
    assert not server.column(OURS)
    assert not server.value("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'directus-supervisor'")


def test_what_a_killed_run_leaves_the_next_one_drops_by_its_mark_alone(
    gate: Release, own_cluster: PostgresCluster, server: Session
) -> None:
    gate.sql("post-schema", "001_slow.sql", "SELECT pg_sleep(600);\n")
    with gate.start("dry-run", "--against", address(own_cluster)) as process:
        eventually(lambda: server.value(SLEEPERS) == 1)
        process.signal(signal.SIGKILL)
        process.process.wait()
    server.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname LIKE 'directus_dry_run_%'")
    (left,) = server.column(OURS)
    mark = read_mark(
        server.value(f"SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = '{left}'")
    )
    assert mark is not None
    made = "2026-01-01T00:00:00+00:00"
    old = Mark(mark.token, mark.host, mark.pid, mark.started, made)
    comment(server, left, old.comment)
    # Each of these looks like one of ours in every way but one.
    living = Mark(uuid.uuid4().hex, mark.host, os.getpid(), _started(os.getpid()), made)
    held = Mark(uuid.uuid4().hex, "another", 1, 1, made)
    spared = {
        "directus_dry_run_by_name": None,
        "directus_dry_run_by_somebody": '{"made_by": "somebody"}',
        "directus_dry_run_living": living.comment,
        "directus_dry_run_held": held.comment,
        "directus_dry_run_kept": Mark(uuid.uuid4().hex, "another", 1, 1, made, kept=True).comment,
    }
    for name, text in spared.items():
        anyio.run(own_cluster.create_database, name)
        if text is not None:
            comment(server, name, text)
    server.execute(f"SELECT pg_advisory_lock({held.lock_key})")
    (gate.folder / "sql" / "post-schema" / "001_slow.sql").unlink()
    ended = run_command(gate, "dry-run", "--against", address(own_cluster))
    assert ended.status == 0, ended.out
    assert f"dropped {left}" in ended.err
    assert set(server.column(OURS)) == set(spared)


def comment(session: Session, database: str, text: str) -> None:
    session.execute(f"COMMENT ON DATABASE {database} IS '{text}'")


def _started(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])


def test_what_is_kept_can_be_reached(gate: Release, own_cluster: PostgresCluster, server: Session) -> None:
    ended = run_command(gate, "dry-run", "--keep", "--against", address(own_cluster))
    assert ended.status == 0, ended.out
    (name,) = server.column(OURS)
    assert f"kept: {name}" in ended.out
    with Session(own_cluster, name) as session:
        assert session.has("things")


def test_a_user_who_may_not_make_databases_is_told_so(
    gate: Release, own_cluster: PostgresCluster, server: Session
) -> None:
    server.execute(f"CREATE ROLE reader LOGIN PASSWORD '{own_cluster.password}'")
    ended = run_command(gate, "dry-run", "--json", "--against", address(own_cluster, "reader"))
    assert ended.status == 78
    assert ended.document["problem"]["code"] == "dry_run.database"
    assert ended.document["problem"]["remedy"].startswith('ALTER ROLE "reader" CREATEDB')


def test_a_template_that_is_in_use_is_waited_for(own_cluster: PostgresCluster, server: Session) -> None:
    target = server_of(address(own_cluster), Path.cwd())
    with Session(own_cluster, "template1") as busy:
        said: list[str] = []

        def say(text: str) -> None:
            said.append(text)
            busy.close()

        async def make() -> None:
            async with throwaway_database(target, say, keep=False) as made:
                assert server.column(OURS) == [made.name]

        pid = busy.pid
        anyio.run(make)
    assert "waiting up to 30 s: somebody is connected to template1" in said[0]
    assert f"pid {pid} " in said[0]
    assert not server.column(OURS)


def test_who_stays_on_the_template_is_named(own_cluster: PostgresCluster, server: Session) -> None:
    target = server_of(address(own_cluster), Path.cwd())

    async def make() -> None:
        async with throwaway_database(target, lambda _: None, keep=False, template_s=0.3):
            pytest.fail("a database was made")

    with Session(own_cluster, "template1") as busy, pytest.raises(SupervisorError, match=f"pid {busy.pid} ") as caught:
        anyio.run(make)
    assert caught.value.failure.code == "dry_run.database"
    assert "template1" in caught.value.remedy
    assert not server.column(OURS)


def test_a_stop_just_after_the_database_was_made_leaves_none(
    own_cluster: PostgresCluster, server: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = server_of(address(own_cluster), Path.cwd())
    really = database_module._created
    seen: list[object] = []

    async def make() -> None:
        with anyio.CancelScope() as scope:

            async def stopped(*arguments: Any) -> bool:  # noqa: ANN401 - those of what it wraps
                assert await really(*arguments)
                seen.extend(server.column(OURS))
                scope.cancel()
                await anyio.lowlevel.checkpoint()
                return True

            monkeypatch.setattr(database_module, "_created", stopped)
            async with throwaway_database(target, lambda _: None, keep=False):
                pytest.fail("it was not stopped")

    anyio.run(make)
    assert len(seen) == 1
    assert not server.column(OURS)


def test_a_server_that_is_down_and_an_address_that_is_none_are_told_at_once(gate: Release) -> None:
    ended = run_command(gate, "dry-run", "--json", "--against", "postgres://nobody@127.0.0.1:1/x")
    assert (ended.status, ended.document["problem"]["code"]) == (8, "postgres.unreachable")
    ended = run_command(gate, "dry-run", "--json", "--against", "db.local:5432")
    assert (ended.status, ended.document["problem"]["code"]) == (78, "config.invalid")
    assert "--against" in json.dumps(ended.document["problem"])


def test_two_at_once_on_one_project_do_not_get_into_each_others_way(gate: Release) -> None:
    gate.sql("post-schema", "001_slow.sql", "SELECT pg_sleep(600);\n")
    with gate.start("dry-run") as process:
        eventually(lambda: "bootstrap: changed" in process.text)
        ended = run_command(gate, "dry-run", "--json")
        assert (ended.status, ended.document["problem"]["code"]) == (78, "dev.setup_failed")
        pid = process.process.pid
        process.signal(signal.SIGINT)
        process.expect_exit(130)
    assert is_gone(pid)
