"""A bootstrap whose word does not count: the database is looked into."""

from __future__ import annotations

from tests.harness import Deployment


def test_a_bootstrap_that_lies_is_found_out(deployment: Deployment) -> None:
    deployment.environ["STAND_IN_BOOTSTRAP"] = "lie"
    failure = deployment.migrate(status=5).failure
    assert failure["code"] == "directus.bootstrap_failed"
    assert "system tables do not exist; it ended with status 0" in failure["message"]
    assert "Directus isn't installed on this database" in failure["message"]


def test_a_bootstrap_that_fails_is_reported_with_its_last_line(deployment: Deployment) -> None:
    deployment.environ["STAND_IN_BOOTSTRAP"] = "fail"
    failure = deployment.migrate(status=5).failure
    assert failure["code"] == "directus.bootstrap_failed"
    assert "error: something is wrong" in failure["message"]
    assert failure["last_lines"] == ["error: something is wrong"]
