"""One npm installation: its environment, its figure, its end by a signal, the cause when it fails."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING

import anyio
import anyio.abc
import anyio.to_thread

from supervisor.dev.failures import read_tail, setup_failed
from supervisor.dev.leftovers import group_is_alive

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from supervisor.dev.node import NodeToolchain
    from supervisor.dev.progress import Step

# Measured on a finished installation of directus 11.17.4: answers of the registry that are not packages, and
# packages at the top level of node_modules. Used for the display alone.
EXPECTED_METADATA = 1270
EXPECTED_PACKAGES = 1100

_POLL_S = 0.5
_TERM_GRACE_S = 5.0
_KILL_GRACE_S = 5.0

_INSTALL_ARGUMENTS = (
    "install",
    "--omit=dev",
    "--no-audit",
    "--no-fund",
    "--no-progress",
    "--color=false",
    "--loglevel=http",
    # A user's npmrc may forbid install scripts; the native modules are then missing.
    "--ignore-scripts=false",
    "--global=false",
)

_REMEDIES: tuple[tuple[tuple[str, ...], str], ...] = (
    (
        ("ENOSPC", "No space left on device"),
        "Free some disk space, or point XDG_CACHE_HOME to a larger disk.",
    ),
    (("EDQUOT", "Disk quota exceeded"), "Free some of your disk quota, or point XDG_CACHE_HOME elsewhere."),
    (
        ("SELF_SIGNED_CERT", "UNABLE_TO_GET_ISSUER", "UNABLE_TO_VERIFY_LEAF", "CERT_HAS_EXPIRED"),
        "Set NODE_EXTRA_CA_CERTS to the certificate of your proxy.",
    ),
    (
        (
            "ENOTFOUND",
            "EAI_AGAIN",
            "ECONNREFUSED",
            "ECONNRESET",
            "ETIMEDOUT",
            "ENETUNREACH",
            "ERR_SOCKET_TIMEOUT",
        ),
        "Check the network and the proxy settings (HTTPS_PROXY), then run the command again.",
    ),
    (
        ("E401", "E403", "E407"),
        "Check the credentials of the package registry or of the proxy in your .npmrc.",
    ),
    (("ETARGET", "E404"), "Check the Directus version; a private registry may not carry it yet."),
    (
        ("not found: make", "gyp ERR!", "command not found"),
        "Install a C++ compiler and make (Debian: `apt-get install g++ make`), then run the command again.",
    ),
    (("EACCES", "EPERM"), "Give yourself write permission in the folder named above."),
)


def npm_environment(
    toolchain: NodeToolchain, cache: Path, python: Path | None, environ: Mapping[str, str]
) -> dict[str, str]:
    """The environment that npm and the install scripts of native modules run in.

    Args:
        toolchain: the Node.js to install with.
        cache: our cache folder; npm's own goes below it unless the user chose one.
        python: an interpreter that node-gyp can use; None leaves the choice to node-gyp.
        environ: the user's environment; his proxy and registry settings stay.
    """
    result = {name: value for name, value in environ.items() if name.upper() != "NODE_ENV"}
    result["PATH"] = os.pathsep.join((str(toolchain.node.parent), environ.get("PATH", os.defpath)))
    result["npm_config_nodedir"] = str(toolchain.home)
    result["npm_config_update_notifier"] = "false"
    if python is not None:
        result["npm_config_python"] = str(python)
    if not any(name.lower() == "npm_config_cache" for name in environ):
        result["npm_config_cache"] = str(cache / "npm")
    return result


def find_python() -> Path | None:
    """An interpreter with ``distutils``, which older releases of node-gyp import.

    Python 3.12 dropped it from the standard library; setuptools brings it back.

    Returns:
        The running interpreter, else one from PATH; None when none has it.
    """
    names = (sys.executable, "python3.11", "python3.10", "python3.9", "python3")
    for candidate in filter(None, (shutil.which(name) for name in names if name)):
        try:
            result = subprocess.run(  # noqa: S603 - an interpreter from PATH
                [candidate, "-c", "import distutils"],
                check=False,
                timeout=30,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        except (OSError, subprocess.TimeoutExpired):
            continue
        if result.returncode == 0:
            return Path(candidate)
    return None


def remedy_for(output: str) -> str | None:
    """What to do about a failed installation.

    Args:
        output: what npm printed.

    Returns:
        One sentence, or None when the cause is not a known one.
    """
    for signs, remedy in _REMEDIES:
        if any(sign in output for sign in signs):
            return remedy
    return None


async def npm_install(
    command: list[str], folder: Path, log: Path, environ: Mapping[str, str], *, step: Step, step_name: str
) -> None:
    """Run ``npm install`` in a folder that holds a ``package.json``.

    A cancellation ends npm together with everything that it started, before this function returns.

    Args:
        command: the command that starts npm.
        folder: the folder to install into.
        log: the file that gets npm's output.
        environ: the environment of :func:`npm_environment`.
        step: the display.
        step_name: how errors call this step.

    Raises:
        SupervisorError: ``dev.setup_failed`` when npm does not start or fails.
    """
    with log.open("wb") as stream:
        process = await _start([*command, *_INSTALL_ARGUMENTS], folder, stream, environ, step_name)
    finished = False
    try:
        status = await _watch(process, lambda: _figure(folder, log), step)
        finished = True
    finally:
        if not finished:
            with anyio.CancelScope(shield=True):
                await end_group(process)
    if status != 0:
        output = await anyio.to_thread.run_sync(read_tail, log)
        how = f"was ended by signal {-status}" if status < 0 else f"failed with exit status {status}"
        raise setup_failed(step_name, f"npm {how}; its log is {log}", output=output, remedy=remedy_for(output))


async def end_group(process: anyio.abc.Process) -> None:
    """End the process group that a process leads: SIGTERM, then SIGKILL; at most ten seconds.

    Args:
        process: a process that was started in a session of its own.
    """
    for number, grace in ((signal.SIGTERM, _TERM_GRACE_S), (signal.SIGKILL, _KILL_GRACE_S)):
        _signal_group(process.pid, number)
        with anyio.move_on_after(grace):
            await process.wait()
            # A group has no event that tells its end.
            while group_is_alive(process.pid):  # noqa: ASYNC110
                await anyio.sleep(0.05)
            return


async def _start(
    command: list[str], folder: Path, stream: IO[bytes], environ: Mapping[str, str], step_name: str
) -> anyio.abc.Process:
    try:
        # A session of its own: a Ctrl-C in the terminal reaches us alone, and the group can be ended as one.
        return await anyio.open_process(
            command,
            cwd=folder,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as error:
        raise setup_failed(step_name, f"npm does not start: {error}") from error


async def _watch(process: anyio.abc.Process, figure: Callable[[], tuple[int, str]], step: Step) -> int:
    while True:
        with anyio.move_on_after(_POLL_S):
            return await process.wait()
        completed, note = await anyio.to_thread.run_sync(figure)
        step.advance(completed, EXPECTED_METADATA + EXPECTED_PACKAGES, note)


def _figure(folder: Path, log: Path) -> tuple[int, str]:
    modules = folder / "node_modules"
    packages = sum(1 for _ in modules.glob("*/package.json")) + sum(1 for _ in modules.glob("@*/*/package.json"))
    if packages == 0:
        answers = _count_answers(log)
        return min(answers, EXPECTED_METADATA), f"resolving dependencies, {answers} read"
    if packages < EXPECTED_PACKAGES:
        return EXPECTED_METADATA + packages, f"{packages} packages written"
    return EXPECTED_METADATA + EXPECTED_PACKAGES, f"{packages} packages written, compiling native modules"


def _count_answers(log: Path) -> int:
    try:
        with log.open("rb") as stream:
            return sum(1 for line in stream if line.startswith(b"npm http") and b".tgz" not in line)
    except OSError:
        return 0


def _signal_group(group: int, number: int) -> None:
    # macOS answers EPERM for a group that holds only zombies.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)
