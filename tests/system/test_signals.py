"""What each signal makes `run` do, and what of it Directus gets to hear: the table of docs/signals.md."""

from __future__ import annotations

import json
import shlex
import signal
import sys
import time
from pathlib import Path

import httpx
import pytest

from tests.harness import Deployment, Record, Supervised, eventually

PROGRAMS = Path(__file__).parents[1] / "programs"
PYTHON = (sys.executable, "-I", "-S")
PRINT_SIGNALS = (*PYTHON, str(PROGRAMS / "print_signals.py"))
DESCRIBE = (*PYTHON, str(PROGRAMS / "describe_process.py"))
WITH_SIGNALS = (*PYTHON, str(PROGRAMS / "with_signals.py"))
SETTLE_S, IDLE_S = 1.0, 3.0

# Signals 32 and 33 are glibc's own, 32 to 34 are musl's. They come to us ignored where glibc's posix_spawn, by
# which make starts us, or musl itself has done so, and nobody can change that.
OF_THE_C_LIBRARY = sum(1 << number - 1 for number in set(range(32, 65)) - signal.valid_signals())


def directus_is(deployment: Deployment, *argv: str) -> Deployment:
    """Run something else in Directus' place."""
    deployment.environ["SUPERVISOR_COMMAND"] = shlex.join(argv)
    return deployment


def lines(process: Supervised, name: str = "directus") -> list[str]:
    return [str(record["message"]) for record in process.of("process.output", process=name)]


def action(process: Supervised, number: signal.Signals) -> str:
    """Send a signal; what the log says will follow from it."""
    process.signal(number)
    return str(process.wait_for("signal.received", signal=number.name)["action"])


def readyz(process: Supervised) -> int:
    port = process.wait_for("health.listening")["port"]
    return httpx.get(f"http://127.0.0.1:{port}/readyz", trust_env=False).status_code


def of_directus(report: Record) -> Record:
    (directus,) = (entry for entry in report["processes"] if entry["process"] == "directus")
    assert isinstance(directus, dict)
    return directus


def test_int_ends_directus_by_term_and_the_run_with_0(deployment: Deployment) -> None:
    with deployment.start("run") as process:
        process.wait_for("process.ready")
        assert action(process, signal.SIGINT) == "stop"
        process.expect_exit(0)
    assert process.of("process.exited", process="directus", signal="SIGTERM", expected=True)
    assert not process.of("process.killed")


def test_quit_logs_the_whole_state_and_then_stops(deployment: Deployment) -> None:
    with deployment.start("run") as process:
        pid = process.wait_for("process.started", process="directus")["pid"]
        process.wait_for("process.ready")
        process.signal(signal.SIGQUIT)
        process.expect_exit(0)
    (report,) = process.of("state.report")
    assert report["state"] == "ready"
    assert report["memory_mb"] > 0
    assert all(" in " in task for task in report["tasks"])
    assert len(report["tasks"]) > 1
    directus = of_directus(report)
    assert directus["pid"] == pid
    assert directus["memory_mb"] > 0
    stopping = process.of("state.changed", state="stopping")
    assert process.records.index(report) < process.records.index(stopping[0])


def test_usr1_logs_the_state_and_changes_nothing(deployment: Deployment) -> None:
    deployment.environ["SUPERVISOR_STOP_TIMEOUT_S"] = "0.5"
    with directus_is(deployment, *PRINT_SIGNALS).start("run") as process:
        eventually(lambda: bool(lines(process)))
        process.signal(signal.SIGUSR1)
        report = process.wait_for("state.report")
        assert report["state"] == "launching"
        assert f"ready {of_directus(report)['pid']}" in lines(process)
        process.signal(signal.SIGUSR2)
        eventually(lambda: str(signal.SIGUSR2.value) in lines(process))
    assert str(signal.SIGUSR1.value) not in lines(process)


def test_usr1_in_the_boot_names_the_phase(deployment: Deployment) -> None:
    deployment.environ["STAND_IN_BOOTSTRAP"] = "hang"
    with deployment.start("run") as process:
        process.wait_for("process.output", message="hanging")
        process.signal(signal.SIGUSR1)
        report = process.wait_for("state.report")
        assert (report["state"], report["phase"]) == ("migrating", "bootstrap")
        process.signal(signal.SIGTERM)
        process.expect_exit(0)


