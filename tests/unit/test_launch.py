"""Room for another process of Directus: what was started ahead goes where memory is short."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from supervisor import launch
from supervisor.configuration import Configuration, configure
from supervisor.launch import Launch
from supervisor.process.init import Init
from tests.harness import Deployment, is_gone
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
    monkeypatch.setattr(launch, "limit_mb", lambda: limit)
    async with started_ahead(configuration) as (directus, pid):
        await directus.make_room()
        assert is_gone(pid) is not stays
    assert is_gone(pid)
