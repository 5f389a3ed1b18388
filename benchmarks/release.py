"""The program as an image has it: an environment of the pinned runtime dependencies alone, bytecode compiled.

The development environment also holds rich, which structlog imports when it is there: 80 ms and 5 MB that no image has.
"""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path
from typing import Final

_PROJECT: Final = Path(__file__).parents[1]


def install_release(folder: Path) -> Path:
    """Install this tree into a new environment.

    Args:
        folder: where to; must not be there yet.

    Returns:
        The command ``directus-supervisor`` in it.

    Raises:
        subprocess.CalledProcessError: when pip fails; it has said why.
    """
    environment = folder / "environment"
    venv.create(environment, with_pip=True)
    python = environment / "bin" / "python"
    pip = (str(python), "-m", "pip", "--quiet", "--disable-pip-version-check", "install")
    _run(*pip, "--require-hashes", "-r", str(_PROJECT / "requirements.lock"))
    # The environment that we run in has what builds a wheel.
    wheels = folder / "wheels"
    build = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "wheel")
    _run(*build, "--no-deps", "--no-build-isolation", "--wheel-dir", str(wheels), str(_PROJECT))
    _run(*pip, "--no-deps", *map(str, wheels.iterdir()))
    _run(str(python), "-m", "compileall", "-q", str(environment / "lib"))
    return environment / "bin" / "directus-supervisor"


def _run(*argv: str) -> None:
    subprocess.run(argv, check=True, stdout=sys.stderr)  # noqa: S603 - our own interpreters
