"""Everything that was configured, read and judged as a whole, so that all problems are told at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from supervisor.directus.compile_cache import CacheRefusedError, find_cache
from supervisor.directus.environment import DirectusEnvironment, read_environment
from supervisor.directus.install import Installation, find_installation
from supervisor.directus.js_config import evaluator
from supervisor.directus.ping import Address
from supervisor.errors import CONFIG_INVALID, SupervisorError
from supervisor.logs import events
from supervisor.logs.setup import get_log
from supervisor.postgres.connection_string import with_address
from supervisor.postgres.target import Target, resolve_target
from supervisor.programs import Programs, read_programs
from supervisor.settings import PREFIX, LoadedSettings, Settings, load_settings
from supervisor.status_token import read_status_token

# They would go before the variables that they name the files for.
_ADDRESS_FILES: Final = frozenset({"DB_HOST_FILE", "DB_PORT_FILE", "DB_CONNECTION_STRING_FILE"})


@dataclass(frozen=True, slots=True)
class Configuration:
    """The settings, the installation and the database, all usable.

    Attributes:
        settings: the supervisor's own settings.
        installation: the Directus to run.
        environment: what Directus is configured with.
        target: the database that Directus uses, by the way that migrations take.
        child_environment: the environment that Directus is started with.
        step_environment: the environment that Directus' own migrating steps are started with.
        programs: what runs beside it.
        ignored: variables that are set and do nothing here, each with the reason.
        status_token: opens everything on the health port.
    """

    settings: Settings
    installation: Installation
    environment: DirectusEnvironment
    target: Target
    child_environment: Mapping[str, str]
    step_environment: Mapping[str, str]
    programs: Programs
    ignored: Mapping[str, str]
    status_token: str | None = None

    @property
    def secrets(self) -> frozenset[str]:
        """Every text that must not be seen in a log: Directus' own, and those of the programs beside it."""
        token = {self.status_token} if self.status_token else set()
        return self.environment.secret_values() | self.programs.secrets | token

    @property
    def address(self) -> Address:
        """Where Directus listens."""
        socket = self.environment.text("UNIX_SOCKET_PATH")
        return Address(
            host=self.environment.text("HOST") or "0.0.0.0",  # noqa: S104 - Directus' own default
            port=int(self.environment.text("PORT") or "8055"),
            socket=self.installation.directory / socket if socket else None,
        )


def configure(environ: Mapping[str, str], cwd: Path) -> Configuration:
    """Read everything.

    Args:
        environ: the process environment.
        cwd: the working directory.

    Raises:
        SupervisorError: ``config.invalid`` with every problem there is; ``directus.not_found`` or
            ``directus.node_not_found`` when that is the only one.
    """
    loaded = load_settings(environ, cwd)
    programs, problems = read_programs(loaded.programs, loaded.path)
    loaded = replace(loaded, problems=(*loaded.problems, *problems))
    failures: list[SupervisorError] = []
    installation = environment = target = token = None
    try:
        token = read_status_token(loaded.settings)
    except SupervisorError as error:
        failures.append(error)
    try:
        installation = find_installation(loaded.settings.directus_dir, loaded.settings.node, environ, cwd)
    except SupervisorError as error:
        failures.append(error)
    try:
        environment = directus_environment(environ, installation, cwd)
    except SupervisorError as error:
        failures.append(error)
    if environment is not None:
        try:
            target = migration_target(environment, loaded.settings)
        except SupervisorError as error:
            failures.append(error)
        failures += _port_problem(environment)
    if loaded.problems or failures or installation is None or environment is None or target is None:
        raise _all_at_once(loaded, failures)
    child = child_environment(environ, environment, watched=loaded.settings.watch_failures > 0)
    step = step_environment(child, environment, target, loaded.settings, installation)
    return Configuration(
        loaded.settings, installation, environment, target, child, step, programs, loaded.ignored, token
    )


def migration_target(environment: DirectusEnvironment, settings: Settings) -> Target:
    """The database that Directus uses, by the way that migrations take: ``SUPERVISOR_MIGRATION_DB_HOST`` and its port.

    Raises:
        SupervisorError: ``config.invalid``.
    """
    return resolve_target(environment, settings.migration_db_host, settings.migration_db_port)


def directus_environment(
    environ: Mapping[str, str], installation: Installation | None, cwd: Path
) -> DirectusEnvironment:
    """What Directus is configured with.

    Args:
        environ: the process environment.
        installation: the Directus in question; without one only what needs no Node.js can be read.
        cwd: the folder that counts as Directus' own when there is no installation.

    Raises:
        SupervisorError: ``config.invalid``.
    """
    if installation is None:
        return read_environment(environ, cwd)
    evaluate = evaluator(installation.node, environ, installation.directory)
    return read_environment(environ, installation.directory, evaluate)


