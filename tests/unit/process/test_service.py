"""A service in a process of its own: what comes between two lives, in an order that is forced."""

from __future__ import annotations

import errno
import json
import os
import textwrap
from typing import Any

from tests.unit.scripts import run_script

START = """
import os, resource, signal
from collections import deque
from contextlib import asynccontextmanager
from pathlib import Path
import anyio
from supervisor import errors
from supervisor.errors import SupervisorError
from supervisor.logs.setup import close, set_up
from supervisor.process.child import ChildSpec, running
from supervisor.process.init import Init
from supervisor.process.restart import RestartPolicy
from supervisor.process.service import Readiness, Service, ServiceSpec

class Output:
    last_lines = deque(["words"])
    def forget(self): pass

class Observer:
    def launching(self): pass
    def ready(self): pass
    def down(self, why): pass
    def died(self, ending): pass

def service(init, observer, *argv, backoff_s=600.0, limit=5, **more):
    spec = ServiceSpec(
        child=ChildSpec(name="thing", argv=argv, environment={"PATH": os.environ["PATH"]}, cwd=Path("/"),
            stop_timeout_s=1.0, consume=lambda stream, line: None),
        policy=RestartPolicy(backoff_s=backoff_s, factor=1, backoff_max_s=600, jitter=0, stable_s=60, limit=limit,
            window_s=600),
        output=Output(),
        **more,
    )
    return Service(spec, init, observer)

async def main():
    init = Init()
    init.install()
    with anyio.fail_after(30):
        await body(init)
    init.uninstall()

set_up("json", "debug")
"""


def run_body(body: str) -> list[dict[str, Any]]:
    script = START + "async def body(init):\n" + textwrap.indent(textwrap.dedent(body), "    ")
    return [json.loads(line) for line in run_script(script + "\nanyio.run(main)\nclose()\n")]


def of(records: list[dict[str, Any]], event: str) -> list[dict[str, Any]]:
    return [record for record in records if record["event"] == event]


def test_a_reload_between_a_death_and_its_backoff_ends_the_backoff() -> None:
    records = run_body("""
        async with anyio.create_task_group() as group:
            class Reloading(Observer):
                deaths = 0
                def down(self, why):
                    # The process is dead, and nothing was decided yet.
                    self.deaths += 1
                    if self.deaths == 2:
                        group.cancel_scope.cancel()
                    else:
                        kept.reload()
            kept = service(init, Reloading(), "false")
            group.start_soon(kept.keep_running)
    """)
    assert [record["cause"] for record in of(records, "process.restarting")] == ["exit"]
    assert len(of(records, "process.started")) == 2


def test_a_reload_of_a_running_process_is_told_and_costs_no_restart() -> None:
    records = run_body("""
        async with anyio.create_task_group() as group:
            class Observing(Observer):
                lives = 0
                def launching(self):
                    self.lives += 1
                    if self.lives == 1:
                        group.start_soon(reload)
                    else:
                        group.cancel_scope.cancel()
                def died(self, ending):
                    raise AssertionError(ending)
            async def reload():
                kept.reload()
            kept = service(init, Observing(), "sleep", "600")
            group.start_soon(kept.keep_running)
        assert kept.restarts == 0
    """)
    (restarting,) = of(records, "process.restarting")
    assert (restarting["cause"], restarting["level"], restarting["delay_s"]) == ("reload", "info", 0)


def test_a_process_that_the_system_could_not_start_is_tried_again_by_the_policy() -> None:
    records = run_body("""
        async with anyio.create_task_group() as group:
            limits = resource.getrlimit(resource.RLIMIT_NOFILE)
            class Observing(Observer):
                def died(self, ending):
                    assert (ending.trouble.cause, ending.status, ending.restarts) == ("not_started", None, 0)
                    resource.setrlimit(resource.RLIMIT_NOFILE, limits)
                    group.start_soon(stop_when_started)
            async def stop_when_started():
                while "pid" not in kept.facts:
                    await anyio.sleep(0.01)
                group.cancel_scope.cancel()
            kept = service(init, Observing(), "sleep", "600", backoff_s=0.0)
            highest = max(map(int, os.listdir("/proc/self/fd")))
            resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1, limits[1]))
            group.start_soon(kept.keep_running)
    """)
    (restarting,) = of(records, "process.restarting")
    assert restarting["cause"] == "not_started"
    assert restarting["reason"].startswith(f"could not be started: {os.strerror(errno.EMFILE)}")
    assert len(of(records, "process.started")) == 1


def test_a_process_seen_dead_before_its_word_was_heard_was_ready_all_the_same() -> None:
    records = run_body("""
        @asynccontextmanager
        async def seen_dead_first(spec, init):
            async with running(spec, init) as child:
                # Its word and its end lie there together when the loop looks next.
                os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
                yield child

        async def probe():
            return False

        def explain():
            return SupervisorError(errors.DIRECTUS_MISCONFIGURED, "explained")

        script = "printf '\\"ready\\"\\n' >&$NODE_CHANNEL_FD; exit 3"
        readiness = Readiness(timeout_s=20, probe=probe)
        kept = service(init, Observer(), "sh", "-c", script, backoff_s=0.0, limit=1, start=seen_dead_first,
            readiness=readiness, explain=explain)
        try:
            await kept.keep_running()
        except SupervisorError as error:
            assert error.failure is errors.CRASH_LOOP, error
    """)
    assert len(of(records, "process.started")) == 2
