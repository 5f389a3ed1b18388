"""The installation of Directus, with a script in npm's place that is run by the real Node.js."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import anyio
import psutil
import pytest

from supervisor.dev import lock
from supervisor.dev import npm as npm_module
from supervisor.dev.directus import ensure_directus, is_whole
from supervisor.dev.node import NodeToolchain, find_node
from supervisor.dev.progress import PlainProgress
from supervisor.errors import DEV_SETUP_FAILED, SupervisorError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

VERSION = "11.17.4"

_WRITE_ALL = """
const fs = require('node:fs');
function put(name, text) {
  fs.mkdirSync(require('node:path').dirname(name), {recursive: true});
  fs.writeFileSync(name, text);
}
put('node_modules/directus/package.json', JSON.stringify({name: 'directus', version: '11.17.4'}));
put('node_modules/directus/cli.js', '');
put('node_modules/@directus/api/package.json', '{"name": "@directus/api"}');
put('node_modules/isolated-vm/out/isolated_vm.node', '');
for (const name of ['isolated-vm', 'argon2', 'sharp']) put(`node_modules/${name}/index.js`, '');
"""


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "directus-supervisor" / "directus"


@pytest.fixture
def fake_npm(tmp_path: Path) -> Path:
    return tmp_path / "npm.js"


@pytest.fixture
def toolchain(fake_npm: Path) -> NodeToolchain:
    return replace(find_node(), npm_cli=fake_npm)


async def _until(condition: Callable[[], bool]) -> None:
    # What is waited for happens in another process.
    while not condition():  # noqa: ASYNC110
        await anyio.sleep(0.01)


def _entries(cache: Path) -> list[str]:
    return sorted(entry.name for entry in cache.iterdir() if entry.is_dir())


@pytest.mark.anyio
async def test_an_installation_is_made_once_and_found_again(
    cache: Path, fake_npm: Path, toolchain: NodeToolchain
) -> None:
    fake_npm.write_text(_WRITE_ALL)
    folder = await ensure_directus(VERSION, PlainProgress(io.StringIO()), toolchain=toolchain)
    assert (folder / "node_modules" / "directus" / "cli.js").is_file()
    assert json.loads((folder / "package.json").read_text())["dependencies"] == {"directus": VERSION}

    fake_npm.write_text("process.exit(1)")
    shown = io.StringIO()
    assert await ensure_directus(VERSION, PlainProgress(shown), toolchain=toolchain) == folder
    assert shown.getvalue() == ""


@pytest.mark.anyio
async def test_npm_runs_with_the_real_node_first_and_with_install_scripts(
    cache: Path, fake_npm: Path, toolchain: NodeToolchain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NODE_ENV", "production")
    fake_npm.write_text(_WRITE_ALL + "put('seen.json', JSON.stringify([process.argv, process.env]));")
    folder = await ensure_directus(VERSION, PlainProgress(io.StringIO()), toolchain=toolchain)
    arguments, environ = json.loads((folder / "seen.json").read_text())
    assert {"install", "--omit=dev", "--no-audit", "--no-fund", "--ignore-scripts=false"} <= set(arguments)
    assert environ["PATH"].split(os.pathsep)[0] == str(toolchain.node.parent)
    assert environ["npm_config_nodedir"] == str(toolchain.home)
    assert environ["npm_config_update_notifier"] == "false"
    assert environ["npm_config_cache"] == str(cache.parent / "npm")
    assert "NODE_ENV" not in environ
    subprocess.run([environ["npm_config_python"], "-c", "import distutils"], check=True, capture_output=True)


@pytest.mark.anyio
async def test_half_an_installation_is_not_taken_for_a_whole_one(
    cache: Path, fake_npm: Path, toolchain: NodeToolchain
) -> None:
    fake_npm.write_text(_WRITE_ALL + "fs.rmSync('node_modules/isolated-vm/out/isolated_vm.node')")
    with pytest.raises(SupervisorError, match="isolated-vm is not there"):
        await ensure_directus(VERSION, PlainProgress(io.StringIO()), toolchain=toolchain)
    assert _entries(cache) == []

    fake_npm.write_text(_WRITE_ALL)
    folder = await ensure_directus(VERSION, PlainProgress(io.StringIO()), toolchain=toolchain)
    (folder / "node_modules" / "directus" / "cli.js").unlink()
    assert not is_whole(folder, VERSION)
    again = await ensure_directus(VERSION, PlainProgress(io.StringIO()), toolchain=toolchain)
    assert again == folder
    assert is_whole(folder, VERSION)


@pytest.mark.anyio
async def test_a_native_module_that_does_not_load_fails_the_installation(
    cache: Path, fake_npm: Path, toolchain: NodeToolchain
) -> None:
    fake_npm.write_text(_WRITE_ALL + "put('node_modules/argon2/index.js', 'throw new Error(\"wrong ABI\")');")
    with pytest.raises(SupervisorError, match="wrong ABI"):
        await ensure_directus(VERSION, PlainProgress(io.StringIO()), toolchain=toolchain)
    assert _entries(cache) == []


@pytest.mark.anyio
async def test_a_failure_shows_the_last_lines_and_the_log(
    cache: Path, fake_npm: Path, toolchain: NodeToolchain
) -> None:
    fake_npm.write_text("console.log('early'); console.error('npm error ENOSPC: no space'); process.exit(28)")
    with pytest.raises(SupervisorError) as caught:
        await ensure_directus(VERSION, PlainProgress(io.StringIO()), toolchain=toolchain)
    (log,) = cache.glob("*.log")
    assert caught.value.failure is DEV_SETUP_FAILED
    assert "exit status 28" in caught.value.message
    assert "npm error ENOSPC" in caught.value.message
    assert str(log) in caught.value.message
    assert "disk space" in caught.value.remedy
    assert "early" in log.read_text()
    assert _entries(cache) == []


@pytest.mark.anyio
async def test_of_two_at_once_one_installs_and_the_other_says_that_it_waits(
    cache: Path, fake_npm: Path, toolchain: NodeToolchain, tmp_path: Path
) -> None:
    go, runs = tmp_path / "go", tmp_path / "runs"
    fake_npm.write_text(
        _WRITE_ALL
        + f"fs.appendFileSync({json.dumps(str(runs))}, 'x');"
        + f"const wait = () => fs.existsSync({json.dumps(str(go))}) || setTimeout(wait, 20); wait();"
    )
    shown = io.StringIO()
    folders: list[Path] = []

    async def install(progress: PlainProgress) -> None:
        folders.append(await ensure_directus(VERSION, progress, toolchain=toolchain))

    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(install, PlainProgress(io.StringIO()))
            await _until(runs.exists)
            tasks.start_soon(install, PlainProgress(shown))
            await _until(lambda: "waiting for process" in shown.getvalue())
            go.touch()
    assert str(os.getpid()) in shown.getvalue()
    assert runs.read_text() == "x"
    assert folders[0] == folders[1]


@pytest.mark.anyio
async def test_a_cancelled_installation_ends_the_whole_group_and_leaves_nothing(
    cache: Path,
    fake_npm: Path,
    toolchain: NodeToolchain,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(npm_module, "_TERM_GRACE_S", 0.2)
    pids = tmp_path / "pids"
    stubborn = "process.on('SIGTERM', () => {}); setInterval(() => {}, 1000); process.send('up');"
    fake_npm.write_text(
        _WRITE_ALL
        + f"const options = {{stdio: ['ignore', 'inherit', 'inherit', 'ipc']}}, script = {json.dumps(stubborn)};"
        + "const child = require('node:child_process').spawn(process.execPath, ['-e', script], options);"
        + f"const pids = {json.dumps(str(pids))};"
        + "child.on('message', () => fs.writeFileSync(pids, `${process.pid} ${child.pid}\\n`));"
    )
    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: ensure_directus(VERSION, PlainProgress(io.StringIO()), toolchain=toolchain))
            await _until(lambda: pids.exists() and pids.read_text().endswith("\n"))
            tasks.cancel_scope.cancel()
    npm, child = map(int, pids.read_text().split())
    assert not psutil.pid_exists(npm)
    assert not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE
    assert _entries(cache) == []


@pytest.mark.anyio
async def test_what_a_killed_run_left_behind_is_ended_and_removed(
    cache: Path, fake_npm: Path, toolchain: NodeToolchain
) -> None:
    fake_npm.write_text(_WRITE_ALL)
    folder = await ensure_directus(VERSION, PlainProgress(io.StringIO()), toolchain=toolchain)
    abandoned = folder.with_name(f"{folder.name}.installing-1")
    folder.rename(abandoned)
    orphan = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], cwd=abandoned)
    again = await ensure_directus(VERSION, PlainProgress(io.StringIO()), toolchain=toolchain)
    assert orphan.wait(10) == -signal.SIGKILL
    assert _entries(cache) == [again.name]


def test_a_lock_names_its_holder_and_ends_with_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with lock.hold(path):
        with pytest.raises(lock.HeldByAnotherProcessError) as caught, lock.hold(path):
            pass
        assert caught.value.pid == os.getpid()
    with lock.hold(path):
        pass
