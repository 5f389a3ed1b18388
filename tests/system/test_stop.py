"""The stop of `run`: at once not ready, orderly, bounded whatever the processes do, and never longer than they need."""

from __future__ import annotations

import os
import re
import shlex
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from tests.harness import Deployment, Record, Supervised, children, eventually, is_gone

PROGRAMS = Path(__file__).parents[1] / "programs"
PYTHON = (sys.executable, "-I", "-S")
NAMESPACE = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")
# What a stop may take that waits for nothing, on a busy machine.
PROMPT_S = 10.0
FOR_EVER_S = "600"


def family(deployment: Deployment, kind: str, *, stop_timeout_s: str = FOR_EVER_S) -> Deployment:
    """Run a process with such descendants in Directus' place."""
    deployment.environ["SUPERVISOR_COMMAND"] = shlex.join([*PYTHON, str(PROGRAMS / "family.py"), kind])
    deployment.environ["SUPERVISOR_STOP_TIMEOUT_S"] = stop_timeout_s
    return deployment


def pid_of(process: Supervised, word: str) -> int:
    """The pid that a member of the family told with this word."""
    found: list[str] = []

    def told() -> bool:
        for record in process.of("process.output"):
            found.extend(re.findall(rf"^{word} (\d+)$", str(record["message"])))
        return bool(found)

    eventually(told, timeout_s=20)
    return int(found[0])


def directus(process: Supervised) -> int:
    """The pid of Directus once it is ready."""
    process.wait_for("state.changed", state="ready")
    return int(process.wait_for("process.ready")["pid"])


def stop(process: Supervised, timeout_s: float = PROMPT_S) -> None:
    process.signal(signal.SIGTERM)
    process.expect_exit(0, timeout_s)


def get(process: Supervised, path: str) -> int:
    port = process.wait_for("health.listening")["port"]
    return httpx.get(f"http://127.0.0.1:{port}{path}", trust_env=False).status_code


def killed(process: Supervised) -> list[int]:
    return [pid for record in process.of("process.killed") for pid in record["pids"]]


def is_stopped(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def at_one_moment(process: Supervised, *happenings: Callable[[], None]) -> None:
    """Let things happen of which the supervisor learns all at once."""
    process.signal(signal.SIGSTOP)
    eventually(lambda: is_stopped(process.process.pid))
    for happening in happenings:
        happening()
    process.signal(signal.SIGCONT)


def death_of(pid: int) -> Callable[[], None]:
    def die() -> None:
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: is_gone(pid))

    return die


# Not ready, and the drain


def test_a_stop_makes_it_not_ready_at_once(deployment: Deployment) -> None:
    deployment.environ |= {"STAND_IN": "ignore-term", "SUPERVISOR_STOP_TIMEOUT_S": FOR_EVER_S}
    with deployment.start("run") as process:
        pid = directus(process)
        assert get(process, "/readyz") == 200
        process.signal(signal.SIGTERM)
        process.wait_for("process.output", message="no")
        assert get(process, "/readyz") == 503
        assert get(process, "/livez") == 200
        os.kill(pid, signal.SIGKILL)
        process.expect_exit(0)


def test_a_draining_directus_serves_on_and_gets_no_signal(deployment: Deployment) -> None:
    deployment.environ["SUPERVISOR_DRAIN_S"] = "1"
    with deployment.start("run") as process:
        pid = directus(process)
        began = time.monotonic()
        process.signal(signal.SIGTERM)
        process.wait_for("stop.draining", drain_s=1)
        assert get(process, "/readyz") == 503
        assert httpx.get(f"{deployment.url}/server/ping", trust_env=False).text == "pong"
        assert not is_gone(pid)
        assert not process.of("process.stopping")
        process.expect_exit(0)
        assert time.monotonic() - began >= 1
    assert process.of("process.exited", process="directus", signal="SIGTERM", expected=True)
    assert not process.of("process.killed")


