"""What a program that cannot be started is told as, by the real system calls where they can be provoked."""

from __future__ import annotations

import errno
import os
import subprocess
from pathlib import Path

import pytest

from supervisor.errors import ExitCode, SupervisorError
from supervisor.process.child import ChildSpec, Spawned


def refusal(*argv: str, cwd: Path, path: str = "/usr/bin:/bin") -> SupervisorError:
    spec = ChildSpec(
        name="thing",
        argv=argv,
        environment={"PATH": path},
        cwd=cwd,
        stop_timeout_s=1,
        consume=lambda _stream, _pid, _batch: None,
    )
    with pytest.raises(SupervisorError) as caught:
        Spawned(spec)
    return caught.value


def script(path: Path, text: str) -> Path:
    path.write_bytes(text.encode())
    path.chmod(0o755)
    return path


def test_a_script_whose_interpreter_is_missing_names_the_interpreter(tmp_path: Path) -> None:
    error = refusal(str(script(tmp_path / "run", "#!/no/such/shell -e\n")), cwd=tmp_path)
    assert error.failure.code == "process.not_found"
    assert error.message == f"thing: {tmp_path}/run cannot be executed: it needs /no/such/shell, which does not exist"


def test_a_script_in_path_whose_interpreter_is_missing_names_the_interpreter(tmp_path: Path) -> None:
    script(tmp_path / "run", "#!/no/such/shell\n")
    error = refusal("run", cwd=tmp_path, path=str(tmp_path))
    assert "it needs /no/such/shell, which does not exist" in error.message


def test_a_script_with_windows_line_ends_is_told_as_such(tmp_path: Path) -> None:
    error = refusal("./run", cwd=Path(script(tmp_path / "run", "#!/bin/sh\r\ntrue\r\n")).parent)
    assert error.failure.code == "process.not_found"
    assert "CR LF line endings" in error.message


@pytest.mark.parametrize(
    ("program", "told"),
    [
        ("/no/such/program", "thing: /no/such/program does not exist"),
        ("no-such-program", "thing: no-such-program is not in any folder of PATH (/usr/bin:/bin)"),
        ("./none", "thing: ./none does not exist"),
    ],
)
def test_a_program_that_is_not_there_is_named(program: str, told: str, tmp_path: Path) -> None:
    error = refusal(program, cwd=tmp_path)
    assert (error.message, error.exit_code) == (told, ExitCode.NOT_FOUND)
    assert error.facts["process"] == "thing"


def test_a_working_directory_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert (
        refusal("true", cwd=tmp_path / "none").message == f"thing: the working directory {tmp_path}/none does not exist"
    )


def test_a_file_that_may_not_be_executed_is_not_executable(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("#!/bin/sh\n")
    error = refusal("./run", cwd=tmp_path)
    assert (error.failure.code, error.exit_code) == ("process.not_executable", ExitCode.NOT_EXECUTABLE)
    assert "Permission denied" in error.message


@pytest.mark.parametrize(
    ("number", "what"),
    [
        (errno.EAGAIN, "the limit of processes"),
        (errno.ENOMEM, "the memory of the container"),
        (errno.EMFILE, "the supervisor's own file descriptors"),
    ],
)
def test_a_system_that_has_nothing_left_does_not_blame_the_program(
    number: int, what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fork(*_arguments: object, **_options: object) -> None:
        raise OSError(number, "no")

    monkeypatch.setattr(subprocess, "Popen", fork)
    error = refusal("true", cwd=tmp_path)
    assert (error.failure.code, error.exit_code) == ("process.not_started", ExitCode.SYSTEM)
    assert error.message.startswith(f"thing: true cannot be started: {os.strerror(number)} ({what}")
    assert error.remedy
