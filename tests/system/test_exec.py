"""`exec -- CMD`: a transparent init, tried as a subreaper and as PID 1 of a real PID namespace.

What the test suites of tini and dumb-init try is tried here, too, and what those two leave open.
"""

from __future__ import annotations

import json
import os
import pty
import select
import shlex
import shutil
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO

import pytest

from supervisor.errors import ExitCode
from supervisor.process import execute, transparent
from supervisor.settings import SPECS
from tests import harness

PROGRAMS = Path(__file__).parents[1] / "programs"
PYTHON = (sys.executable, "-I", "-S")
PRINT_SIGNALS = (*PYTHON, str(PROGRAMS / "print_signals.py"))
KILL_ITSELF = (*PYTHON, str(PROGRAMS / "kill_itself.py"))
MAKE_ORPHANS = (*PYTHON, str(PROGRAMS / "make_orphans.py"))
RUN_AWAY = (*PYTHON, str(PROGRAMS / "run_away.py"))
EXEC = (sys.executable, "-m", "supervisor", "exec", "--")
NAMESPACE = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")
FORWARDED = sorted(signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD})
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
LIMIT_S = 60.0


class Started:
    """A started command, of which everything is ended after the test."""

    def __init__(self, process: subprocess.Popen[bytes], init: int) -> None:
        self.process = process
        self.init = init
        self.waiting = b""

    @property
    def output(self) -> IO[bytes]:
        assert self.process.stdout is not None
        return self.process.stdout

    def line(self) -> str:
        """The next line of its output."""
        deadline = time.monotonic() + LIMIT_S
        while b"\n" not in self.waiting:
            assert select.select([self.output], [], [], max(0.0, deadline - time.monotonic()))[0], "no line came"
            read = os.read(self.output.fileno(), 65536)
            assert read, f"the output ended after {self.waiting!r}"
            self.waiting += read
        line, _, self.waiting = self.waiting.partition(b"\n")
        return line.decode()

    def pid(self) -> int:
        """The pid that `ready PID` names; its own namespace's."""
        return int(self.line().split()[1])

    def signal(self, number: int) -> None:
        """Send a signal to the init alone."""
        assert self.init > 1, "it has ended already"
        os.kill(self.init, number)

    def status(self, timeout_s: float = LIMIT_S) -> int:
        """Wait for its end."""
        return self.process.wait(timeout_s)


Start = Callable[..., Started]


def spawn(argv: tuple[str, ...], **options: object) -> subprocess.Popen[bytes]:
    defaults: dict[str, object] = {
        "stdin": subprocess.DEVNULL,
        "stdout": subprocess.PIPE,
        "stderr": subprocess.STDOUT,
        "env": ENVIRONMENT,
        "start_new_session": True,
    }
    return subprocess.Popen(argv, **{**defaults, **options})  # type: ignore[call-overload,no-any-return]


