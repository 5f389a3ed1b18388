"""`dry-run`: `check`, then all phases twice on a throwaway database, and an account of it."""

from __future__ import annotations

import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import anyio
import anyio.to_thread

from supervisor import errors
from supervisor.concurrency import one_error
from supervisor.dev.directus import DIRECTUS_VERSION, ensure_directus
from supervisor.dev.node import find_node
from supervisor.dev.progress import Step, progress_for
from supervisor.dev.throwaway import throwaway_cluster
from supervisor.directus.environment import read_environment
from supervisor.directus.install import Installation, find_installation
from supervisor.dry_run.account import Account, as_document, as_text, read_run, require_rest
from supervisor.dry_run.child import run_child
from supervisor.dry_run.database import Throwaway, throwaway_database
from supervisor.dry_run.environment import compose, extensions_of, require_isolation
from supervisor.errors import SupervisorError
from supervisor.postgres.connect import connect, quote_identifier
from supervisor.postgres.connection_string import ConnectionStringError, with_database
from supervisor.postgres.target import Target, resolve_target
from supervisor.settings import LoadedSettings, load_settings

_RUNS: Final = ("first run", "second run")
_CONNECT_S: Final = 10.0
# Lines of findings, far more than anybody reads.
_FINDINGS: Final = 10_000


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says.

    Attributes:
        against: address of a server; None for one of our own.
        keep: whether the database stays.
        as_json: whether the account is one JSON object.
    """

    against: str | None = None
    keep: bool = False
    as_json: bool = False


def run_dry(environ: Mapping[str, str], cwd: Path, options: Options) -> int:
    """Run the gate and print the account on stdout; everything else goes to stderr.

    Returns:
        0; the status of what failed; 1 when `check` found an error, or when the second run changed something; 128 and
        the signal's number when it was interrupted.
    """
    try:
        account = anyio.run(_run, environ, cwd, options)
    except SupervisorError as error:
        account = Account(status=error.exit_code, problem=_told(error))
    print(as_document(account) if options.as_json else as_text(account))  # noqa: T201
    return account.status


async def _run(environ: Mapping[str, str], cwd: Path, options: Options) -> Account:
    return await _Gate(environ, cwd, options).run()


class _Gate:
    """One call of the command, from the first signal handler to the dropped database."""

    def __init__(self, environ: Mapping[str, str], cwd: Path, options: Options) -> None:
        self._environ = environ
        self._cwd = cwd
        self._options = options
        self._account = Account()
        self._progress = progress_for()
        self._work = anyio.CancelScope()
        self._interrupted: signal.Signals | None = None

    async def run(self) -> Account:
        with one_error():
            async with anyio.create_task_group() as group:
                await group.start(self._hear_signals)
                try:
                    with self._work:
                        await self._go()
                except SupervisorError as error:
                    self._account.status, self._account.problem = error.exit_code, _told(error)
                finally:
                    group.cancel_scope.cancel()
        if self._interrupted is not None:
            self._account.status = 128 + self._interrupted
        return self._account

    async def _hear_signals(self, *, task_status: anyio.abc.TaskStatus[None]) -> None:
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as numbers:
            task_status.started()
            async for number in numbers:
                self._interrupted = number
                self._work.cancel()

    async def _go(self) -> None:
        loaded = load_settings(self._environ, self._cwd)
        if loaded.problems:
            raise SupervisorError(errors.CONFIG_INVALID, "; ".join(loaded.problems), problems=list(loaded.problems))
        if not await self._check():
            return
        async with AsyncExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="directus-dry-run-")))
            installation = await self._installation(loaded)
            database, variables = await stack.enter_async_context(self._database(loaded))
            composed = compose(self._environ, loaded, installation, variables, folder)
            configuration = require_isolation(composed, self._cwd, database)
            self._account.database, self._account.server = database.target.label, database.server
            await _make_schemas(database, configuration.target.search_path)
            for name in _RUNS:
                if not await self._run_phases(name, composed):
                    return
            require_rest(self._account.runs[-1])

    async def _check(self) -> bool:
        with self._progress.step("check"):
            # As people read it, beside an account that programs read.
            ended = await run_child(("check",), self._environ, self._cwd, kept_lines=_FINDINGS)
        if ended.status:
            _say("\n".join(ended.others))
            self._account.status = ended.status
            self._account.problem = {
                "code": "check",
                "message": "check found an error, or could not be run",
                "remedy": "Mend what it names; `directus-supervisor check` shows it again.",
            }
        return not ended.status

    async def _run_phases(self, name: str, composed: Mapping[str, str]) -> bool:
        with self._progress.step(name) as step:
            ended = await run_child(("migrate",), composed, self._cwd, lambda line: _show(step, line))
        run = read_run(ended.lines, ended.status)
        self._account.runs.append(run)
        if not ended.status:
            return True
        self._account.status = ended.status
        self._account.problem = run.failure or {
            "code": "dry_run",
            "message": f"the {name} ended with {ended.status}: {' / '.join(ended.others[-3:])}",
            "remedy": "Run `directus-supervisor migrate` on a database of its own to see all of its log.",
        }
        return False

    async def _installation(self, loaded: LoadedSettings) -> Installation:
        """That of the settings; where there is none at all, that which `dev` installs."""
        settings = loaded.settings
        try:
            return find_installation(settings.directus_dir, settings.node, self._environ, self._cwd)
        except SupervisorError:
            if settings.directus_dir is not None and settings.node is not None:
                raise
        directory = settings.directus_dir or await ensure_directus(
            DIRECTUS_VERSION, self._progress, environ=self._environ
        )
        return find_installation(directory, settings.node or find_node().node, self._environ, self._cwd)

    @asynccontextmanager
    async def _database(self, loaded: LoadedSettings) -> AsyncIterator[tuple[Throwaway, Mapping[str, str]]]:
        keep = self._options.keep
        if self._options.against is not None:
            server = server_of(self._options.against, self._cwd)
            async with throwaway_database(server, _say, keep=keep) as database:
                address = with_database(self._options.against, database.name)
                if keep:
                    self._account.kept = f"{database.name}, at the address given; the next dry run leaves it alone"
                yield database, {"DB_CLIENT": "pg", "DB_CONNECTION_STRING": f"string:{address}"}
            return
        async with throwaway_cluster(self._cwd, self._environ, self._progress, keep=keep) as cluster:
            environment = cluster.directus_env("postgres")
            server = resolve_target(read_environment(environment, self._cwd))
            async with throwaway_database(server, _say, keep=keep, goes_with_server=True) as database:
                if keep:
                    address = (
                        f"postgres://{cluster.user}:{cluster.password}@{cluster.host}:{cluster.port}/{database.name}"
                    )
                    self._account.kept = f"psql '{address}'; the next dry run here ends that server"
                variables = cluster.directus_env(database.name)
                yield database, {**variables, "SUPERVISOR_OPTIONAL_EXTENSIONS": extensions_of(loaded)}


def server_of(address: str, cwd: Path) -> Target:
    """Where an address leads, as Directus' driver reads it; without a database, to the one called postgres.

    Raises:
        SupervisorError: ``config.invalid``.
    """
    variables = {"DB_CLIENT": "pg", "DB_CONNECTION_STRING": f"string:{address}"}
    try:
        with_database(address, "")
    except ConnectionStringError as error:
        raise SupervisorError(errors.CONFIG_INVALID, f"the address after --against {error}") from None
    try:
        target = resolve_target(read_environment(variables, cwd))
    except SupervisorError as error:
        message = error.message.replace("DB_CONNECTION_STRING", "the address after --against")
        raise SupervisorError(errors.CONFIG_INVALID, message) from None
    names_one = address.partition("://")[2].partition("?")[0].partition("/")[2]
    return target if names_one else replace(target, database="postgres")


async def _make_schemas(database: Throwaway, names: tuple[str, ...]) -> None:
    """The schemas of ``DB_SEARCH_PATH``, which no phase makes."""
    wanted = [name for name in names if name != "public"]
    if not wanted:
        return
    session = await connect(database.target, _CONNECT_S)
    try:
        for name in wanted:
            await session.execute(f"CREATE SCHEMA IF NOT EXISTS {quote_identifier(name)}")
    finally:
        session.terminate()


def _show(step: Step, line: Mapping[str, Any]) -> None:
    if line.get("event") == "phase.finished":
        step.say(f"{line.get('phase')}: {line.get('outcome')}, {line.get('summary')}")


def _told(error: SupervisorError) -> dict[str, str]:
    return {"code": error.failure.code, "message": error.message, "remedy": error.remedy}


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201
