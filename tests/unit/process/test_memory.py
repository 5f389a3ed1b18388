"""Memory of real processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from supervisor.process.memory import limit_mb, resident_mb

PARENT = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "x = b'1' * 40_000_000; print('ready', flush=True); input()"],
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE)
child.stdout.readline()
print("ready", flush=True)
input()
"""


def test_the_memory_of_descendants_counts() -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        with_child = resident_mb(process.pid)
        process.communicate(b"\n")
    assert 45 < with_child < 150


def test_a_process_that_is_gone_counts_as_nothing() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    assert resident_mb(process.pid) == 0


def test_the_own_memory_is_plausible() -> None:
    assert 5 < resident_mb(os.getpid()) < 2000


def test_the_limit_of_the_container_is_read_from_the_first_file_that_is_there(tmp_path: Path) -> None:
    v2, v1 = tmp_path / "memory.max", tmp_path / "memory.limit_in_bytes"
    assert limit_mb((v2, v1)) is None
    v1.write_text("536870912\n")
    assert limit_mb((v2, v1)) == 512
    v2.write_text("max\n")
    assert limit_mb((v2, v1)) is None