def of_process(pid: int) -> tuple[str, int, int]:
    """State, parent and group of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    return fields[0], int(fields[1]), int(fields[2])


def eventually(condition: Callable[[], bool]) -> None:
    harness.eventually(condition, LIMIT_S)


def is_alive(pid: int) -> bool:
    try:
        return of_process(pid)[0] not in {"Z", "X"}
    except OSError:
        return False


def children_of(parent: int) -> list[int]:
    found = []
    for path in Path("/proc").iterdir():
        if path.name.isdecimal():
            with suppress(OSError):
                if of_process(int(path.name))[1] == parent:
                    found.append(int(path.name))
    return found


def descendants_of(parent: int) -> list[int]:
    return [pid for child in children_of(parent) for pid in (child, *descendants_of(child))]


def holds_signals(pid: int) -> bool:
    """Whether the init has come to where it blocks every signal; what it waits for does not show as blocked."""
    status = Path(f"/proc/{pid}/status").read_text()
    blocked = next(line for line in status.splitlines() if line.startswith("SigBlk"))
    # unshare(1) blocks SIGINT and SIGTERM for a moment, too.
    return bool(int(blocked.split()[1], 16) & 1 << signal.SIGUSR1 - 1) or bool(children_of(pid))


@pytest.fixture
def started() -> Iterator[list[Started]]:
    everything: list[Started] = []
    yield everything
    for one in everything:
        for pid in (*descendants_of(one.process.pid), one.process.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        one.process.wait()
        if one.process.stdout is not None:
            one.process.stdout.close()
        if one.process.stdin is not None:
            with suppress(BrokenPipeError):
                one.process.stdin.close()


@pytest.fixture
def start(started: list[Started]) -> Start:
    """Start `exec -- CMD`; the init is a subreaper."""

    def start_it(*command: str, **options: object) -> Started:
        process = spawn((*EXEC, *command), **options)
        started.append(Started(process, process.pid))
        return started[-1]

    return start_it


@pytest.fixture
def start_as_pid_1(started: list[Started]) -> Start:
    """Start `exec -- CMD`; the init is PID 1 of a new PID namespace."""
    if not can_unshare():
        pytest.skip("no right to make a PID namespace")

    def start_it(*command: str, prefix: tuple[str, ...] = EXEC, **options: object) -> Started:
        process = spawn((*NAMESPACE, *prefix, *command), **options)
        one = Started(process, 0)
        started.append(one)
        eventually(lambda: process.poll() is not None or len(children_of(process.pid)) == 1)
        one.init = next(iter(children_of(process.pid)), 0)
        return one

    return start_it


def can_unshare() -> bool:
    return shutil.which("unshare") is not None and subprocess.run([*NAMESPACE, "true"], check=False).returncode == 0


@pytest.fixture(params=["subreaper", pytest.param("pid 1", marks=pytest.mark.pidns)])
def start_anywhere(request: pytest.FixtureRequest) -> Start:
    """Start `exec -- CMD` in both ways, one after the other."""
    found: Start = request.getfixturevalue("start" if request.param == "subreaper" else "start_as_pid_1")
    return found


# Statuses


def test_the_status_of_the_command_is_ours(start: Start) -> None:
    for batch in ([*range(20), 31, 32, 63, 64, 65], [77, 78, *range(124, 132), 137, 143, 192, 253, 254, 255]):
        running = {code: start("sh", "-c", f"exit {code}") for code in batch}
        assert {code: one.status() for code, one in running.items()} == {code: code for code in batch}


def test_a_command_that_a_signal_ended_gives_128_and_its_number(start: Start) -> None:
    # A C library keeps some for itself: glibc 32 and 33, musl 34 as well.
    fatal = sorted({*range(1, 17), 24, 25, 26, 27, 29, 30, 31, 34, 35, 63, 64} & signal.valid_signals())
    for batch in (fatal[:14], fatal[14:]):
        running = {number: start(*KILL_ITSELF, str(number)) for number in batch}
        assert {number: one.status() for number, one in running.items()} == {number: 128 + number for number in batch}


@pytest.mark.pidns
def test_pid_1_ends_with_the_status_of_the_command(start_as_pid_1: Start) -> None:
    assert start_as_pid_1("sh", "-c", "exit 42").status() == 42
    assert start_as_pid_1("sh", "-c", "kill -9 $$").status() == 137


def test_the_statuses_are_those_of_the_catalogue() -> None:
    assert ExitCode(execute.NOT_EXECUTABLE) is ExitCode.NOT_EXECUTABLE
    assert ExitCode(execute.NOT_FOUND) is ExitCode.NOT_FOUND
    assert ExitCode(transparent.CONFIG) is ExitCode.CONFIG
    assert ExitCode(transparent.BUG) is ExitCode.BUG


def test_a_parent_that_ignores_sigchld_does_not_cost_the_status(start: Start, started: list[Started]) -> None:
    process = spawn((*PYTHON, str(PROGRAMS / "with_signals.py"), "17", "-", *EXEC, "sh", "-c", "exit 5"))
    started.append(Started(process, process.pid))
    assert process.wait(LIMIT_S) == 5


# Programs that cannot be run


def script(path: Path, text: bytes, mode: int = 0o755) -> str:
    path.write_bytes(text)
    path.chmod(mode)
    return str(path)


@pytest.mark.parametrize(
    ("text", "mode", "status", "reason"),
    [
        (None, 0, 127, "does not exist"),
        (b"#!/bin/sh\n", 0o644, 126, "cannot be executed: Permission denied"),
        (b"#!/no/such/interpreter -x\n", 0o755, 127, "it needs /no/such/interpreter, which does not exist"),
        (b"#!/bin/sh\r\nexit 0\r\n", 0o755, 127, "has CR LF line endings"),
        (b"\x7fELF\0\0\0 not for this machine", 0o755, 126, "cannot be executed: Exec format error"),
    ],
)
def test_a_program_that_cannot_be_run_is_explained_in_one_line(
    start: Start, tmp_path: Path, text: bytes | None, mode: int, status: int, reason: str
) -> None:
    program = tmp_path / "program"
    if text is not None:
        script(program, text, mode)
    one = start(str(program))
    assert one.status() == status
    (line,) = one.output.read().decode().splitlines()
    assert line.startswith("directus-supervisor: ")
    assert str(program) in line
    assert reason in line


def test_a_program_for_another_c_library_is_explained(start: Start, tmp_path: Path) -> None:
    true = Path(shutil.which("true") or "/bin/true").read_bytes()
    loader = execute._elf_interpreter(true)
    assert loader
    program = script(
        tmp_path / "program", true.replace(loader, b"/lib/ld-other.so".ljust(len(loader), b"\0")[: len(loader)])
    )
    one = start(program)
    assert one.status() == 127
    assert b"it needs /lib/ld-other.so, which does not exist" in one.output.read()


def test_a_folder_is_not_executable_and_an_empty_name_is_not_found(start: Start, tmp_path: Path) -> None:
    one = start(str(tmp_path))
    assert one.status() == 126
    assert b"Is a directory" in one.output.read()
    assert start("").status() == 127


def test_a_text_without_an_interpreter_line_is_run_by_the_shell(start: Start, tmp_path: Path) -> None:
    program = script(tmp_path / "program", b"echo $0 $1; exit 3\n")
    one = start(program, "argument")
    assert one.line() == f"{program} argument"
    assert one.status() == 3


def test_path_is_searched_as_a_shell_does(start: Start, tmp_path: Path) -> None:
    for name in ("denied", "folder", "good"):
        (tmp_path / name).mkdir()
    script(tmp_path / "denied" / "tool", b"#!/bin/sh\nexit 1\n", 0o644)
    (tmp_path / "folder" / "tool").mkdir()
    script(tmp_path / "good" / "tool", b"#!/bin/sh\nexit 9\n")

    def run(*folders: str) -> int:
        path = ":".join(str(tmp_path / folder) for folder in folders)
        return start("tool", env={**ENVIRONMENT, "PATH": path}).status()

    assert run("none", "denied", "folder", "good") == 9
    assert run("denied", "none") == 126
    assert run("folder", "none") == 127
    assert run("none") == 127


def test_a_closed_stderr_does_not_change_the_status(start: Start) -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    one = start("/no/such/program", stderr=write_end)
    os.close(write_end)
    assert one.status() == 127


def test_wrong_usage_is_64(started: list[Started]) -> None:
    for arguments in (["exec"], ["exec", "--"], ["exec", "--no-such-option", "--", "true"]):
        found = subprocess.run([*EXEC[:3], *arguments], env=ENVIRONMENT, capture_output=True, check=False)
        assert found.returncode == 64
        assert b"--help" in found.stderr


def test_the_help_lists_exec() -> None:
    for arguments in (["--help"], ["exec", "--help"]):
        found = subprocess.run([*EXEC[:3], *arguments], env=ENVIRONMENT, capture_output=True, check=True)
        assert b"exec" in found.stdout
        assert b"transparent init" in found.stdout


# Signals


def test_every_signal_that_can_be_caught_is_forwarded(start_anywhere: Start) -> None:
    one = start_anywhere(*PRINT_SIGNALS, env={**ENVIRONMENT, "SUPERVISOR_STOP_TIMEOUT_S": "600"})
    one.pid()
    for number in FORWARDED:
        one.signal(number)
        assert one.line() == str(int(number))


def test_no_realtime_signal_of_a_burst_is_lost(start: Start) -> None:
    one = start(*PRINT_SIGNALS)
    one.pid()
    for _ in range(50):
        one.signal(signal.SIGRTMIN)
    assert [one.line() for _ in range(50)] == [str(int(signal.SIGRTMIN))] * 50


def test_the_whole_group_gets_the_signal(start: Start) -> None:
    printer = shlex.join(PRINT_SIGNALS)
    one = start("sh", "-c", f"trap '' USR1; {printer} a & {printer} b & wait")
    assert {one.line().split()[2] for _ in range(2)} == {"a", "b"}
    one.signal(signal.SIGUSR1)
    assert {one.line() for _ in range(2)} == {"10 a", "10 b"}


def test_a_command_that_has_left_its_group_gets_the_signal(start: Start) -> None:
    code = (
        "import os, sys, signal\nread, write = os.pipe()\npid = os.fork()\n"
        "if pid == 0:\n    os.setpgid(0, 0); os.write(write, b'x'); signal.pause()\n"
        "os.read(read, 1); os.setpgid(0, pid); os.execv(sys.argv[1], sys.argv[1:])"
    )
    one = start(*PYTHON, "-c", code, *PRINT_SIGNALS)
    one.pid()
    one.signal(signal.SIGUSR2)
    assert one.line() == "12"


def test_a_stop_reaches_a_pipeline_in_the_background(start: Start) -> None:
    one = start("sh", "-c", "yes | tail & yes | tail >&2 & echo ready; wait")
    one.line()
    eventually(lambda: len(descendants_of(one.init)) >= 5)
    everything = descendants_of(one.init)
    one.signal(signal.SIGTERM)
    assert one.status() == 143
    assert not [pid for pid in everything if is_alive(pid)]


def test_a_signal_is_not_lost_at_any_moment_of_the_start(start_anywhere: Start) -> None:
    """Before the fork, between fork and exec, and after: the command never gets away."""
    for delay_s in (0, 0, 0.001, 0.002, 0.003, 0.004, 0.005, 0.006, 0.008, 0.01, 0.015, 0.02, 0.03, 0.05, 0.2):
        one = start_anywhere("sleep", "100")
        eventually(lambda one=one: holds_signals(one.init))  # type: ignore[misc]
        time.sleep(delay_s)
        one.signal(signal.SIGTERM)
        assert one.status() == 143


@pytest.mark.pidns
def test_pid_1_needs_less_than_50_ms_of_a_core_to_start_its_command(start_as_pid_1: Start) -> None:
    """The kernel drops signals that come before; the clock on the wall says little on a busy machine."""
    spent_ns = []
    for _ in range(5):
        one = start_as_pid_1(*PRINT_SIGNALS)
        one.pid()
        spent_ns.append(int(Path(f"/proc/{one.init}/schedstat").read_text().split()[0]))
    assert 0 < min(spent_ns) < 50_000_000


def test_a_program_stopped_and_continued_by_name_is(start_anywhere: Start) -> None:
    for number in (signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU):
        one = start_anywhere("sleep", "100")
        eventually(lambda one=one: Path(f"/proc/{(children_of(one.init) or [1])[0]}/comm").read_text() == "sleep\n")  # type: ignore[misc]
        (child,) = children_of(one.init)
        one.signal(number)
        eventually(lambda child=child: of_process(child)[0] == "T")  # type: ignore[misc]
        is_pid_1 = one.init != one.process.pid
        eventually(lambda one=one, state="S" if is_pid_1 else "T": of_process(one.init)[0] == state)  # type: ignore[misc]
        one.signal(signal.SIGCONT)
        eventually(lambda one=one, child=child: {of_process(one.init)[0], of_process(child)[0]} == {"S"})  # type: ignore[misc]
        one.signal(signal.SIGTERM)
        assert one.status() == 143


def test_a_command_stopped_by_someone_else_leaves_the_init_working(start: Start) -> None:
    one = start("sleep", "100")
    eventually(lambda: Path(f"/proc/{(children_of(one.init) or [1])[0]}/comm").read_text() == "sleep\n")
    (child,) = children_of(one.init)
    os.kill(child, signal.SIGSTOP)
    eventually(lambda: of_process(child)[0] == "T")
    one.signal(signal.SIGTERM)
    os.kill(child, signal.SIGCONT)
    assert one.status() == 143


# Orphans


def test_ten_thousand_orphans_are_reaped(start_anywhere: Start) -> None:
    one = start_anywhere(*MAKE_ORPHANS, "10000", "reaped")
    assert one.line() == "reaped"
    assert one.status() == 0


@pytest.mark.pidns
def test_without_an_init_zombies_stay(start_as_pid_1: Start) -> None:
    one = start_as_pid_1("3", "zombies", prefix=MAKE_ORPHANS)
    assert one.line() == "3 zombies"


def test_what_is_left_in_the_group_gets_term_once_and_the_status_stays(start_anywhere: Start) -> None:
    one = start_anywhere("sh", "-c", f"{shlex.join(PRINT_SIGNALS)} & read go; exit 3", stdin=subprocess.PIPE)
    one.pid()
    (printer,) = (
        pid for pid in descendants_of(one.init) if "print_signals.py" in cmdline(pid) and "read" not in cmdline(pid)
    )
    assert one.process.stdin is not None
    one.process.stdin.close()
    assert {one.line(), one.line()} == {"15", "18"}
    os.kill(printer, signal.SIGUSR1)
    assert one.line() == "10"
    os.kill(printer, signal.SIGKILL)
    assert one.status(timeout_s=5) == 3


def cmdline(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    return ""


def test_an_orphan_in_its_own_session_is_ended_when_the_command_ends(start_anywhere: Start) -> None:
    one = start_anywhere(
        "sh", "-c", "setsid sh -c 'echo ready; exec sleep 100' & read go; exit 4", stdin=subprocess.PIPE
    )
    one.line()
    everything = descendants_of(one.init)
    assert one.process.stdin is not None
    began = time.monotonic()
    one.process.stdin.close()
    assert one.status() == 4
    assert not [pid for pid in everything if is_alive(pid)]
    assert time.monotonic() - began < 4, "the stop timeout was waited for although all had gone"


def test_a_stopped_orphan_is_ended(start: Start) -> None:
    one = start("sh", "-c", "setsid sh -c 'echo ready $$; kill -STOP $$' & read go; exit 4", stdin=subprocess.PIPE)
    orphan = one.pid()
    eventually(lambda: of_process(orphan)[0] == "T")
    assert one.process.stdin is not None
    one.process.stdin.close()
    assert one.status(timeout_s=5) == 4
    assert not is_alive(orphan)


def test_an_orphan_that_ignores_term_is_killed_after_the_timeout(start_anywhere: Start) -> None:
    one = start_anywhere(
        "sh", "-c", f"setsid {shlex.join(PRINT_SIGNALS)} & read go; exit 6",
        stdin=subprocess.PIPE, env={**ENVIRONMENT, "SUPERVISOR_STOP_TIMEOUT_S": "0.3"},
    )  # fmt: skip
    one.pid()
    everything = descendants_of(one.init)
    assert one.process.stdin is not None
    one.process.stdin.close()
    assert one.line() == "15"
    assert one.status(timeout_s=5) == 6
    assert not [pid for pid in everything if is_alive(pid)]


@pytest.mark.parametrize("where", ["group", "session"])
def test_what_forks_away_without_end_is_ended(start: Start, where: str) -> None:
    one = start(
        "sh", "-c", f"{shlex.join(RUN_AWAY)} {where} & read go; exit 6",
        stdin=subprocess.PIPE, env={**ENVIRONMENT, "SUPERVISOR_STOP_TIMEOUT_S": "0.2"},
    )  # fmt: skip
    assert one.line() == "ready"
    assert one.process.stdin is not None
    one.process.stdin.close()
    assert one.status(timeout_s=10) == 6
    # The last holder of the pipe has gone.
    assert one.output.read() == b""


# Stop


def test_a_command_that_ignores_term_is_killed_after_the_timeout(start_anywhere: Start) -> None:
    one = start_anywhere(*PRINT_SIGNALS, env={**ENVIRONMENT, "SUPERVISOR_STOP_TIMEOUT_S": "0.4"})
    one.pid()
    began = time.monotonic()
    one.signal(signal.SIGTERM)
    assert one.line() == "15"
    one.signal(signal.SIGTERM)
    assert one.line() == "15"
    assert one.status(timeout_s=5) == 137
    assert time.monotonic() - began > 0.35, "a second TERM must not shorten the timeout"


def test_only_term_starts_the_timeout(start: Start) -> None:
    one = start(*PRINT_SIGNALS, env={**ENVIRONMENT, "SUPERVISOR_STOP_TIMEOUT_S": "0"})
    one.pid()
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
        one.signal(number)
        assert one.line() == str(int(number))
    one.signal(signal.SIGTERM)
    assert one.status() == 137


def test_orphans_are_killed_with_a_command_that_ignores_term(start_anywhere: Start) -> None:
    printer = shlex.join(PRINT_SIGNALS)
    one = start_anywhere(
        "sh", "-c", f"setsid {printer} a & {printer} b & exec {printer} c",
        env={**ENVIRONMENT, "SUPERVISOR_STOP_TIMEOUT_S": "0.3"},
    )  # fmt: skip
    assert {one.line().split()[2] for _ in range(3)} == {"a", "b", "c"}
    everything = descendants_of(one.init)
    assert len(everything) == 3
    one.signal(signal.SIGTERM)
    assert one.status(timeout_s=5) == 137
    assert not [pid for pid in everything if is_alive(pid)]


@pytest.mark.parametrize("text", ["soon", "-1", "nan", "inf"])
def test_a_timeout_that_is_none_is_refused_before_anything_is_started(start: Start, tmp_path: Path, text: str) -> None:
    mark = tmp_path / "mark"
    one = start("touch", str(mark), env={**ENVIRONMENT, "SUPERVISOR_STOP_TIMEOUT_S": text})
    assert one.status() == 78
    assert one.line() == (
        f"directus-supervisor: SUPERVISOR_STOP_TIMEOUT_S is '{text}', but must be a number of seconds, 0 or more"
    )
    assert not mark.exists()


def test_the_timeout_is_the_setting_of_this_name() -> None:
    spec = SPECS["stop_timeout_s"]
    assert spec.variable == transparent.STOP_TIMEOUT
    assert spec.default == transparent.DEFAULT_STOP_TIMEOUT_S == transparent.read_stop_timeout({})
    for text in ("0", "8", "0.5", " 3 ", "1e3", "-0.1", "inf", "nan", "eight", "1,5", "1e400"):
        assert read_or_refuse(spec.kind.read, text) == read_or_refuse(
            lambda value: transparent.read_stop_timeout({transparent.STOP_TIMEOUT: str(value)}), text
        )


def read_or_refuse(read: Callable[[object], object], text: str) -> object:
    try:
        return read(text)
    except ValueError:
        return "refused"


# Transparency


def test_stdin_and_raw_output_pass(start: Start) -> None:
    one = start("sh", "-c", "cat; echo error >&2", stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    data = bytes(range(256)) * 5000
    out, error = one.process.communicate(data, timeout=LIMIT_S)
    assert (out, error) == (data, b"error\n")
    assert one.process.stderr is not None


@pytest.mark.parametrize("environment", [ENVIRONMENT, {"PATH": os.environ["PATH"]}, {"LC_ALL": "C", "ODD": "=\udcff="}])
def test_the_command_is_given_what_we_were_given(environment: dict[str, str], tmp_path: Path) -> None:
    """Mask and ignored signals (nohup), environment, folder, umask, priority, limits, descriptors, arguments."""
    environment = {"PYTHONPATH": ENVIRONMENT["PYTHONPATH"], **environment}
    extra, other = os.pipe()
    wrapper = (*PYTHON, str(PROGRAMS / "with_signals.py"), "1,2,11,17,22,40", "4,15,21,50")
    describe = (*PYTHON, str(PROGRAMS / "describe_process.py"), "\udcff", "ä", "")

    def described(*prefix: str) -> object:
        found = subprocess.run(
            [*wrapper, "nice", "-n", "3", "sh", "-c", 'umask 027; ulimit -n 200; exec "$@"', "sh", *prefix, *describe],
            env=environment, cwd=tmp_path, pass_fds=(extra,), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, check=True, timeout=LIMIT_S,
        )  # fmt: skip
        return json.loads(found.stdout)

    with_init, without = described(*EXEC), described()
    os.close(extra)
    os.close(other)
    assert with_init == without
    assert isinstance(without, dict)
    assert str(extra) in without["descriptors"]
    assert int(without["blocked"], 16) == sum(1 << number - 1 for number in (4, 15, 21, 50))


def test_a_broken_pipe_ends_the_command_as_it_does_without_us(start: Start) -> None:
    one = start("sh", "-c", "yes; echo $? >&2", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    one.output.close()
    assert one.process.stderr is not None
    assert one.process.stderr.readline() == b"141\n"
    one.process.stderr.close()
    one.process.stdout = None


def test_closed_standard_streams_stay_closed(start: Start, tmp_path: Path) -> None:
    found = tmp_path / "found"
    probe = f"import os; open({str(found)!r}, 'w').write(' '.join(sorted(os.listdir('/proc/self/fd'))))"
    closing = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh"]
    for prefix in ((), EXEC):
        subprocess.run([*closing, *prefix, *PYTHON, "-c", probe], env=ENVIRONMENT, check=True, timeout=LIMIT_S)
        # The probe itself has its file and the folder open, in the lowest places.
        assert found.read_text() == "0 1"


# Terminals


class Terminal(Started):
    """A command on a terminal of its own; its output is the terminal's."""

    def __init__(self, *argv: str) -> None:
        self.master, slave = pty.openpty()
        attributes = termios.tcgetattr(slave)
        attributes[1] &= ~termios.OPOST
        attributes[3] &= ~termios.ECHO
        termios.tcsetattr(slave, termios.TCSANOW, attributes)
        process = spawn((*PYTHON, str(PROGRAMS / "on_terminal.py"), *argv), stdin=slave, stdout=slave, stderr=slave)
        os.close(slave)
        super().__init__(process, process.pid)
        self.closed = False

    def line(self) -> str:
        deadline = time.monotonic() + LIMIT_S
        while b"\n" not in self.waiting:
            assert select.select([self.master], [], [], max(0.0, deadline - time.monotonic()))[0], self.waiting
            self.waiting += os.read(self.master, 65536)
        line, _, self.waiting = self.waiting.partition(b"\n")
        return line.decode()

    def type(self, text: str) -> None:
        """Type on the keyboard."""
        os.write(self.master, text.encode())

    def hang_up(self) -> None:
        """Close the terminal."""
        if not self.closed:
            os.close(self.master)
            self.closed = True


