"""pm2 from npm, installed once into the cache: the version that Directus 11.17.4 itself depends on."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Final

import anyio.to_thread

from supervisor.dev import lock
from supervisor.dev.node import NodeToolchain
from supervisor.dev.npm import find_python, npm_environment, npm_install
from supervisor.dev.paths import cache_folder, make_folder
from supervisor.dev.progress import PlainProgress

VERSION: Final = "6.0.14"
_VARIABLE: Final = "XDG_CACHE_HOME"


async def ensure_pm2(toolchain: NodeToolchain) -> Path:
    """Install pm2 unless the cache has it.

    Args:
        toolchain: the Node.js to install with.

    Returns:
        The script ``pm2-runtime``, to be run by node.

    Raises:
        SupervisorError: ``dev.setup_failed`` with npm's last lines.
    """
    cache = make_folder(cache_folder(), variable=_VARIABLE)
    parent = make_folder(cache / "pm2", variable=_VARIABLE)
    target = parent / VERSION
    runtime = target / "node_modules" / "pm2" / "bin" / "pm2-runtime"
    with PlainProgress().step(f"pm2 {VERSION}") as step:
        async with lock.wait_for(parent / f"{VERSION}.lock", lambda _pid: step.say("another process installs it")):
            if not runtime.is_file():
                temporary = parent / f"{VERSION}.installing-{os.getpid()}"
                temporary.mkdir()
                try:
                    manifest = {"private": True, "dependencies": {"pm2": VERSION}}
                    (temporary / "package.json").write_text(json.dumps(manifest) + "\n", encoding="utf-8")
                    python = await anyio.to_thread.run_sync(find_python)
                    environ = npm_environment(toolchain, cache, python, os.environ)
                    log = parent / f"{VERSION}.log"
                    await npm_install(toolchain.npm, temporary, log, environ, step=step, step_name=f"pm2 {VERSION}")
                    temporary.rename(target)
                finally:
                    shutil.rmtree(temporary, ignore_errors=True)
    return runtime
