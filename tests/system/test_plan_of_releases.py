"""`plan` looks at the releases on record as a boot does, and says when one of this release would be held."""

from __future__ import annotations

from pathlib import Path

import pytest

from supervisor.dev.postgres import PostgresCluster
from tests.command import Ended, run_command
from tests.database import Session
from tests.releases import Release


@pytest.fixture
def old(cluster: PostgresCluster, database: str, tmp_path: Path, node_binary: Path) -> Release:
    made = Release.make(tmp_path / "old", cluster.directus_env(database), node_binary)
    return made.schema(things="name").files(_001_log="CREATE TABLE log (id int)")


@pytest.fixture
def new(cluster: PostgresCluster, database: str, tmp_path: Path, node_binary: Path) -> Release:
    made = Release.make(tmp_path / "new", cluster.directus_env(database), node_binary, "11.1.0")
    made.schema(things="name colour").files(_001_log="CREATE TABLE log (id int)")
    return made.files(_002_more="ALTER TABLE log ADD more int")


@pytest.fixture
def superseded(old: Release, new: Release) -> Release:
    """A release that the database met before the latest one."""
    old.migrate()
    new.migrate()
    return old


def states(ended: Ended) -> dict[str, str]:
    return {each["file"]: each["state"] for each in ended.document["files"]}


def test_a_plan_says_that_a_boot_of_this_release_would_be_held(superseded: Release) -> None:
    text = run_command(superseded, "plan").out
    assert "held: release " in text
    assert "11.1.0" in text
    ended = run_command(superseded, "plan", "--json")
    release = ended.document["release"]
    assert (release["kind"], release["held"]) == ("older", True)
    assert release["reason"] == "the database met it before the release that came last"
    assert release["latest"]["directus_version"] == "11.1.0"
    (told,) = superseded.migrate().of("release.superseded")
    assert f"SUPERVISOR_ALLOW_DOWNGRADE={release['allow_downgrade']}" in told["remedy"]
    assert release["allow_downgrade"] in text


def test_files_of_a_held_release_are_not_to_be_applied(superseded: Release, session: Session) -> None:
    session.execute("DELETE FROM migrations_applied WHERE filename = '001_log.sql'")
    ended = run_command(superseded, "plan", "--json", "--check")
    assert ended.status == 0
    assert states(ended) == {"post-schema/001_log.sql": "held"}
    assert ended.document["to_apply"] == []
    superseded.migrate()
    assert session.applied == ["002_more.sql"]
    superseded.environ["SUPERVISOR_ALLOW_DOWNGRADE"] = ended.document["release"]["allow_downgrade"]
    ended = run_command(superseded, "plan", "--json", "--check")
    assert (ended.status, states(ended)) == (1, {"post-schema/001_log.sql": "to_apply"})
    assert ended.document["release"]["held"] is False


def test_what_would_stop_a_boot_does_not_stop_one_that_is_held(superseded: Release, session: Session) -> None:
    session.execute("UPDATE migrations_applied SET checksum = 'mended' WHERE filename = '001_log.sql'")
    ended = run_command(superseded, "plan", "--json")
    assert (ended.status, ended.document["problem"]) == (0, None)
    assert states(ended) == {"post-schema/001_log.sql": "changed"}
    superseded.migrate()


def test_a_release_that_is_the_latest_or_new_is_not_held(new: Release) -> None:
    document = run_command(new, "plan", "--json").document
    assert (document["release"]["kind"], document["release"]["held"]) == ("first", False)
    new.migrate()
    document = run_command(new, "plan", "--json").document
    assert (document["release"]["kind"], document["release"]["held"]) == ("current", False)
    assert "release" not in run_command(new, "plan").out


def test_without_directus_the_release_cannot_be_named_and_nothing_is_guessed(superseded: Release) -> None:
    del superseded.environ["SUPERVISOR_DIRECTUS_DIR"]
    del superseded.environ["SUPERVISOR_NODE"]
    (superseded.folder / "directus").rename(superseded.folder / "elsewhere")
    text = run_command(superseded, "plan").out
    assert "Directus is not installed here" in text
    assert "held" in text
    document = run_command(superseded, "plan", "--json").document
    assert document["release"]["held"] is None
    assert "Directus" in document["release"]["reason"]


def test_nothing_is_said_of_releases_where_none_is_on_record(new: Release) -> None:
    del new.environ["SUPERVISOR_DIRECTUS_DIR"]
    del new.environ["SUPERVISOR_NODE"]
    (new.folder / "directus").rename(new.folder / "elsewhere")
    ended = run_command(new, "plan")
    assert ended.status == 0
    assert "release" not in ended.out