def test_usr2_reaches_the_whole_group_of_directus(deployment: Deployment) -> None:
    script = f"{shlex.join(PRINT_SIGNALS)} younger & exec {shlex.join(PRINT_SIGNALS)} older"
    deployment.environ["SUPERVISOR_STOP_TIMEOUT_S"] = "0.5"
    with directus_is(deployment, "/bin/sh", "-c", script).start("run") as process:
        eventually(lambda: len(lines(process)) == 2)
        assert action(process, signal.SIGUSR2) == "forwarded to directus"
        eventually(lambda: {"12 younger", "12 older"} <= set(lines(process)))


def test_usr2_without_a_directus_is_ignored(deployment: Deployment) -> None:
    deployment.environ["STAND_IN_BOOTSTRAP"] = "hang"
    with deployment.start("run") as process:
        process.wait_for("process.output", message="hanging")
        assert action(process, signal.SIGUSR2) == "ignored: directus does not run"
        process.signal(signal.SIGTERM)
        process.expect_exit(0)
    assert process.of("process.exited", process="bootstrap", signal="SIGTERM")


def test_hup_restarts_directus_in_good_order_and_costs_nothing_of_the_budget(deployment: Deployment) -> None:
    deployment.environ["SUPERVISOR_RESTART_LIMIT"] = "0"
    with deployment.start("run") as process:
        process.wait_for("process.ready")
        for times in (2, 3):
            process.signal(signal.SIGHUP)
            eventually(lambda times=times: len(process.of("process.ready")) == times)  # type: ignore[misc]
            assert readyz(process) == 200
        process.signal(signal.SIGUSR1)
        assert of_directus(process.wait_for("state.report"))["restarts"] == 0
        process.signal(signal.SIGTERM)
        process.expect_exit(0)
    assert len({record["pid"] for record in process.of("process.ready")}) == 3
    assert len(process.of("process.exited", process="directus", signal="SIGTERM", expected=True)) == 3
    assert [record["cause"] for record in process.of("process.restarting")] == ["reload", "reload"]
    assert not process.of("incident")


def test_hup_while_directus_is_starting_starts_it_anew(deployment: Deployment) -> None:
    mark = deployment.folder / "mark"
    deployment.environ |= {"STAND_IN": "serve-when-marked", "STAND_IN_MARK": str(mark)}
    with deployment.start("run") as process:
        first = process.wait_for("process.started", process="directus")["pid"]
        process.signal(signal.SIGHUP)
        process.wait_for("process.exited", process="directus", pid=first)
        mark.touch()
        assert process.wait_for("process.ready")["pid"] != first


def test_hup_in_the_backoff_ends_it(deployment: Deployment) -> None:
    deployment.environ |= {"STAND_IN": "die-once", "STAND_IN_MARK": str(deployment.folder / "mark")}
    deployment.environ |= {"SUPERVISOR_RESTART_BACKOFF_S": "600", "SUPERVISOR_RESTART_BACKOFF_MAX_S": "600"}
    with deployment.start("run") as process:
        process.wait_for("process.restarting")
        process.signal(signal.SIGHUP)
        process.wait_for("process.ready", timeout_s=20)


def test_hup_is_never_passed_on(deployment: Deployment) -> None:
    deployment.environ["SUPERVISOR_STOP_TIMEOUT_S"] = "0.5"
    with directus_is(deployment, *PRINT_SIGNALS).start("run") as process:
        eventually(lambda: bool(lines(process)))
        process.signal(signal.SIGHUP)
        eventually(lambda: len(process.of("process.started", process="directus")) == 2)
        process.signal(signal.SIGTERM)
        process.expect_exit(0)
    heard = {line for line in lines(process) if line.isdecimal()}
    assert heard == {str(signal.SIGTERM.value), str(signal.SIGCONT.value)}


def test_hup_while_booting_is_ignored(deployment: Deployment) -> None:
    deployment.environ["STAND_IN_BOOTSTRAP"] = "hang"
    with deployment.start("run") as process:
        process.wait_for("process.output", message="hanging")
        assert action(process, signal.SIGHUP) == "ignored: migrating, there is nothing to reload"
        process.signal(signal.SIGTERM)
        process.expect_exit(0)
    assert process.of("process.exited", process="bootstrap", signal="SIGTERM")


def test_hup_while_stopping_is_ignored(deployment: Deployment) -> None:
    deployment.environ |= {"STAND_IN": "ignore-term", "SUPERVISOR_STOP_TIMEOUT_S": "1"}
    with deployment.start("run") as process:
        process.wait_for("process.ready")
        process.signal(signal.SIGTERM)
        process.wait_for("process.output", message="no")
        assert action(process, signal.SIGHUP) == "ignored: stopping, there is nothing to reload"
        process.expect_exit(0)
    assert len(process.of("process.started", process="directus")) == 1