def test_a_directus_that_dies_while_draining_ends_the_drain(deployment: Deployment) -> None:
    deployment.environ |= {"SUPERVISOR_DRAIN_S": FOR_EVER_S, "SUPERVISOR_RESTART_LIMIT": "0"}
    with deployment.start("run") as process:
        pid = directus(process)
        process.signal(signal.SIGTERM)
        process.wait_for("stop.draining")
        os.kill(pid, signal.SIGKILL)
        process.expect_exit(0, PROMPT_S)
    assert len(process.of("process.started", process="directus")) == 1


def test_a_second_signal_ends_the_drain_at_once(deployment: Deployment) -> None:
    deployment.environ |= {"STAND_IN": "ignore-term", "SUPERVISOR_STOP_TIMEOUT_S": FOR_EVER_S}
    deployment.environ["SUPERVISOR_DRAIN_S"] = FOR_EVER_S
    with deployment.start("run") as process:
        pid = directus(process)
        process.signal(signal.SIGTERM)
        process.wait_for("stop.draining")
        process.signal(signal.SIGINT)
        process.expect_exit(0, PROMPT_S)
    assert killed(process) == [pid]


def test_a_directus_that_is_not_ready_is_not_drained(deployment: Deployment) -> None:
    deployment.environ |= {"STAND_IN": "never-ready", "SUPERVISOR_DRAIN_S": FOR_EVER_S}
    with deployment.start("run") as process:
        process.wait_for("process.started", process="directus")
        stop(process)
    assert not process.of("stop.draining")


# Processes that do not go


def test_a_grandchild_that_ignores_term_is_killed_and_named(deployment: Deployment) -> None:
    with family(deployment, "deaf", stop_timeout_s="0.5").start("run") as process:
        directus(process)
        deaf = pid_of(process, "deaf")
        stop(process)
        assert is_gone(deaf)
    assert pid_of(process, "heard") == deaf
    assert killed(process) == [deaf]


def test_a_second_signal_does_not_wait_for_a_grandchild(deployment: Deployment) -> None:
    with family(deployment, "deaf").start("run") as process:
        pid = directus(process)
        deaf = pid_of(process, "deaf")
        process.signal(signal.SIGTERM)
        pid_of(process, "heard")
        eventually(lambda: is_gone(pid))
        stop(process)
        assert is_gone(deaf)
    assert killed(process) == [deaf]


def test_a_child_that_is_forked_during_the_stop_is_ended_too(deployment: Deployment) -> None:
    with family(deployment, "forking", stop_timeout_s="0.5").start("run") as process:
        directus(process)
        stop(process)
        forked = pid_of(process, "forked")
        assert is_gone(forked)
    assert killed(process) == [forked]


@pytest.mark.parametrize("where", ["group", "session"])
def test_a_process_that_forks_away_without_end_is_ended(deployment: Deployment, where: str) -> None:
    run_away = shlex.join([*PYTHON, str(PROGRAMS / "run_away.py"), where])
    deployment.environ |= {"SUPERVISOR_COMMAND": run_away, "SUPERVISOR_STOP_TIMEOUT_S": "0.5"}
    with deployment.start("run") as process:
        process.wait_for("process.output", message="ready")
        stop(process)
    for command in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            assert b"run_away.py" not in command.read_bytes()
    assert process.of("process.killed")


def test_a_halted_directus_ends_in_good_order(deployment: Deployment) -> None:
    deployment.environ["SUPERVISOR_STOP_TIMEOUT_S"] = FOR_EVER_S
    with deployment.start("run") as process:
        pid = directus(process)
        os.kill(pid, signal.SIGSTOP)
        eventually(lambda: is_stopped(pid))
        stop(process)
    assert process.of("process.exited", process="directus", signal="SIGTERM", expected=True)


@pytest.mark.parametrize("kind", ["slow", "generations", "careless"])
def test_a_stop_takes_no_longer_than_the_last_process_needs(deployment: Deployment, kind: str) -> None:
    with family(deployment, kind).start("run") as process:
        directus(process)
        last = pid_of(process, "slow" if kind == "slow" else "younger")
        if kind != "slow":
            pid_of(process, "older")
        stop(process)
        assert is_gone(last)
    assert killed(process) == []
    assert kind != "slow" or pid_of(process, "ended") == last