@pytest.fixture
def on_terminal(started: list[Started]) -> Iterator[Callable[..., Terminal]]:
    terminals: list[Terminal] = []

    def start_it(*argv: str) -> Terminal:
        terminal = Terminal(*argv)
        terminals.append(terminal)
        started.append(terminal)
        return terminal

    yield start_it
    for terminal in terminals:
        terminal.hang_up()


OnTerminal = Callable[..., Terminal]
IS_FOREGROUND = (*PYTHON, "-c", "import os; print(os.tcgetpgrp(0) == os.getpgrp() == os.getpid(), os.isatty(1))")


def test_the_command_is_in_the_foreground_of_the_terminal(on_terminal: OnTerminal) -> None:
    one = on_terminal(*EXEC, *IS_FOREGROUND)
    assert one.line() == "True True"
    assert one.status() == 0


@pytest.mark.pidns
def test_the_command_of_pid_1_is_in_the_foreground_of_the_terminal(on_terminal: OnTerminal) -> None:
    if not can_unshare():
        pytest.skip("no right to make a PID namespace")
    assert on_terminal(*NAMESPACE, *EXEC, *IS_FOREGROUND).line() == "True True"


def test_an_init_in_an_init_leaves_the_terminal_to_the_command(on_terminal: OnTerminal) -> None:
    assert on_terminal(*EXEC, *EXEC, *IS_FOREGROUND).line() == "True True"


