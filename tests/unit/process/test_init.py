"""The duties of an init, done in a process of its own, on real children."""

from __future__ import annotations

import json
import textwrap
from typing import Any

from tests.unit.scripts import run_script

START = """
import asyncio, os, signal, subprocess, sys
import anyio
from supervisor.logs.setup import close, set_up
from supervisor.process.init import Init, children, end_leftovers

def start(*argv, **options):
    # As a child is started: reaped by the init, not by Popen.
    process = subprocess.Popen(argv, **options)
    process.returncode = 0
    return process

def shell(script, **options):
    return start("sh", "-c", script, stdout=subprocess.PIPE, **options)

def wait_until_dead(pid):
    # It is a zombie when this returns: nobody has taken its status.
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)

def alive(pid):
    return os.path.exists(f"/proc/{pid}")

async def main():
    init = Init()
    init.install()
    assert init.adopts
    with anyio.fail_after(30):
        await body(init)
    init.uninstall()

set_up("json", "debug")
"""


def run_body(body: str) -> list[dict[str, Any]]:
    """Run an async body with an installed init; what was logged."""
    script = START + "async def body(init):\n" + textwrap.indent(textwrap.dedent(body), "    ")
    return [json.loads(line) for line in run_script(script + "\nanyio.run(main)\nclose()\n")]


def events(records: list[dict[str, Any]]) -> list[str]:
    return [record["event"] for record in records]


def test_an_orphan_is_reaped() -> None:
    records = run_body("""
        reading, writing = os.pipe()
        parent = shell(f"cat <&{reading} >/dev/null 2>&1 & echo $!", pass_fds=[reading])
        orphan = int(parent.stdout.readline())
        assert await init.watch(parent.pid) == 0
        assert orphan in children()
        os.close(writing)
        await init.until(lambda: not alive(orphan))
    """)
    assert events(records) == ["orphan.reaped"]


def test_a_status_is_kept_although_nobody_awaits_it_yet() -> None:
    run_body("""
        process = shell("exit 7")
        status = init.watch(process.pid)
        wait_until_dead(process.pid)
        init.reap()
        init.reap()
        assert os.waitstatus_to_exitcode(await status) == 7
    """)


def test_a_status_is_kept_although_the_child_ends_before_it_is_watched() -> None:
    records = run_body("""
        process = shell("exit 7")
        wait_until_dead(process.pid)
        status = init.watch(process.pid)
        await anyio.sleep(0)
        assert os.waitstatus_to_exitcode(await status) == 7
    """)
    assert records == []


def test_a_death_by_signal_is_told_as_one() -> None:
    run_body("""
        process = shell("kill -9 $$")
        status = await init.watch(process.pid)
        assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    """)


def test_many_children_that_end_at_once_keep_their_own_status() -> None:
    run_body("""
        watched = [init.watch(shell(f"exit {code}").pid) for code in range(30)]
        statuses = [os.waitstatus_to_exitcode(await status) for status in watched]
        assert statuses == list(range(30))
        assert children() == []
    """)


def test_what_ended_before_the_install_is_reaped_too() -> None:
    run_body("""
        init.uninstall()
        process = shell("exit 0")
        wait_until_dead(process.pid)
        assert process.pid in children()
        init.install()
        assert process.pid not in children()
    """)


def test_a_leftover_that_heeds_term_is_not_killed() -> None:
    records = run_body("""
        parent = shell("setsid sleep 600 >/dev/null 2>&1 & echo $!")
        leftover = int(parent.stdout.readline())
        await init.watch(parent.pid)
        assert init.leftovers() == {leftover}
        await end_leftovers(init, 20)
        assert not alive(leftover)
    """)
    assert "process.killed" not in events(records)


def test_a_leftover_in_its_own_session_that_ignores_term_is_killed() -> None:
    records = run_body("""
        parent = shell('''setsid sh -c 'trap "" TERM; echo $$; exec sleep 600 >&-' &''')
        leftover = int(parent.stdout.readline())
        await init.watch(parent.pid)
        await end_leftovers(init, 0.1)
        assert not alive(leftover)
        assert children() == []
    """)
    (killed,) = (record for record in records if record["event"] == "process.killed")
    assert len(killed["pids"]) == 1


def test_the_children_of_a_leftover_are_ended_too() -> None:
    run_body("""
        parent = shell('''setsid sh -c 'trap "" TERM; sleep 600 >&- & sleep 601 >&- & echo; wait' & wait $!''')
        parent.stdout.readline()
        status = init.watch(parent.pid)
        os.kill(parent.pid, signal.SIGKILL)
        await status
        await end_leftovers(init, 0.1)
        assert children() == []
    """)


def test_a_watched_child_is_no_leftover() -> None:
    run_body("""
        process = shell("exec sleep 600")
        status = init.watch(process.pid)
        await end_leftovers(init, 0)
        assert alive(process.pid)
        os.kill(process.pid, signal.SIGKILL)
        await status
    """)


def test_where_orphans_are_not_ours_a_condition_is_asked_again_all_the_same() -> None:
    run_body("""
        init.adopts = False
        asked = []
        await init.until(lambda: asked.append(1) or len(asked) > 3)
        assert init.leftovers() == set()
    """)
