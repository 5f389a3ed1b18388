"""Room for another process of Directus: what was started ahead goes where memory is short."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from supervisor.configuration import Configuration, configure
from supervisor.directus import node
from supervisor.launch import Launch
from supervisor.process.init import Init
from tests.harness import Deployment, eventually, is_gone
from tests.unit.captured import Captured

pytestmark = pytest.mark.anyio


@pytest.fixture
def configuration(deployment: Deployment, captured: Captured) -> Configuration:
    assert not captured.lines
    return configure(deployment.environ, deployment.folder)


@asynccontextmanager
async def started_ahead(configuration: Configuration) -> AsyncIterator[tuple[Launch, int]]:
    init = Init()
    directus = Launch(configuration)
    directus.start_ahead()
    await directus.adopt(init)
    init.install()
    try:
        async with directus:
            assert directus._child is not None
            yield directus, directus._child.pid
    finally:
        init.uninstall()


@pytest.mark.parametrize(("limit", "stays"), [(None, True), (4000.0, True), (512.0, False)])
async def test_it_gives_way_where_memory_is_short(
    configuration: Configuration, monkeypatch: pytest.MonkeyPatch, limit: float | None, stays: bool
) -> None:
    monkeypatch.setattr(node, "limit_mb", lambda: limit)
    async with started_ahead(configuration) as (directus, pid):
        await directus.make_room()
        assert is_gone(pid) is not stays
    assert is_gone(pid)


def within(configuration: Configuration, cache: Path) -> Configuration:
    return replace(configuration, settings=replace(configuration.settings, compile_cache_dir=cache))


async def test_a_filling_that_fails_is_told_and_ends_nothing(
    configuration: Configuration, captured: Captured, tmp_path: Path
) -> None:
    modules = configuration.installation.api / "dist" / "cli" / "index.js"
    modules.write_text("throw new Error('half installed');")
    init = Init()
    directus = Launch(within(configuration, tmp_path / "cache"))
    init.install()
    try:
        directus._deliver({"type": "unfilled"})
        await directus.fill_cache(init)
    finally:
        init.uninstall()
    (told,) = captured.of("directus.cache_not_filled")
    assert "half installed" in told["message"]
    assert not list((tmp_path / "cache").rglob("filled-*"))


async def test_a_stop_ends_the_filling(configuration: Configuration, tmp_path: Path) -> None:
    modules = configuration.installation.api / "dist" / "cli" / "index.js"
    pid_file = tmp_path / "pid"
    modules.write_text(
        f"import fs from 'node:fs'; fs.writeFileSync({json.dumps(str(pid_file))}, `${{process.pid}}`);"
        "await new Promise(() => setInterval(() => {}, 1000));"
    )
    init = Init()
    directus = Launch(within(configuration, tmp_path / "cache"))
    init.install()
    try:
        async with anyio.create_task_group() as group:
            group.start_soon(directus.fill_cache, init)
            directus._deliver({"type": "unfilled"})
            await anyio.to_thread.run_sync(eventually, lambda: pid_file.exists() and pid_file.read_text() != "")
            group.cancel_scope.cancel()
    finally:
        init.uninstall()
    assert is_gone(int(pid_file.read_text()))
