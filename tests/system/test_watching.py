"""A ready Directus is watched: whether it answers, how much memory it takes, and whether the kernel killed it."""

from __future__ import annotations

import os
import re
import signal
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness import Deployment, Supervised, eventually, is_gone

OFTEN = {"SUPERVISOR_WATCH_INTERVAL_S": "0.05", "SUPERVISOR_RESTART_BACKOFF_S": "0.01"}
LIMIT_BYTES = 400_000_000
CGROUPS = Path("/sys/fs/cgroup")


def looks(process: Supervised) -> list[str]:
    """What became of each look, as the stand-in tells it."""
    said = [str(record.get("message")) for record in process.of("process.output")]
    return [match[1] for line in said if (match := re.fullmatch(r"look: (\w+), pending: \d+", line))]


def test_a_directus_that_stops_answering_is_stopped_and_started_again(deployment: Deployment) -> None:
    deployment.environ |= {
        **OFTEN,
        "STAND_IN": "answer-as-told",
        "STAND_IN_PINGS": "200 hang",
        "SUPERVISOR_WATCH_FAILURES": "1",
    }
    with deployment.start("run") as process:
        first = process.wait_for("process.ready")["pid"]
        restarting = process.wait_for("process.restarting")
        assert restarting["reason"] == "hangs: it did not answer a look at it"
        assert is_gone(first)
        eventually(lambda: len(process.of("process.ready")) == 2)
        assert process.of("state.changed", before="ready", state="restarting")
    assert len(process.of("process.silent", pid=first)) == 1
    pending = [record["message"] for record in process.of("process.output") if "pending: " in record["message"]]
    assert all(line.endswith("pending: 1") for line in pending), "a look began while another was pending"


def test_an_answer_resets_the_count(deployment: Deployment) -> None:
    deployment.environ |= {
        **OFTEN,
        "STAND_IN": "answer-as-told",
        "STAND_IN_PINGS": "drop drop 200 drop drop 200 drop drop drop",
        "SUPERVISOR_WATCH_FAILURES": "3",
    }
    with deployment.start("run") as process:
        pid = process.wait_for("process.ready")["pid"]
        assert process.wait_for("process.restarting")["reason"] == "hangs: it did not answer 3 times in a row"
    assert [record["failed"] for record in process.of("process.silent", pid=pid)] == [1, 2, 1, 2, 1, 2, 3]


def test_a_busy_directus_is_alive(deployment: Deployment) -> None:
    deployment.environ |= {
        **OFTEN,
        "STAND_IN": "answer-as-told",
        "STAND_IN_PINGS": "429 503 500 404 200",
        "SUPERVISOR_WATCH_FAILURES": "1",
    }
    with deployment.start("run") as process:
        process.wait_for("process.ready")
        eventually(lambda: len(looks(process)) > 5)
        assert looks(process)[:5] == ["429", "503", "500", "404", "200"]
        assert not process.of("process.silent")
        assert not process.of("process.restarting")


def test_a_directus_whose_port_nobody_knows_is_not_asked(deployment: Deployment) -> None:
    deployment.environ |= {**OFTEN, "PORT": "0", "SUPERVISOR_WATCH_FAILURES": "1", "SUPERVISOR_MEMORY_LIMIT_MB": "9000"}
    with deployment.start("run") as process:
        pid = process.wait_for("process.ready")["pid"]
        # Nothing tells of looks that are not made: the reload comes after many of them.
        time.sleep(0.5)
        process.signal(signal.SIGHUP)
        eventually(lambda: is_gone(pid))
        assert not process.of("process.silent")


def test_a_stop_of_the_supervisor_itself_condemns_nobody(deployment: Deployment) -> None:
    deployment.environ |= {
        **OFTEN,
        "STAND_IN": "answer-as-told",
        "STAND_IN_PINGS": "hang 200",
        "SUPERVISOR_WATCH_FAILURES": "1",
    }
    with deployment.start("run") as process:
        process.wait_for("process.output", message="look: hang, pending: 1")
        process.signal(signal.SIGSTOP)
        # Longer than a look may take: when it goes on, the time for the answer is over.
        time.sleep(6)
        process.signal(signal.SIGCONT)
        eventually(lambda: looks(process).count("200") > 2)
        assert not process.of("process.silent")
        assert not process.of("process.restarting")