# Processes that cannot even be killed


class Freezer:
    """A group of processes that are frozen: not even SIGKILL ends one, as in uninterruptible sleep."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def freeze(self, pid: int) -> None:
        self._folder.joinpath("cgroup.procs").write_text(str(pid))
        self._folder.joinpath("freezer.state").write_text("FROZEN")
        eventually(lambda: self._folder.joinpath("freezer.state").read_text().strip() == "FROZEN")

    def remove(self) -> None:
        pids = [int(pid) for pid in self._folder.joinpath("cgroup.procs").read_text().split()]
        self._folder.joinpath("freezer.state").write_text("THAWED")
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        eventually(lambda: not self._folder.joinpath("cgroup.procs").read_text())
        self._folder.rmdir()


@pytest.fixture
def freezer(tmp_path: Path) -> Iterator[Freezer]:
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    hierarchy = next((point for _, point, kind, options, *_ in mounts if kind == "cgroup" and "freezer" in options), "")
    if not hierarchy:
        # In the second version of cgroups a frozen process can be killed.
        pytest.skip("there is no freezer of the first version of cgroups here")
    folder = Path(hierarchy) / f"test-{os.getpid()}-{tmp_path.name}"
    try:
        folder.mkdir()
    except OSError as error:
        pytest.skip(f"no freezer group can be made here: {error}")
    group = Freezer(folder)
    yield group
    group.remove()


def test_a_directus_that_cannot_be_killed_is_left_behind(deployment: Deployment, freezer: Freezer) -> None:
    with family(deployment, "alone", stop_timeout_s="0.5").start("run") as process:
        pid = directus(process)
        freezer.freeze(pid)
        stop(process, timeout_s=12)
        assert not is_gone(pid)
    assert killed(process) == [pid]
    assert [record["pids"] for record in process.of("process.stuck", process="directus")] == [[pid]]


def test_a_grandchild_that_cannot_be_killed_is_left_behind(deployment: Deployment, freezer: Freezer) -> None:
    with family(deployment, "deaf", stop_timeout_s="0.5").start("run") as process:
        directus(process)
        deaf = pid_of(process, "deaf")
        freezer.freeze(deaf)
        # The timeout, and 5 s for SIGKILL: as an orphan it is not waited for once more.
        stop(process, timeout_s=10)
        assert not is_gone(deaf)
    assert [record["pids"] for record in process.of("process.stuck")] == [[deaf]]
    assert process.of("process.exited", process="directus", signal="SIGTERM", expected=True)


# Ends that cross the stop


def test_a_directus_that_dies_at_the_moment_of_the_stop_is_no_failure(deployment: Deployment) -> None:
    deployment.environ["SUPERVISOR_RESTART_LIMIT"] = "0"
    with deployment.start("run") as process:
        at_one_moment(process, death_of(directus(process)), lambda: process.signal(signal.SIGTERM))
        process.expect_exit(0, PROMPT_S)
    assert len(process.of("process.started", process="directus")) == 1
    assert not process.of("supervisor.failed")


def test_a_step_that_dies_at_the_moment_of_the_stop_is_no_failure(deployment: Deployment) -> None:
    deployment.environ["STAND_IN_BOOTSTRAP"] = "hang"
    with deployment.start("run") as process:
        process.wait_for("process.output", message="hanging")
        step = process.wait_for("directus.step", step="bootstrap")["pid"]
        at_one_moment(process, death_of(step), lambda: process.signal(signal.SIGTERM))
        process.expect_exit(0, PROMPT_S)
    assert not process.of("supervisor.failed")


@pytest.mark.parametrize(("command", "status"), [("run", 0), ("migrate", 128 + signal.SIGTERM)])
def test_a_failure_that_comes_after_the_stop_is_told_but_ends_nothing(
    deployment: Deployment, command: str, status: int
) -> None:
    failing = [*PYTHON, str(PROGRAMS / "family.py"), "failing"]
    text = f"steps: [{{name: warm, before: bootstrap, command: {failing}}}]"
    deployment.folder.joinpath("supervisor.yaml").write_text(text, encoding="utf-8")
    deployment.environ["SUPERVISOR_STOP_TIMEOUT_S"] = "1"
    with deployment.start(command) as process:
        # The step has failed, and its grandchild is being ended.
        pid_of(process, "heard")
        process.signal(signal.SIGTERM)
        process.expect_exit(status, PROMPT_S)
    assert process.of("stop.outran_failure", code="step.failed")
    assert not process.of("supervisor.failed")


def test_a_stop_during_a_reload_is_a_stop(deployment: Deployment) -> None:
    deployment.environ |= {"STAND_IN": "ignore-term", "SUPERVISOR_STOP_TIMEOUT_S": "1"}
    with deployment.start("run") as process:
        directus(process)
        process.signal(signal.SIGHUP)
        process.wait_for("process.output", message="no")
        stop(process)
    assert len(process.of("process.started", process="directus")) == 1


@pytest.mark.parametrize(
    ("behaviour", "settings"),
    [
        ("answer-as-told-without-a-word", {}),
        ("answer-as-told", {"SUPERVISOR_WATCH_INTERVAL_S": "0.1"}),
    ],
    ids=["of readiness", "of a ready one"],
)
def test_a_stop_within_a_probe_does_not_wait_for_the_answer(
    deployment: Deployment, behaviour: str, settings: dict[str, str]
) -> None:
    deployment.environ |= {"STAND_IN": behaviour, "STAND_IN_PINGS": "hang", **settings}
    with deployment.start("run") as process:
        process.wait_for("process.output", message="look: hang, pending: 1")
        began = time.monotonic()
        stop(process)
        # The probe itself would wait for 2 s and more.
        assert time.monotonic() - began < 1.5
    assert process.of("process.exited", process="directus", signal="SIGTERM", expected=True)


def test_a_death_by_a_signal_without_a_name_is_understood(deployment: Deployment) -> None:
    deployment.environ["SUPERVISOR_RESTART_BACKOFF_S"] = "0"
    with deployment.start("run") as process:
        os.kill(directus(process), signal.SIGRTMIN + 1)
        process.wait_for("process.exited", process="directus", signal="SIGRTMIN+1", expected=False)
        eventually(lambda: len(process.of("process.ready")) == 2)
        stop(process)


# Orphans in numbers


@pytest.mark.pidns
def test_ten_thousand_orphans_are_reaped_while_directus_serves(deployment: Deployment) -> None:
    maker = [*PYTHON, str(PROGRAMS / "make_orphans.py"), "10000", "reaped"]
    text = f"processes: [{{name: maker, command: {maker}, restart_never_statuses: '0', restart_limit: 0}}]"
    deployment.folder.joinpath("supervisor.yaml").write_text(text, encoding="utf-8")
    with deployment.start("run", prefix=NAMESPACE) as process:
        process.wait_for("state.changed", state="ready")
        supervisor = children(process.process.pid)[0]
        slowest_s = 0.0
        while not process.of("process.exited", process="maker"):
            began = time.monotonic()
            assert get(process, "/readyz") == 200
            slowest_s = max(slowest_s, time.monotonic() - began)
        assert process.of("process.output", process="maker", message="reaped")
        assert len(children(supervisor)) == 1
        assert len(process.of("orphan.reaped")) >= 10_000
        assert slowest_s < 2
        os.kill(supervisor, signal.SIGUSR1)
        report: Record = process.wait_for("state.report")
        assert report["memory_mb"] < 120
        os.kill(supervisor, signal.SIGTERM)
        process.expect_exit(0, PROMPT_S)
    assert len(process.of("state.changed", state="ready")) == 1
