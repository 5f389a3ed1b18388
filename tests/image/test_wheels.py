"""The official base image is an Alpine. Without one it can be proved that nothing would have to be compiled there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import PROJECT

# Alpine 3.21 to 3.23, on which node:22-alpine is made, have Python 3.12; later ones have newer.
_PYTHONS = ("3.12", "3.13")
_MACHINES = ("x86_64", "aarch64")


@pytest.mark.parametrize("machine", _MACHINES)
@pytest.mark.parametrize("python", _PYTHONS)
def test_every_locked_dependency_is_a_wheel_on_alpine(tmp_path: Path, python: str, machine: str) -> None:
    platforms = [f"--platform=musllinux_{version}_{machine}" for version in ("1_2", "1_1")]

    result = subprocess.run(
        [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
         "--only-binary=:all:", "--implementation=cp", f"--python-version={python}", *platforms,
         "--require-hashes", f"--requirement={PROJECT / 'requirements.lock'}", f"--dest={tmp_path}"],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )  # fmt: skip

    assert result.returncode == 0, result.stdout + result.stderr
    wheels = [path.name for path in tmp_path.iterdir()]
    assert any(name.startswith("asyncpg-") and f"musllinux_1_2_{machine}" in name for name in wheels), wheels
    assert all(name.endswith("-none-any.whl") or "musllinux" in name for name in wheels), wheels
