"""The command line: thin, with heavy imports inside the command that needs them, and the only place of exit codes."""

from __future__ import annotations

import argparse
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

from supervisor import __version__
from supervisor.check.arguments import add_check
from supervisor.commands.grammar import RECORD_COMMANDS, add_record_commands
from supervisor.console.arguments import add_commands
from supervisor.dry_run.arguments import add_dry_run, dry_run
from supervisor.errors import ExitCode, as_failure
from supervisor.explain.arguments import add_explain, explain

if TYPE_CHECKING:
    from supervisor.incidents.reporter import Reporter
    from supervisor.process.signals import SignalInbox
    from supervisor.run import Report

PROGRAM: Final = "directus-supervisor"

_LONGEST_S: Final = 86_400.0
# As a shell tells an end by a signal.
_BY_SIGNAL: Final = 128

_EPILOG: Final = """\
examples:
  directus-supervisor run                 boot, then supervise Directus (the container's command)
  directus-supervisor migrate             bring the database up to date and exit (CI gate, init container)
  directus-supervisor dev                 the same on a bare machine: embedded PostgreSQL, Directus from npm
  directus-supervisor dry-run             try all of it on a throwaway database, twice
  directus-supervisor check               find mistakes in the SQL files without a database (CI, pre-commit)
  directus-supervisor plan                show what a boot would do with the SQL files; --check for CI
  directus-supervisor history             show the past boots
  directus-supervisor restore BACKUP      bring back what a schema apply has copied out before it was dropped
  directus-supervisor config              show the effective settings and where each comes from
  directus-supervisor health --ready      ask the health port; exit 0 or 1 (HEALTHCHECK)
  directus-supervisor status              what the running supervisor does; also: top, logs --follow, reload
  directus-supervisor explain FILE        tell from a log what happened, why, and what to do
  directus-supervisor exec -- CMD ARG …   run any other command with an init: signals, orphans, exit status

Settings are environment variables (SUPERVISOR_*, and Directus' own DB_*) or keys of supervisor.yaml.
"""