def test_a_command_can_read_and_write_the_terminal(on_terminal: OnTerminal) -> None:
    one = on_terminal(*EXEC, "tac")
    one.type("1\n2\n3\n\x04")
    assert [one.line() for _ in range(3)] == ["3", "2", "1"]
    assert one.status() == 0


def test_keys_that_are_signals_reach_the_command(on_terminal: OnTerminal) -> None:
    one = on_terminal(*EXEC, *PRINT_SIGNALS)
    one.pid()
    for key, number in (("\x03", signal.SIGINT), ("\x1c", signal.SIGQUIT), ("\x1a", signal.SIGTSTP)):
        one.type(key)
        assert one.line() == str(int(number))


def test_ctrl_c_ends_the_command_and_the_status_says_so(on_terminal: OnTerminal) -> None:
    one = on_terminal(*EXEC, "sh", "-c", "echo ready; exec sleep 100")
    one.line()
    one.type("\x03")
    assert one.status() == 130


def test_ctrl_z_without_a_shell_stops_nothing(on_terminal: OnTerminal) -> None:
    """As without us: the kernel does not stop a group that nobody could continue."""
    one = on_terminal(*EXEC, "sh", "-c", "echo ready; read line; echo got $line")
    one.line()
    one.type("\x1a")
    one.type("hello\n")
    assert one.line() == "got hello"
    assert one.status() == 0


