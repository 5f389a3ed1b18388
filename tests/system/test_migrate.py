"""`migrate` as the gate of a pipeline: a second run must have nothing to do."""

from __future__ import annotations

from tests.harness import Deployment


def migrate_again(deployment: Deployment, status: int) -> str:
    with deployment.start("migrate", "--expect-unchanged") as process:
        process.expect_exit(status)
    if status == 0:
        assert not process.of("supervisor.failed")
        return ""
    assert process.failure["code"] == "migrate.changed"
    return str(process.failure["message"])


def test_a_second_migrate_passes_only_when_nothing_changes(deployment: Deployment) -> None:
    deployment.without_schema().sql("pre-schema", "001_base.sql", "CREATE TABLE base (id int);")
    assert "pre_schema (1 applied, 0 skipped)" in migrate_again(deployment, 1)
    migrate_again(deployment, 0)

    deployment.sql("pre-schema", "002_more.sql", "CREATE TABLE more (id int);")
    assert "pre_schema (1 applied, 1 skipped)" in migrate_again(deployment, 1)
    migrate_again(deployment, 0)
