"""Directus from npm, installed once into the cache and shared by all projects.

The folder gets its name by a rename once everything in it has been proved to work, so a folder of that name
is always a whole installation.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

from supervisor.dev import lock
from supervisor.dev.failures import explained, setup_failed
from supervisor.dev.leftovers import kill_working_within
from supervisor.dev.node import NodeToolchain, find_node
from supervisor.dev.npm import find_python, npm_environment, npm_install
from supervisor.dev.paths import cache_folder, make_folder, require_space

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from supervisor.dev.progress import Progress, Step

DIRECTUS_VERSION = "11.17.4"

_VARIABLE = "XDG_CACHE_HOME"
_SPACE_BYTES = 1500 * 2**20  # 840 MB of node_modules, npm's cache, the objects of native modules
_VERIFY_TIMEOUT_S = 60

# What Directus' own process loads at its start and cannot run without; each is a native module.
_VERIFY_SCRIPT = """
const require_ = require('node:module').createRequire(process.argv[1]);
for (const name of ['isolated-vm', 'argon2', 'sharp']) require_(name);
"""


async def ensure_directus(
    version: str,
    progress: Progress,
    *,
    toolchain: NodeToolchain | None = None,
    environ: Mapping[str, str] | None = None,
) -> Path:
    """Install Directus unless the cache has it.

    Of several processes that need it at the same time one installs it and the others wait.

    Args:
        version: the exact version, such as ``11.17.4``.
        progress: the display; a step is shown only when there is something to do.
        toolchain: the Node.js to install with; :func:`find_node` when not given.
        environ: the environment of npm, and what decides on the cache; the process's own when not given.

    Returns:
        The folder that holds ``node_modules/directus/cli.js``.

    Raises:
        SupervisorError: ``dev.setup_failed`` with npm's last lines and the path of its log.
    """
    tools = toolchain if toolchain is not None else await anyio.to_thread.run_sync(find_node)
    given = os.environ if environ is None else environ
    cache = make_folder(cache_folder(given), variable=_VARIABLE)
    parent = make_folder(cache / "directus", variable=_VARIABLE)
    target = parent / f"{version}-node{tools.major}-{platform.machine()}"
    if is_whole(target, version):
        return target
    name = f"Directus {version}"
    with progress.step(name) as step, explained(name, _VARIABLE):
        async with lock.wait_for(parent / f"{target.name}.lock", lambda pid: _say_waiting(step, pid)):
            # The holder that we waited for has usually installed it.
            if not is_whole(target, version):
                await _install(version, target, cache, tools, given, step=step, step_name=name)
    return target


def is_whole(folder: Path, version: str) -> bool:
    """Whether a folder holds a complete installation of that version; costs three file accesses.

    Args:
        folder: the folder that holds ``node_modules``.
        version: the version that it must be.
    """
    modules = folder / "node_modules"
    try:
        manifest = json.loads((modules / "directus" / "package.json").read_bytes())
    except (OSError, ValueError):
        return False
    return (
        isinstance(manifest, dict)
        and manifest.get("version") == version
        and (modules / "directus" / "cli.js").is_file()
        and (modules / "isolated-vm" / "out" / "isolated_vm.node").is_file()
    )


async def _install(
    version: str,
    target: Path,
    cache: Path,
    toolchain: NodeToolchain,
    given: Mapping[str, str],
    *,
    step: Step,
    step_name: str,
) -> None:
    await anyio.to_thread.run_sync(_remove_leftovers, target)
    require_space(target.parent, _SPACE_BYTES, step=step_name, variable=_VARIABLE)
    python = await anyio.to_thread.run_sync(find_python)
    temporary = target.with_name(f"{target.name}.installing-{os.getpid()}")
    log = target.with_name(f"{target.name}.log")
    installed = False
    try:
        temporary.mkdir()
        manifest = {"private": True, "dependencies": {"directus": version}}
        (temporary / "package.json").write_text(json.dumps(manifest, indent=2) + "\n")
        environ = npm_environment(toolchain, cache, python, given)
        await npm_install(toolchain.npm, temporary, log, environ, step=step, step_name=step_name)
        await _verify(temporary, version, toolchain, log, step_name)
        temporary.rename(target)
        installed = True
    finally:
        if not installed:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(lambda: shutil.rmtree(temporary, ignore_errors=True))


async def _verify(folder: Path, version: str, toolchain: NodeToolchain, log: Path, step_name: str) -> None:
    if not is_whole(folder, version):
        raise setup_failed(
            step_name,
            f"npm reported success, but directus {version} or the native module isolated-vm is not there; "
            f"its log is {log}",
            remedy="Look for the failed install script in that log.",
        )
    api = folder / "node_modules" / "@directus" / "api" / "package.json"
    environ = {name: value for name, value in os.environ.items() if name != "NODE_OPTIONS"}
    with anyio.move_on_after(_VERIFY_TIMEOUT_S):
        result = await anyio.run_process(
            [str(toolchain.node), "-e", _VERIFY_SCRIPT, str(api)],
            cwd=folder,
            env=environ,
            check=False,
            stderr=subprocess.STDOUT,
        )
        if result.returncode == 0:
            return
        raise setup_failed(
            step_name,
            f"a native module does not load in {toolchain.node}; npm's log is {log}",
            output=result.stdout.decode("utf-8", "replace"),
            remedy="Install a C++ compiler and make, then run the command again.",
        )
    raise setup_failed(step_name, f"loading the native modules took longer than {_VERIFY_TIMEOUT_S} s")


def _remove_leftovers(target: Path) -> None:
    # The lock is ours: whatever lies here belongs to an installation that was killed.
    for folder in target.parent.glob(f"{target.name}.installing-*"):
        kill_working_within(folder)
        shutil.rmtree(folder)
    if target.exists():
        shutil.rmtree(target)


def _say_waiting(step: Step, pid: int | None) -> None:
    step.say(f"waiting for process {pid or '?'}, which is installing it")
