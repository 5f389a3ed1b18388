"""docker/normalise.py: the same files on every build."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.conftest import PROJECT

SCRIPT = PROJECT / "docker" / "normalise.py"


def _normalise(folder: Path, *arguments: str, epoch: str = "0") -> int:
    environ = os.environ | {"SOURCE_DATE_EPOCH": epoch}
    return subprocess.run(
        [sys.executable, SCRIPT, folder, *arguments], env=environ, check=False, stdout=subprocess.DEVNULL
    ).returncode


def _package(folder: Path) -> Path:
    (folder / "package").mkdir(parents=True)
    (folder / "package" / "__init__.py").write_text("def fail():\n    raise RuntimeError\n")
    (folder / "tool").write_text("#!/bin/sh\n")
    (folder / "tool").chmod(0o700)
    (folder / "link").symlink_to("nowhere")
    return folder


def _bytecode(folder: Path) -> bytes:
    (file,) = (folder / "package" / "__pycache__").iterdir()
    return file.read_bytes()


def test_modes_and_times_do_not_depend_on_the_machine(tmp_path: Path) -> None:
    folder = _package(tmp_path / "tree")
    folder.chmod(0o700)
    (folder / "package" / "__init__.py").chmod(0o600)

    assert _normalise(folder, epoch="1700000000") == 0

    assert {path.name: oct(path.stat().st_mode & 0o777) for path in (folder, folder / "tool")} == {
        "tree": "0o755",
        "tool": "0o755",
    }
    assert (folder / "package" / "__init__.py").stat().st_mode & 0o777 == 0o644
    assert {path.lstat().st_mtime for path in [folder, *folder.rglob("*")]} == {1700000000}


def test_bytecode_is_the_same_wherever_it_was_built_and_names_the_place_where_it_will_be(tmp_path: Path) -> None:
    first, second = _package(tmp_path / "one" / "tree"), _package(tmp_path / "another" / "tree")

    assert _normalise(first, "--bytecode-for=/opt/there") == 0
    assert _normalise(second, "--bytecode-for=/opt/there") == 0

    assert _bytecode(first) == _bytecode(second)
    assert b"/opt/there/package/__init__.py" in _bytecode(first)


def test_bytecode_is_used_whatever_the_time_of_its_source_says(tmp_path: Path) -> None:
    folder = _package(tmp_path / "tree")
    assert _normalise(folder, f"--bytecode-for={folder}") == 0
    compiled = _bytecode(folder)
    os.utime(folder / "package" / "__init__.py", (1, 1))

    subprocess.run([sys.executable, "-c", "import package"], cwd=folder, check=True)

    assert _bytecode(folder) == compiled


def test_a_file_that_does_not_compile_ends_the_build(tmp_path: Path) -> None:
    folder = _package(tmp_path / "tree")
    (folder / "package" / "broken.py").write_text("def\n")

    assert _normalise(folder, "--bytecode-for=/opt/there") == 1