@pytest.mark.parametrize(("number", "status"), [(signal.SIGHUP, None), (signal.SIGINT, 128 + signal.SIGINT)])
def test_a_migration_heeds_stop_signals_alone(
    deployment: Deployment, number: signal.Signals, status: int | None
) -> None:
    deployment.environ["STAND_IN_BOOTSTRAP"] = "hang"
    with deployment.start("migrate") as process:
        process.wait_for("process.output", message="hanging")
        action(process, number)
        if status is None:
            process.signal(signal.SIGTERM)
        process.expect_exit(status or 128 + signal.SIGTERM)


def test_children_get_the_default_signals_and_no_descriptor_of_ours(deployment: Deployment) -> None:
    description = json.dumps(list(DESCRIBE))
    deployment.folder.joinpath("supervisor.yaml").write_text(
        f"""
        processes: [{{name: beside, command: {description}, restart_never_statuses: "0"}}]
        steps: [{{name: before, before: bootstrap, command: {description}}}]
        """,
        encoding="utf-8",
    )
    # What a careless parent hands down: an open descriptor, ignored and blocked signals.
    prefix = ("/bin/sh", "-c", 'exec 9</etc/passwd; exec "$@"', "sh", *WITH_SIGNALS, "1,2,3,15", "10,12,15,17")
    # It stays, so that the side process has the time to be described.
    script = f"{shlex.join(DESCRIBE)}; exec sleep 600"
    with directus_is(deployment, "/bin/sh", "-c", script).start("run", prefix=prefix) as process:
        names = ("before", "beside", "directus")
        for name in names:
            process.wait_for("process.output", process=name)
        process.signal(signal.SIGTERM)
        process.expect_exit(0)
    for name in names:
        described = json.loads(lines(process, name)[0])
        assert (int(described["blocked"], 16), described["ignored"] & ~OF_THE_C_LIBRARY) == (0, 0), name
        assert "9" not in described["descriptors"], name
        # The standard streams, and Directus' Node channel.
        assert len(described["descriptors"]) == (4 if name == "directus" else 3), name


def test_a_step_of_directus_shares_no_socket_with_us(deployment: Deployment) -> None:
    deployment.environ["STAND_IN_BOOTSTRAP"] = "hang"
    with deployment.start("run") as process:
        process.wait_for("process.output", message="hanging")
        step = process.wait_for("directus.step", step="bootstrap")["pid"]
        # The session to Postgres and the health port, at least.
        assert len(sockets(process.process.pid)) >= 2
        assert not sockets(process.process.pid) & sockets(step)
        status = Path(f"/proc/{step}/status").read_text()
        assert int(field(status, "SigBlk"), 16) == 0
        # Node.js itself ignores these two.
        ignored_by_node = 1 << (signal.SIGPIPE - 1) | 1 << (signal.SIGXFSZ - 1)
        assert int(field(status, "SigIgn"), 16) & ~ignored_by_node & ~OF_THE_C_LIBRARY == 0
        process.signal(signal.SIGTERM)
        process.expect_exit(0)


def sockets(pid: int) -> set[str]:
    found = set()
    for path in Path(f"/proc/{pid}/fd").iterdir():
        try:
            found.add(str(path.readlink()))
        except OSError:
            continue
    return {target for target in found if target.startswith("socket:")}


def field(status: str, name: str) -> str:
    return next(line.split(":\t")[1] for line in status.splitlines() if line.startswith(f"{name}:"))


def test_an_idle_supervisor_sleeps(deployment: Deployment) -> None:
    deployment.environ["SUPERVISOR_WATCH_FAILURES"] = "0"
    with deployment.start("run") as process:
        process.wait_for("process.ready")
        process.wait_for("state.changed", state="ready")
        # It is a span of time that is measured here: these sleeps order nothing.
        time.sleep(SETTLE_S)
        before = wakeups(process.process.pid)
        time.sleep(IDLE_S)
        assert wakeups(process.process.pid) - before <= 2
        assert readyz(process) == 200


def wakeups(pid: int) -> int:
    """How often the threads of a process went to sleep."""
    statuses = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/status")]
    return sum(int(field(status, "voluntary_ctxt_switches")) for status in statuses)
