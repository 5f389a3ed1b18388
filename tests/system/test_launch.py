"""Directus started ahead of time: it loads while the phases run, begins when they are done, is never left over."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import httpx

from supervisor.postgres.lock import LOCK_KEY
from tests.database import Session
from tests.harness import Deployment, Supervised, eventually, is_gone


def held_up(deployment: Deployment, session: Session) -> Supervised:
    """Start a run whose phases wait for the migration lock, which the session holds."""
    deployment.environ["SUPERVISOR_LOG_LEVEL"] = "debug"
    session.execute(f"SELECT pg_advisory_lock({LOCK_KEY})")
    process = deployment.start("run")
    process.wait_for("lock.waiting")
    return process


def let_go(session: Session) -> None:
    session.execute(f"SELECT pg_advisory_unlock({LOCK_KEY})")


def test_directus_loads_while_the_phases_run_and_begins_when_they_are_done(
    deployment: Deployment, session: Session
) -> None:
    modules = Path(deployment.environ["SUPERVISOR_DIRECTUS_DIR"], "node_modules/@directus/api/dist/cli/index.js")
    modules.write_text("console.log('modules are loaded');")
    with held_up(deployment, session) as process:
        process.wait_for("process.output", process="directus", message="modules are loaded")
        waiting = process.of("directus.ahead")[0]["pid"]
        assert not process.of("process.started")
        let_go(session)
        assert process.wait_for("process.ready", process="directus", how="message")["pid"] == waiting
        assert process.of("process.ready")[0]["after_s"] < 30
        assert httpx.get(f"{deployment.url}/server/ping", trust_env=False).text == "pong"
        process.signal(signal.SIGTERM)
        process.expect_exit(0)
    names = [record["event"] for record in process.records]
    assert names.index("directus.ahead") < names.index("phase.finished")
    (begun,) = [index for index, line in enumerate(process.records) if "Server started" in line.get("message", "")]
    assert names.index("boot.finished") < names.index("process.started") < begun
    assert is_gone(waiting)


def test_what_waits_is_ended_by_a_stop_and_by_a_failure_and_by_the_end_of_the_supervisor(
    deployment: Deployment, session: Session
) -> None:
    with held_up(deployment, session) as process:
        waiting = process.wait_for("directus.ahead")["pid"]
        process.signal(signal.SIGTERM)
        process.expect_exit(0, timeout_s=10)
    assert is_gone(waiting)
    with held_up(deployment, session) as process:
        waiting = process.wait_for("directus.ahead")["pid"]
        process.signal(signal.SIGKILL)
        process.expect_exit(-signal.SIGKILL)
    eventually(lambda: is_gone(waiting), timeout_s=20)
    let_go(session)
    let_go(session)
    deployment.sql("pre-schema", "001_broken.sql", "SELEKT 1")
    with deployment.start("run") as process:
        process.expect_exit(3)
    assert is_gone(process.of("directus.ahead")[0]["pid"])


def test_one_that_died_while_it_waited_is_started_again_and_not_counted(
    deployment: Deployment, session: Session
) -> None:
    deployment.environ["SUPERVISOR_RESTART_LIMIT"] = "0"
    with held_up(deployment, session) as process:
        waiting = process.wait_for("directus.ahead")["pid"]
        os.kill(waiting, signal.SIGKILL)
        eventually(lambda: is_gone(waiting))
        let_go(session)
        assert process.wait_for("process.ready", process="directus")["pid"] != waiting
        process.signal(signal.SIGTERM)
        process.expect_exit(0)
    assert process.of("process.exited", pid=waiting, signal="SIGKILL", expected=False)
    assert not process.of("process.restarting")


def test_it_is_not_started_ahead_where_a_step_could_change_it_or_nobody_wants_it(deployment: Deployment) -> None:
    deployment.environ["SUPERVISOR_LOG_LEVEL"] = "debug"
    config = deployment.folder / "supervisor.yaml"
    for text in (
        "start_ahead: false",
        "steps: [{name: build, command: 'true', after: post_schema}]",
        "command: sleep 60",
    ):
        config.write_text(text)
        with deployment.start("run") as process:
            process.wait_for("process.started", process="directus")
        assert not process.of("directus.ahead"), text


def test_a_cache_that_is_not_filled_is_filled_beside_directus_once_it_serves(deployment: Deployment) -> None:
    modules = Path(deployment.environ["SUPERVISOR_DIRECTUS_DIR"], "node_modules/@directus/api/dist/cli/index.js")
    modules.write_text(
        "export const answer = 42;\nconsole.log(process.execArgv.length, process.env.NODE_COMPILE_CACHE);"
    )
    cache = deployment.folder / "cache"
    deployment.environ["SUPERVISOR_COMPILE_CACHE_DIR"] = str(cache)
    deployment.environ["SUPERVISOR_LOG_LEVEL"] = "debug"
    ours = cache / f"directus-supervisor-node-{os.geteuid()}"
    with deployment.start("run") as process:
        assert process.wait_for("directus.cache_filled")["path"] == str(ours)
        assert any(path.name.startswith("filled-") for path in ours.rglob("*"))
        assert httpx.get(f"{deployment.url}/server/ping", trust_env=False).text == "pong"
        process.signal(signal.SIGTERM)
        process.expect_exit(0)
    (filling,) = process.of("process.exited", process="compile")
    assert filling["expected"]
    assert is_gone(filling["pid"])


def test_a_folder_for_compiled_code_that_others_can_write_to_is_a_warning(deployment: Deployment) -> None:
    cache = deployment.folder / "cache"
    deployment.environ["SUPERVISOR_COMPILE_CACHE_DIR"] = str(cache)
    ours = cache / f"directus-supervisor-node-{os.geteuid()}"
    ours.mkdir(parents=True)
    ours.chmod(0o777)
    with deployment.start("run") as process:
        warning = process.wait_for("config.warning")
    assert "others can write" in warning["message"]
