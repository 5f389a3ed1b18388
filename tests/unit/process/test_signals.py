"""Signals from the first milliseconds on, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from supervisor.errors import ExitCode
from tests.unit.scripts import run_script

PROJECT = Path(__file__).parents[3]


@pytest.mark.parametrize("order", [["SIGHUP", "SIGTERM"], ["SIGTERM", "SIGHUP"]])
def test_the_listener_hears_what_came_before_it_in_order(order: list[str]) -> None:
    lines = run_script(f"""
        import asyncio, signal
        from supervisor.process.signals import SignalInbox
        inbox = SignalInbox()
        inbox.install()
        for name in {order}:
            signal.raise_signal(signal.Signals[name])
        print(inbox.stop_requested)

        async def main():
            heard = []
            inbox.listen(asyncio.get_running_loop(), lambda number: heard.append(number.name))
            await asyncio.sleep(0)
            print(*heard)
            print(inbox.stop_requested)
        asyncio.run(main())
    """)
    assert lines == ["True", " ".join(order), "False"]


def test_a_signal_wakes_a_loop_that_sleeps() -> None:
    lines = run_script("""
        import asyncio, os, signal, subprocess
        from supervisor.process.signals import SignalInbox
        inbox = SignalInbox()
        inbox.install()

        async def main():
            over = asyncio.Event()
            inbox.listen(asyncio.get_running_loop(), lambda number: over.set())
            await asyncio.sleep(0)
            subprocess.Popen(["sh", "-c", f"kill -TERM {os.getpid()}"])
            await asyncio.wait_for(over.wait(), 30)
            print("heard")
        asyncio.run(main())
    """)
    assert lines == ["heard"]


def test_what_the_parent_blocked_or_ignored_is_undone() -> None:
    lines = run_script("""
        import signal
        from supervisor.process.signals import SignalInbox
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTSTP, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
        inbox = SignalInbox()
        inbox.install()
        print(signal.getsignal(signal.SIGTSTP) is signal.SIG_DFL)
        print(signal.getsignal(signal.SIGPIPE) is signal.SIG_IGN)
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGINT)
        print(inbox.stop_requested, len(inbox._pending), len(signal.pthread_sigmask(signal.SIG_BLOCK, [])))
    """)
    assert lines == ["True", "True", "True 2 0"]


def test_a_signal_while_the_interpreter_ends_does_not_become_the_status(tmp_path: Path) -> None:
    # Objects are taken apart after the interpreter has given the signals back: this one sends a signal then.
    (tmp_path / "sitecustomize.py").write_text(
        "import os, signal, sys\n"
        "class Late:\n"
        "    def __del__(self, kill=os.kill, pid=os.getpid(), number=signal.SIGUSR1):\n"
        "        kill(pid, number)\n"
        "sys.late = Late()\n",
        encoding="utf-8",
    )
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": f"{tmp_path}:{PROJECT}", "SUPERVISOR_SQL_DIRR": "misspelt"}
    done = subprocess.run([sys.executable, "-m", "supervisor", "migrate"], env=environ, cwd=tmp_path, check=False)
    assert done.returncode == ExitCode.CONFIG