BASH = shutil.which("bash") or "bash"


def test_ctrl_z_under_a_shell_suspends_and_fg_continues(on_terminal: OnTerminal) -> None:
    job = shlex.join([*EXEC, "sh", "-c", "echo ready; read line; echo got $line; exit 9"])
    one = on_terminal(
        BASH,
        "--norc",
        "-m",
        "-c",
        f"{job} | cat; echo stopped; fg >/dev/null; echo ${{PIPESTATUS[0]}}; {job}; echo status $?; fg; echo $?",
    )
    for pipeline in (True, False):
        assert one.line() == "ready"
        one.type("\x1a")
        while "stopped" not in (line := one.line()) and "status 148" not in line:
            pass
        one.type("hello\n")
        while (line := one.line()) != "got hello":
            pass
        assert (one.line() == "9") or pipeline


def test_an_init_in_an_init_suspends_and_continues(on_terminal: OnTerminal) -> None:
    job = shlex.join([*EXEC, *EXEC, "sh", "-c", "echo ready; read line; echo got $line; exit 9"])
    one = on_terminal(BASH, "--norc", "-m", "-c", f"{job}; echo status $?; fg; echo status $?")
    assert one.line() == "ready"
    one.type("\x1a")
    while one.line() != "status 148":
        pass
    one.type("hello\n")
    while one.line() != "got hello":
        pass
    assert one.line() == "status 9"