class _Parser(argparse.ArgumentParser):
    """Ends with the status that sysexits(3) has for wrong usage."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(ExitCode.USAGE, f"{self.prog}: {_with_nearest(message)}; see `{self.prog} --help`\n")


def _with_nearest(message: str) -> str:
    """The message of argparse, but for a wrong choice that is nearly a right one: that one instead of all."""
    import difflib  # noqa: PLC0415 - for a mistake alone

    wrong = re.search(r"invalid choice: '([^']*)' \(choose from (.*)\)", message)
    if wrong is None:
        return message
    near = difflib.get_close_matches(wrong[1], wrong[2].replace("'", "").split(", "), n=1)
    return f"invalid choice: '{wrong[1]}', did you mean '{near[0]}'?" if near else message


def make_parser() -> argparse.ArgumentParser:
    """The grammar of the command line."""
    parser = _Parser(
        prog=PROGRAM,
        description="PID 1 for Directus containers: migrates the database in ordered phases, then supervises Directus.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True, parser_class=_Parser)

    def command(name: str, summary: str, example: str) -> argparse.ArgumentParser:
        return commands.add_parser(
            name,
            help=summary,
            description=summary,
            epilog=f"example:\n  {example}\n",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )

    run = command("run", "Boot, then keep Directus running until a signal.", "docker run IMAGE run")
    run.add_argument("--once", action="store_true", help="end with status 0 as soon as Directus has been ready")

    migrate = command(
        "migrate",
        "Run the phases, then exit: the CI gate and the init container.",
        "docker run --rm -e DB_HOST=… IMAGE migrate && echo 'the database is up to date'",
    )
    migrate.add_argument(
        "--expect-unchanged", action="store_true", help="exit 1 when a phase had something to change (CI: a second run)"
    )

    dev = command(
        "dev",
        "Set up PostgreSQL and Directus on this machine, and run the project in the working directory.",
        "directus-supervisor dev --once",
    )
    dev.add_argument("--once", action="store_true", help="boot, wait until ready, print the phases, and exit")
    dev.add_argument("--fresh", action="store_true", help="start over with an empty database")

    add_dry_run(command)

    add_check(command)
    add_record_commands(command)

    restore = command(
        "restore",
        "Bring back what was copied out before a schema apply dropped it: all of a backup, or nothing.",
        "directus-supervisor restore /backups/20260101T120000Z-0123456789abcdef --list",
    )
    restore.add_argument("backup", type=Path, metavar="BACKUP", help="the folder of one backup")
    restore.add_argument("--list", dest="only_list", action="store_true", help="say what it holds; change nothing")

    snapshot = command(
        "snapshot",
        "Write the live schema into the snapshot file when it says something else; tables of SQL files are left out.",
        "directus-supervisor snapshot --check",
    )
    snapshot.add_argument("--check", action="store_true", help="write nothing; exit 1 when file and database differ")
    snapshot.add_argument("--output", type=Path, metavar="FILE", help="the file (default: SUPERVISOR_SNAPSHOT)")

    diff = command(
        "diff",
        "Show what applying the snapshot would change; exit 0 for nothing, 1 for something.",
        "directus-supervisor diff --json",
    )
    diff.add_argument("--json", action="store_true", help="as one JSON object")

    command(
        "compile",
        "Fill Node.js' cache of compiled code, for a quicker start; without a database: when an image is built.",
        "RUN directus-supervisor compile",
    )

    config = command("config", "Print the effective settings, where each came from, secrets masked.", "config --json")
    config.add_argument("--json", action="store_true", help="as one JSON object")

    health = command(
        "health",
        "Ask the health port of the running supervisor; exit 0 or 1.",
        "HEALTHCHECK CMD [… 'health']",
    )
    which = health.add_mutually_exclusive_group()
    which.add_argument("--ready", dest="probe", action="store_const", const="/readyz", help="ready? (the default)")
    which.add_argument("--live", dest="probe", action="store_const", const="/livez", help="alive?")
    which.add_argument("--startup", dest="probe", action="store_const", const="/startupz", help="booted once?")
    health.set_defaults(probe="/readyz")
    health.add_argument("--timeout", type=_seconds, default=5.0, metavar="S", help="seconds to wait (default 5)")

    add_commands(command)
    add_explain(command)

    execute = command(
        "exec",
        "Be a transparent init for any command: forward signals, reap orphans, end with its status.",
        "directus-supervisor exec -- node worker.js --queue mail",
    )
    execute.usage = f"{PROGRAM} exec [-h] -- CMD [ARG …]"
    execute.add_argument("argv", nargs="+", metavar="CMD", help="the program, by path or in PATH, and its arguments")

    command("version", "Print the versions of the supervisor, Python and Directus.", "directus-supervisor version")
    return parser


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds <= _LONGEST_S:
        raise ValueError
    return seconds


def main(arguments: Sequence[str], inbox: SignalInbox) -> int:
    """Run one command.

    Args:
        arguments: the command line without the program's name.
        inbox: where signals have been arriving since the process began.

    Returns:
        The status to exit with.
    """
    try:
        try:
            options = make_parser().parse_args(arguments)
            return _COMMANDS[options.command](options, inbox)
        finally:
            # Python has none for one that was closed at the start.
            if sys.stdout is not None:
                sys.stdout.flush()
    except BrokenPipeError:
        # `config | head`: whoever reads has enough. What is buffered must not be tried again at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _BY_SIGNAL + signal.SIGPIPE


def _run(options: argparse.Namespace, inbox: SignalInbox) -> int:
    return _engine(inbox, command="run", launch=True, once=options.once)


def _migrate(options: argparse.Namespace, inbox: SignalInbox) -> int:
    return _engine(inbox, command="migrate", launch=False, once=False, unchanged=options.expect_unchanged)


def _engine(inbox: SignalInbox, *, command: str, launch: bool, once: bool, unchanged: bool = False) -> int:
    started = time.monotonic()
    from supervisor.logs import events  # noqa: PLC0415
    from supervisor.logs.setup import close, get_log, set_up  # noqa: PLC0415
    from supervisor.settings import load_settings  # noqa: PLC0415

    # The log is up before the heavy imports and before the configuration is judged.
    early = load_settings(os.environ, Path.cwd()).settings
    set_up(early.log_format, early.log_level)
    log = get_log("supervisor")
    log.emit(
        events.SUPERVISOR_STARTED,
        version=__version__,
        pid=os.getpid(),
        python=".".join(map(str, sys.version_info[:3])),
        run=command,
    )
    from supervisor.incidents.reporter import Reporter  # noqa: PLC0415 - after the first log line
    from supervisor.tracing.session import traced  # noqa: PLC0415 - after the first log line

    reporter = Reporter(early, started)
    exit_code = 0
    with traced(os.environ, version=__version__, command=command):
        try:
            report = _run_engine(inbox, reporter, launch=launch, once=once)
            # A stop is what `run` is for; a migration that was stopped is not done.
            if report.stopped_by is not None and not launch:
                exit_code = _BY_SIGNAL + report.stopped_by
            elif report.ended_with is not None:
                exit_code = report.ended_with.shell_code
            elif unchanged:
                _expect_unchanged(report)
            log.emit(events.SUPERVISOR_STOPPED, exit_code=exit_code, uptime_s=round(time.monotonic() - started, 3))
            if once:
                _print_summary(report)
        except Exception as error:  # noqa: BLE001 - PID 1 must explain even what it does not understand
            failure = as_failure(reporter.ended_by(error))
            exit_code = failure.exit_code
            log.emit(
                events.SUPERVISOR_FAILED,
                code=failure.failure.code,
                message=failure.message,
                remedy=failure.remedy,
                exit_code=int(exit_code),
            )
    reporter.close()
    close()
    return int(exit_code)


def _run_engine(inbox: SignalInbox, reporter: Reporter, *, launch: bool, once: bool) -> Report:
    import anyio  # noqa: PLC0415 - after the first log line

    from supervisor.configuration import configure, log_warnings  # noqa: PLC0415
    from supervisor.directus.variables import secrets_in  # noqa: PLC0415
    from supervisor.launch import Launch  # noqa: PLC0415
    from supervisor.logs.setup import redactor  # noqa: PLC0415

    # The message of a failed configuration must not show a secret either.
    redactor.know(secret for name, value in os.environ.items() for secret in secrets_in(name, value))
    configuration = configure(os.environ, Path.cwd())
    redactor.know(configuration.secrets)
    log_warnings(configuration)
    reporter.booting(configuration)
    directus = Launch(configuration)
    if launch:
        directus.start_ahead()
    from supervisor.run import run_supervisor  # noqa: PLC0415 - these imports take as long as all before, Node works

    async def run() -> Report:
        return await run_supervisor(configuration, inbox, directus, reporter, launch=launch, once=once)

    return anyio.run(run)


def _expect_unchanged(report: Report) -> None:
    from supervisor.report import expect_unchanged  # noqa: PLC0415

    expect_unchanged(report)


def _print_summary(report: Report) -> None:
    from supervisor.report import phase_table  # noqa: PLC0415

    print(phase_table(report), file=sys.stderr)  # noqa: T201


def _dev(options: argparse.Namespace, _inbox: SignalInbox) -> int:
    from supervisor.dev.command import run_dev  # noqa: PLC0415

    return run_dev(Path.cwd(), once=options.once, fresh=options.fresh)


def _check(options: argparse.Namespace, _inbox: SignalInbox) -> int:
    from supervisor.check.command import Options, run_check  # noqa: PLC0415

    return run_check(
        os.environ,
        Path.cwd(),
        Options(options.directory, options.output, options.strict, options.lint, tuple(options.assume)),
    )


def _on_records(options: argparse.Namespace, _inbox: SignalInbox) -> int:
    return RECORD_COMMANDS[options.command](options)


def _restore(options: argparse.Namespace, _inbox: SignalInbox) -> int:
    from supervisor.directus.restore_command import run_restore  # noqa: PLC0415

    return run_restore(os.environ, Path.cwd(), options.backup, only_list=options.only_list)


def _snapshot(options: argparse.Namespace, _inbox: SignalInbox) -> int:
    from supervisor.directus.snapshot_command import run_snapshot  # noqa: PLC0415

    return run_snapshot(os.environ, Path.cwd(), options.output, check=options.check)


def _diff(options: argparse.Namespace, _inbox: SignalInbox) -> int:
    from supervisor.directus.snapshot_command import run_diff  # noqa: PLC0415

    return run_diff(os.environ, Path.cwd(), as_json=options.json)


def _compile(_options: argparse.Namespace, _inbox: SignalInbox) -> int:
    from supervisor.directus.compile_command import run_compile  # noqa: PLC0415

    return run_compile(os.environ, Path.cwd())


def _config(options: argparse.Namespace, _inbox: SignalInbox) -> int:
    from supervisor.show_config import show_config  # noqa: PLC0415

    return show_config(os.environ, Path.cwd(), as_json=options.json)


def _health(options: argparse.Namespace, _inbox: SignalInbox) -> int:
    from supervisor.health.ask import ask  # noqa: PLC0415

    return ask(os.environ, Path.cwd(), options.probe, options.timeout)


def _console(options: argparse.Namespace, _inbox: SignalInbox) -> int:
    from supervisor.console.commands import run  # noqa: PLC0415

    return run(options, os.environ, Path.cwd())


def _exec(options: argparse.Namespace, _inbox: SignalInbox) -> int:
    from supervisor.process.inherited import InheritedSignals  # noqa: PLC0415
    from supervisor.process.transparent import run_transparently  # noqa: PLC0415

    return run_transparently(options.argv, InheritedSignals.hold_all())


def _version(_options: argparse.Namespace, _inbox: SignalInbox) -> int:
    from supervisor.show_config import show_versions  # noqa: PLC0415

    return show_versions(os.environ, Path.cwd())


_COMMANDS: Final[dict[str, Callable[[argparse.Namespace, SignalInbox], int]]] = {
    "run": _run,
    "migrate": _migrate,
    "dev": _dev,
    "dry-run": lambda options, _inbox: dry_run(options),
    "check": _check,
    **dict.fromkeys(RECORD_COMMANDS, _on_records),
    "restore": _restore,
    "snapshot": _snapshot,
    "diff": _diff,
    "compile": _compile,
    "config": _config,
    "health": _health,
    "status": _console,
    "top": _console,
    "logs": _console,
    "log-level": _console,
    "reload": _console,
    "explain": lambda options, _inbox: explain(options),
    "exec": _exec,
    "version": _version,
}
