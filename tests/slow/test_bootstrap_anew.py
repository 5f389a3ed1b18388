"""A bootstrap of the real Directus that did not come to its end is begun anew, when nothing of anybody's is there."""

from __future__ import annotations

import signal

import pytest

from supervisor.directus.strays import STEP_APPLICATION_NAME
from tests.database import Session
from tests.harness import Deployment, eventually, is_gone
from tests.system.test_real_directus import expect_the_rally_schema

pytestmark = pytest.mark.directus


def test_an_interrupted_first_bootstrap_is_begun_anew_and_converges(rally: Deployment, session: Session) -> None:
    with rally.start("migrate") as process:
        node = process.wait_for("directus.step", step="bootstrap")["pid"]
        process.wait_for("process.output", message="Running migrations...")
        assert session.value("SELECT count(*) FROM pg_stat_activity WHERE application_name = $1", STEP_APPLICATION_NAME)
        process.signal(signal.SIGTERM)
        process.expect_exit(128 + signal.SIGTERM, timeout_s=10)
    assert is_gone(node)
    assert session.has("directus_collections")

    with rally.start("migrate") as process:
        process.wait_for("directus.bootstrap_started_over")
        node = process.wait_for("directus.step", step="bootstrap")["pid"]
        process.wait_for("process.output", message="Running migrations...")
        process.signal(signal.SIGKILL)
        process.expect_exit(-signal.SIGKILL)
    eventually(lambda: is_gone(node), timeout_s=20)

    process = rally.migrate()
    assert process.of("directus.bootstrap_started_over")
    expect_the_rally_schema(session)


def test_a_bootstrap_that_did_not_make_the_admin_has_failed_and_is_begun_anew(
    bootstrapped_rally: Deployment, session: Session
) -> None:
    session.execute("DELETE FROM directus_users")
    address = bootstrapped_rally.environ["ADMIN_EMAIL"]
    bootstrapped_rally.environ["ADMIN_EMAIL"] = "no address"
    process = bootstrapped_rally.without_schema().migrate(5)
    assert process.failure["code"] == "directus.bootstrap_failed"
    assert "status 1" in process.failure["message"]

    bootstrapped_rally.environ["ADMIN_EMAIL"] = address
    process = bootstrapped_rally.without_schema().migrate()
    assert process.of("directus.bootstrap_started_over")
    assert not process.of("directus.no_admin")
    assert session.column("SELECT email::text FROM directus_users") == [bootstrapped_rally.environ["ADMIN_EMAIL"]]
