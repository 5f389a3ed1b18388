"""The command's first lines: hear signals before anything else is imported."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Run the command line and end the process with its status."""
    command = command_to_exec(sys.argv[1:])
    if command:
        from supervisor.process.inherited import InheritedSignals  # noqa: PLC0415

        inherited = InheritedSignals.hold_all()
        from supervisor.process.transparent import run_transparently  # noqa: PLC0415 - a signal may come meanwhile

        # Nothing is buffered and nobody is waited for: the interpreter need not take itself apart.
        os._exit(run_transparently(command, inherited))

    from supervisor.process.signals import SignalInbox  # noqa: PLC0415

    inbox = SignalInbox()
    as_init = sys.argv[1:2] in (["run"], ["migrate"])
    if as_init:
        inbox.install()
        _fill_standard_streams()
    from supervisor.cli import main as run_command_line  # noqa: PLC0415 - the imports take 100 ms and more

    status = run_command_line(sys.argv[1:], inbox)
    if as_init:
        # The interpreter gives the signals back before it ends: one that came then would be our status.
        _flush()
        os._exit(status)
    sys.exit(status)


def _fill_standard_streams() -> None:
    """Open what was closed at the start: the next file or socket would get its number, and with it the log."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        # Python has none for one that was closed at the start.
        if stream is None:
            continue
        try:
            stream.flush()
        except (OSError, ValueError):
            continue


def command_to_exec(arguments: list[str]) -> list[str]:
    """What follows `exec --` or `exec`; empty for other commands, and for what the command line has to explain."""
    if arguments[:2] == ["exec", "--"]:
        return arguments[2:]
    if arguments[:1] == ["exec"] and not any(word.startswith("-") for word in arguments[1:2]):
        return arguments[1:]
    return []


if __name__ == "__main__":
    main()