def test_memory_above_the_limit_ends_directus_in_good_order(deployment: Deployment) -> None:
    deployment.environ |= {
        **OFTEN,
        "STAND_IN": "eat-once",
        "STAND_IN_MARK": str(deployment.folder / "mark"),
        "STAND_IN_MEGABYTES": "400",
        "SUPERVISOR_MEMORY_LIMIT_MB": "300",
        "SUPERVISOR_WATCH_FAILURES": "0",
    }
    with deployment.start("run") as process:
        pid = process.wait_for("process.ready")["pid"]
        restarting = process.wait_for("process.restarting")
        assert re.fullmatch(r"uses \d{3} MB, more than the limit of 300 MB", restarting["reason"])
        assert restarting["oom"] is False
        eventually(lambda: len(process.of("process.ready")) == 2)
    assert process.of("process.exited", pid=pid, signal="SIGTERM", expected=True)
    assert process.of("process.output", message="Shutting down...")


@pytest.fixture
def limited_group() -> Iterator[Path]:
    """A control group with little memory, to be joined; a test that needs it is skipped where none can be made."""
    own = Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    group = None
    for line in own:
        _, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(","):
            group, limit = CGROUPS / "memory" / path.lstrip("/"), "memory.limit_in_bytes"
        elif not controllers and group is None:
            group, limit = CGROUPS / path.lstrip("/"), "memory.max"
    if group is None:
        pytest.skip("this machine has no memory control groups")
    group /= f"test_{uuid.uuid4().hex[:12]}"
    try:
        group.mkdir()
    except OSError as error:
        pytest.skip(f"no control group can be made here: {error.strerror}")
    try:
        (group / limit).write_text(str(LIMIT_BYTES))
    except OSError as error:
        group.rmdir()
        pytest.skip(f"no memory control group can be made here: {error.strerror}")
    yield group
    Supervised.end_all()
    eventually(lambda: not (group / "cgroup.procs").read_text().split())
    group.rmdir()


def joining(group: Path) -> tuple[str, ...]:
    """What starts a command within a control group."""
    return ("/bin/sh", "-c", 'echo $$ > "$0/cgroup.procs" && exec "$@"', str(group))


def test_a_kill_by_the_kernel_for_want_of_memory_is_told_as_such(deployment: Deployment, limited_group: Path) -> None:
    deployment.environ |= {
        **OFTEN,
        "STAND_IN": "eat-once",
        "STAND_IN_MARK": str(deployment.folder / "mark"),
        "STAND_IN_MEGABYTES": "2000",
        "SUPERVISOR_WATCH_FAILURES": "0",
    }
    with deployment.start("run", prefix=joining(limited_group)) as process:
        process.wait_for("process.ready")
        by_the_kernel = process.wait_for("process.restarting", restart=1)
        assert (by_the_kernel["oom"], by_the_kernel["cause"]) == (True, "out_of_memory")
        (incident,) = process.of("incident", code="process.out_of_memory")
        assert (incident["oom"], incident["signal"]) == (True, "SIGKILL")
        assert by_the_kernel["reason"] == "ended with signal SIGKILL, killed by the kernel for want of memory"
        eventually(lambda: len(process.of("process.ready")) == 2)
        os.kill(process.of("process.ready")[1]["pid"], signal.SIGKILL)
        by_somebody = process.wait_for("process.restarting", restart=2)
        assert (by_somebody["oom"], by_somebody["cause"]) == (False, "signal")
        assert [record["code"] for record in process.of("incident")] == ["process.out_of_memory", "process.signal"]
        assert by_somebody["reason"] == "ended with signal SIGKILL"


@pytest.mark.directus
def test_the_real_directus_is_watched_without_a_trace_in_its_log_and_restarted_when_it_hangs(
    bootstrapped_rally: Deployment,
) -> None:
    bootstrapped_rally.without_schema().environ |= {
        **OFTEN,
        "SUPERVISOR_WATCH_FAILURES": "1",
        "SUPERVISOR_STOP_TIMEOUT_S": "1",
        "LOG_LEVEL": "info",
    }
    with bootstrapped_rally.start("run") as process:
        pid = process.wait_for("process.ready")["pid"]
        time.sleep(1)
        assert not process.of("process.silent")
        os.kill(pid, signal.SIGSTOP)
        restarting = process.wait_for("process.restarting")
        assert restarting["reason"] == "hangs: it did not answer a look at it"
        assert is_gone(pid)
        process.signal(signal.SIGTERM)
        process.expect_exit(0)
    assert not [record for record in process.of("process.output") if "/server/ping" in str(record)]