def child_environment(environ: Mapping[str, str], environment: DirectusEnvironment, *, watched: bool) -> dict[str, str]:
    """What Directus is started with.

    Left out are our own settings; the ``PM2_*`` variables, since with ``PM2_HOME`` set Directus' metrics would look
    for a pm2 daemon; a Node channel that somebody left open for us, on which Directus would die; and the way to our
    service manager, to which Directus would speak in our name. ``LOG_STYLE`` is
    ``raw`` unless chosen, so that its lines stay structured. Where it is `watched` its log leaves the looks at it out,
    unless paths to leave out were chosen.
    """
    foreign = (PREFIX, "PM2_", "NODE_CHANNEL_", "NOTIFY_SOCKET", "WATCHDOG_")
    child = {name: value for name, value in environ.items() if not name.startswith(foreign)}
    if environment.value("LOG_STYLE") is None:
        child["LOG_STYLE"] = "raw"
    if watched and environment.value("LOG_HTTP_IGNORE_PATHS") is None:
        child["LOG_HTTP_IGNORE_PATHS"] = "/server/ping"
    return child


def step_environment(
    child: Mapping[str, str],
    environment: DirectusEnvironment,
    target: Target,
    settings: Settings,
    installation: Installation,
) -> Mapping[str, str]:
    """What Directus' own migrating steps are started with: they take the way of the migrations, too.

    Args:
        child: what Directus is started with.
        environment: the configuration that it reads from that.
        target: the way of the migrations.
        settings: whether there is such a way at all.
        installation: the Directus in question.

    Raises:
        SupervisorError: ``config.invalid`` when the file at ``CONFIG_PATH``, which goes before the environment, names
            the database, so that the steps would go on by the other way.
    """
    if settings.migration_db_host is None and settings.migration_db_port is None:
        return child
    step = {name: value for name, value in child.items() if name not in _ADDRESS_FILES}
    connection_string = environment.text("DB_CONNECTION_STRING")
    if connection_string:
        # The prefix keeps Directus from splitting it at a comma.
        step["DB_CONNECTION_STRING"] = "string:" + with_address(connection_string, target.host, target.port)
    else:
        step |= {"DB_HOST": target.host, "DB_PORT": str(target.port)}
    # Whether Directus will go there is for its own rules to say.
    reached = resolve_target(directus_environment(step, installation, installation.directory))
    if reached != target:
        name = "DB_CONNECTION_STRING" if connection_string else "DB_HOST"
        raise SupervisorError(
            CONFIG_INVALID,
            f"SUPERVISOR_MIGRATION_DB_HOST cannot lead Directus' own steps to {target.host}:{target.port}: {name} "
            f"({environment.source(name)}) goes before the environment",
            remedy=f"Take {name} out of the file, and set it as a variable of the environment.",
        )
    return step


def _port_problem(environment: DirectusEnvironment) -> list[SupervisorError]:
    port = environment.text("PORT")
    if port is None or (port.isdecimal() and int(port) <= 65535):
        return []
    return [SupervisorError(CONFIG_INVALID, f"PORT is {port!r}, but must be a port from 0 to 65535")]


def _all_at_once(loaded: LoadedSettings, failures: list[SupervisorError]) -> SupervisorError:
    problems = list(loaded.problems)
    for failure in failures:
        told = failure.facts.get("problems")
        problems += [str(item) for item in told] if isinstance(told, list | tuple) else [failure.message]
    if len(failures) == 1 and not loaded.problems:
        return failures[0]
    return SupervisorError(CONFIG_INVALID, "; ".join(problems), problems=problems)


def log_warnings(configuration: Configuration) -> None:
    """Say what is usable but unwise, once, before anything begins."""
    log = get_log("config")
    installation, environment = configuration.installation, configuration.environment
    log.emit(
        events.DIRECTUS_FOUND,
        version=installation.version,
        path=str(installation.directory),
        node=str(installation.node),
    )
    if environment.process.get("CONFIG_PATH") and not environment.config_file_found:
        log.emit(
            events.CONFIG_WARNING,
            message=f"CONFIG_PATH names {environment.config_path}, which does not exist; Directus goes on without it",
            remedy="Correct CONFIG_PATH, or unset it.",
        )
    if not environment.text("SECRET"):
        log.emit(
            events.CONFIG_WARNING,
            message="SECRET is not set: Directus takes a random one at each start, and every login ends with it",
            remedy="Set SECRET (or SECRET_FILE) to a random text of at least 32 characters, the same for all replicas.",
        )
    if configuration.settings.compile_cache_dir is not None:
        try:
            find_cache(configuration.settings.compile_cache_dir, configuration.child_environment)
        except CacheRefusedError as error:
            log.emit(
                events.CONFIG_WARNING,
                message=f"Node.js' compile cache is not used: {error}",
                remedy="Name a folder in SUPERVISOR_COMPILE_CACHE_DIR that this user alone can write to, or unset it.",
            )
    shutdown_ms = environment.value("SERVER_SHUTDOWN_TIMEOUT")
    stop_timeout_s = configuration.settings.stop_timeout_s
    if isinstance(shutdown_ms, int | float) and shutdown_ms / 1000 >= stop_timeout_s:
        log.emit(
            events.CONFIG_WARNING,
            message=f"SERVER_SHUTDOWN_TIMEOUT is {shutdown_ms:g} ms, SIGKILL comes {stop_timeout_s:g} s after SIGTERM",
            remedy="Raise SUPERVISOR_STOP_TIMEOUT_S above SERVER_SHUTDOWN_TIMEOUT.",
        )
    for variable, reason in configuration.ignored.items():
        log.emit(
            events.CONFIG_WARNING,
            message=f"{variable} does nothing here: {reason}",
            remedy=f"Unset {variable}.",
        )
