"""What went wrong at other people's, provoked with the real parts, and told by `explain` with its cause and its remedy.

Incidents that do not concern a boot, and are proved elsewhere:

- CRLF in scripts (9): there are no scripts in the container any more; of SQL files it is here.
- CI (10): `--network host`, hidden images, bare curl and docs-only commits are the workflow's business. That the
  database is not where it is thought to be, or takes long, is here.
- Facts about images (11): of `docker/` and its tests.
- Zombies (16): `test_pid1.py`; they leave no trace in a log. That a stop takes no longer than it has to is here.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from supervisor.postgres.lock import LOCK_KEY
from tests.database import Session
from tests.harness import Deployment, Supervised, free_port
from tests.system.test_sql_files import SNAPSHOT

PROJECT = Path(__file__).parents[2]
FAST = {"SUPERVISOR_RESTART_BACKOFF_S": "0.01", "SUPERVISOR_RESTART_LIMIT": "2"}


def explained(*processes: Supervised, names: Sequence[str] = ("directus-1",)) -> Any:  # noqa: ANN401 - JSON
    """What `explain` makes of these logs, as `docker compose logs` shows them."""
    lines = [
        f"{name}  | {line}"
        for process, name in zip(processes, names, strict=True)
        for line in process.text.splitlines()
    ]
    done = subprocess.run(
        [sys.executable, "-m", "supervisor", "explain", "--json"],
        input="\n".join(lines),
        capture_output=True,
        text=True,
        cwd=PROJECT,
        timeout=60,
        check=True,
    )
    return json.loads(done.stdout)


def expect(account: Any, code: str, status: int, cause: str, remedy: str) -> None:  # noqa: ANN401 - JSON
    """The verdict names cause and remedy, and what to do first is that remedy."""
    failure = account["boots"][-1]["failure"]
    assert (failure["code"], account["boots"][-1]["exit_code"]) == (code, status)
    assert cause in failure["cause"]
    assert remedy in failure["remedy"]
    assert not account["verdict"]["well"]
    for words in (code, cause, remedy):
        assert words in account["verdict"]["text"]
    assert remedy in account["verdict"]["actions"][0]["what"]
    assert code.replace(".", "") in account["verdict"]["actions"][0]["runbook"]


def test_note_1_a_file_on_the_wrong_side_of_the_schema(deployment: Deployment) -> None:
    deployment.snapshot.parent.mkdir()
    deployment.snapshot.write_text(SNAPSHOT)
    deployment.sql("pre-schema", "001_junction.sql", "ALTER TABLE organization_users ADD UNIQUE (organization_id);")
    account = explained(deployment.migrate(3))
    expect(
        account,
        "sql.failed",
        3,
        'relation "organization_users" does not exist',
        "Move the file to sql/post-schema/",
    )
    assert "in pre_schema" in account["verdict"]["text"]


def test_note_2_a_step_that_claims_success(deployment: Deployment) -> None:
    deployment.environ["STAND_IN_BOOTSTRAP"] = "lie"
    account = explained(deployment.migrate(5))
    expect(account, "directus.bootstrap_failed", 5, "isn't installed on this database", "Directus")
    assert {phase["name"]: phase["state"] for phase in account["boots"][0]["phases"]}["bootstrap"] == "failed"


@pytest.mark.directus
def test_notes_3_and_14_ghosts_in_the_snapshot_and_the_same_snapshot_again(migrated_rally: Deployment) -> None:
    text = migrated_rally.snapshot.read_text()
    ghost = "  - collection: positions\n    meta:\n      collection: positions\n    schema:\n      name: positions\n"
    migrated_rally.snapshot.write_text(text.replace("collections:\n", "collections:\n" + ghost, 1))
    account = explained(migrated_rally.migrate())
    (boot,) = account["boots"]
    (told,) = [episode["text"] for episode in boot["story"] if episode["event"] == "schema.ghosts_ignored"]
    assert "positions" in told
    assert "left alone" in told
    assert boot["outcome"] == "stopped"
    assert {phase["outcome"] for phase in boot["phases"]} == {"unchanged"}
    assert account["verdict"]["well"]


@pytest.mark.directus
def test_note_4_an_older_snapshot_would_delete_a_collection_with_its_rows(
    migrated_rally: Deployment, session: Session
) -> None:
    session.execute("CREATE TABLE sponsors (id int PRIMARY KEY); INSERT INTO sponsors VALUES (1), (2)")
    session.execute("INSERT INTO directus_collections (collection) VALUES ('sponsors')")
    account = explained(migrated_rally.migrate(6))
    expect(account, "schema.destructive_change", 6, "sponsors", "SUPERVISOR_APPROVE_PLAN")
    assert "2 rows" in json.dumps(account["boots"][0]["failure"])


def test_note_5_an_assertion_that_does_not_hold(deployment: Deployment) -> None:
    sql = "CREATE TABLE positions (speed text); DO $$ BEGIN ASSERT 1 = 2, 'positions.speed is not real'; END $$;"
    deployment.sql("pre-schema", "001_asserts.sql", sql)
    account = explained(deployment.migrate(3))
    expect(account, "sql.assertion_failed", 3, "positions.speed is not real", "what the assertion expects")


def test_note_6_an_edited_file_two_with_one_number_and_broken_sql(deployment: Deployment) -> None:
    path = deployment.sql("pre-schema", "001_first.sql", "SELECT 1;")
    other = deployment.sql("pre-schema", "002_broken.sql", "SELEKT 1;")
    broken = explained(deployment.migrate(3))
    expect(broken, "sql.failed", 3, "pre-schema/002_broken.sql:1", "Correct the statement")
    assert "SELEKT" in broken["boots"][0]["failure"]["details"]["excerpt"]

    other.write_text("SELECT 1;")
    again = explained(deployment.migrate())
    assert again["verdict"]["well"]
    assert again["boots"][0]["applied_files"] == 1

    path.write_text("SELECT 2;")
    expect(explained(deployment.migrate(2)), "sql.checksum_mismatch", 2, "001_first.sql", "Restore the file")

    path.rename(path.with_name("2_first.sql"))
    account = explained(deployment.migrate(4))
    expect(account, "sql.duplicate_number", 4, "002_broken.sql", "next free number")
    assert "2_first.sql" in account["verdict"]["text"]


def test_note_7_rows_of_files_that_were_moved_are_told_once_and_no_trouble(deployment: Deployment) -> None:
    gone = deployment.sql("pre-schema", "001_gone.sql", "SELECT 1;")
    deployment.migrate()
    gone.rename(gone.with_name("002_moved.sql"))
    account = explained(deployment.migrate())
    (told,) = [episode for episode in account["boots"][0]["story"] if episode["event"] == "sql.orphan_rows"]
    assert "001_gone.sql" in told["text"]
    assert "harmless" in told["text"]
    assert account["verdict"]["well"]
    assert not account["verdict"]["actions"]


def test_note_8_directus_is_not_where_it_is_looked_for(deployment: Deployment) -> None:
    deployment.environ["SUPERVISOR_DIRECTUS_DIR"] = "/nowhere"
    with deployment.start("run") as process:
        process.expect_exit(78)
    expect(explained(process), "directus.not_found", 78, "/nowhere/cli.js", "SUPERVISOR_DIRECTUS_DIR")


def test_note_9_a_windows_checkout_changes_nothing(deployment: Deployment) -> None:
    path = deployment.sql("pre-schema", "001_first.sql", "SELECT 1;\nSELECT 2;\n")
    deployment.migrate()
    path.write_bytes(b"SELECT 1;\r\nSELECT 2;\r\n")
    account = explained(deployment.migrate())
    assert account["verdict"]["well"]
    assert account["boots"][0]["applied_files"] == 0


def test_note_10_the_database_is_at_another_port(deployment: Deployment) -> None:
    port = str(free_port())
    deployment.environ |= {"DB_PORT": port, "SUPERVISOR_POSTGRES_TIMEOUT_S": "0.5"}
    account = explained(deployment.migrate(8))
    expect(account, "postgres.unreachable", 8, f"127.0.0.1:{port}", "DB_PORT")
    assert any(episode["event"] == "postgres.waiting" for episode in account["boots"][0]["story"])


@pytest.mark.directus
def test_note_12_a_directus_that_lacks_configuration_is_explained_and_not_looped(
    bootstrapped_rally: Deployment,
) -> None:
    bootstrapped_rally.without_schema().environ |= {"AUTH_PROVIDERS": "keycloak", "AUTH_KEYCLOAK_DRIVER": "openid"}
    with bootstrapped_rally.start("run") as process:
        process.expect_exit(78, timeout_s=180)
    account = explained(process)
    expect(account, "directus.misconfigured", 78, "authentication provider keycloak is not complete", "AUTH_*")
    assert account["boots"][0]["restarts_total"] == 0
    assert any("Invalid config" in line for line in account["boots"][0]["failure"]["last_lines"])


def test_note_12_a_crash_loop_ends_and_its_last_words_are_told(deployment: Deployment) -> None:
    deployment.environ |= {**FAST, "STAND_IN": "end", "STAND_IN_WORDS": "Error: connect ECONNREFUSED 10.0.0.9:6379"}
    with deployment.start("run") as process:
        process.expect_exit(7)
    account = explained(process)
    expect(account, "directus.crash_loop", 7, "ECONNREFUSED 10.0.0.9:6379", "fix their cause")
    (boot,) = account["boots"]
    assert boot["restarts_total"] == 2
    for restart in boot["restarts"]:
        assert "Error: connect ECONNREFUSED 10.0.0.9:6379" in restart["trouble"]["last_lines"]


def test_note_13_two_containers_at_once(deployment: Deployment) -> None:
    deployment.sql("pre-schema", "001_slow.sql", "CREATE TABLE once (id int); SELECT pg_sleep(1);")
    processes = [deployment.start("migrate") for _ in range(2)]
    for process in processes:
        process.expect_exit(0)
    account = explained(*processes, names=("directus-1", "directus-2"))
    assert account["verdict"]["text"].startswith("2 replicas: 2 stopped as asked.")
    assert account["verdict"]["well"]
    assert sorted(boot["applied_files"] for boot in account["boots"]) == [0, 1]
    (waited,) = [boot for boot in account["boots"] if boot["applied_files"] == 0]
    assert any("directus-supervisor" in told["text"] for told in waited["story"] if told["event"] == "lock.waiting")


def test_note_13_a_lock_that_somebody_keeps(deployment: Deployment, session: Session) -> None:
    session.execute("SET application_name = 'a forgotten psql'")
    session.execute(f"SELECT pg_advisory_lock({LOCK_KEY})")
    deployment.environ["SUPERVISOR_LOCK_TIMEOUT_S"] = "0.5"
    expect(explained(deployment.migrate(9)), "lock.timeout", 9, "a forgotten psql", "Look at the holder")


@pytest.mark.directus
def test_note_15_a_boot_with_nothing_to_do_takes_no_lock(migrated_rally: Deployment, session: Session) -> None:
    session.execute(f"SELECT pg_advisory_lock({LOCK_KEY})")
    account = explained(migrated_rally.migrate())
    (boot,) = account["boots"]
    assert boot["lock_wait_s"] is None
    assert {phase["outcome"] for phase in boot["phases"]} == {"unchanged"}
    assert "timescaledb" in account["verdict"]["actions"][0]["what"]


def test_notes_16_and_17_a_stop_reaches_directus_and_waits_for_nobody(deployment: Deployment) -> None:
    deployment.environ["SUPERVISOR_STOP_TIMEOUT_S"] = "600"
    with deployment.start("run") as process:
        process.wait_for("state.changed", state="ready")
        process.signal(signal.SIGTERM)
        process.expect_exit(0)
    account = explained(process)
    (boot,) = account["boots"]
    assert (boot["outcome"], boot["signals"]) == ("stopped", ["SIGTERM"])
    assert boot["duration_s"] < 60
    assert "stopped as asked (SIGTERM)" in account["verdict"]["text"]
    assert account["verdict"]["well"]


def test_note_17_a_directus_that_ignores_the_stop_is_named(deployment: Deployment) -> None:
    deployment.environ |= {"STAND_IN": "ignore-term", "SUPERVISOR_STOP_TIMEOUT_S": "0.3"}
    with deployment.start("run") as process:
        process.wait_for("state.changed", state="ready")
        process.signal(signal.SIGTERM)
        process.expect_exit(0)
    (boot,) = explained(process)["boots"]
    assert any("directus got SIGKILL" in told["text"] for told in boot["story"])


def test_a_kill_that_leaves_no_word_is_told_as_one(deployment: Deployment) -> None:
    first = deployment.start("run")
    first.wait_for("state.changed", state="ready")
    orphan = int(first.of("process.started", process="directus")[0]["pid"])
    first.signal(signal.SIGKILL)
    first.process.wait()
    first.end()
    # In a container it would have gone with PID 1.
    os.kill(orphan, signal.SIGKILL)
    deployment.environ["PORT"] = str(free_port())
    with deployment.start("run", "--once") as second:
        second.expect_exit(0)
    account = explained(first, second, names=("directus-1", "directus-1"))
    assert [boot["outcome"] for boot in account["boots"]] == ["vanished", "stopped"]
    assert "OOMKilled" in account["verdict"]["actions"][0]["what"]