def test_a_job_in_the_background_does_not_take_the_terminal(on_terminal: OnTerminal) -> None:
    job = shlex.join([*EXEC, "sh", "-c", "echo ready; exec sleep 100"])
    one = on_terminal(BASH, "--norc", "-m", "-c", f"{job} & read line; echo got $line; kill %1; wait %1; echo $?")
    assert one.line() == "ready"
    one.type("hello\n")
    assert one.line() == "got hello"
    while (line := one.line()) != "143":
        assert "got" not in line


def test_the_terminal_is_given_back(on_terminal: OnTerminal) -> None:
    one = on_terminal("sh", "-c", f"{shlex.join(EXEC)} true; read line; echo got $line")
    one.type("hello\n")
    assert one.line() == "got hello"


def test_a_shell_has_job_control(on_terminal: OnTerminal) -> None:
    job = shlex.join(["sh", "-c", "trap 'exit 7' INT; echo up; read line"])
    one = on_terminal(*EXEC, BASH, "--norc", "-m", "-c", f"{job}; echo status $?; echo flags $-")
    assert one.line() == "up"
    one.type("\x03")
    assert one.line() == "status 7"
    assert "m" in one.line().split()[1]


def test_a_hangup_of_the_terminal_reaches_the_command(on_terminal: OnTerminal, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    one = on_terminal(*EXEC, "sh", "-c", f"trap 'echo hup > {mark}; exit 3' HUP; echo ready; sleep 100 & wait")
    one.line()
    one.hang_up()
    assert one.status() == 3
    assert mark.read_text() == "hup\n"


# Footprint


def test_nothing_heavy_is_imported() -> None:
    found = subprocess.run(
        [sys.executable, "-X", "importtime", *EXEC[1:], "true"],
        env=ENVIRONMENT, stderr=subprocess.PIPE, check=True, text=True,
    )  # fmt: skip
    imported = {line.rpartition("|")[2].strip() for line in found.stderr.splitlines() if "|" in line}
    assert "supervisor.process.transparent" in imported
    heavy = "asyncio anyio asyncpg uvicorn starlette structlog argparse subprocess dataclasses typing re pathlib socket"
    assert not imported & set(heavy.split())
    ours = {name for name in imported if name.startswith(("supervisor.", "phases"))}
    assert ours <= {"supervisor.process"} | {
        f"supervisor.process.{name}" for name in ("transparent", "execute", "inherited", "terminal", "process_table")
    }


def test_it_stays_below_15_mb_and_sleeps(start: Start) -> None:
    one = start(*PRINT_SIGNALS)
    one.pid()
    eventually(lambda: of_process(one.init)[0] == "S")

    def status(field: str) -> int:
        lines = Path(f"/proc/{one.init}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(field + ":"))

    assert status("VmRSS") < 15 * 1024
    switches = status("voluntary_ctxt_switches")
    time.sleep(1)
    assert status("voluntary_ctxt_switches") == switches


def test_descriptors_of_ours_do_not_stay_open(start: Start) -> None:
    one = start(*PRINT_SIGNALS)
    one.pid()
    assert sorted(os.listdir(f"/proc/{one.init}/fd")) == ["0", "1", "2"]  # noqa: PTH208
