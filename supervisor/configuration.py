"""Everything that was configured, read and judged as a whole, so that all problems are told at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from supervisor.directus.environment import DirectusEnvironment, read_environment
from supervisor.directus.install import Installation, find_installation
from supervisor.directus.js_config import evaluator
from supervisor.directus.ping import Address
from supervisor.errors import CONFIG_INVALID, SupervisorError
from supervisor.logs import events
from supervisor.logs.setup import get_log
from supervisor.postgres.target import Target, resolve_target
from supervisor.programs import Programs, read_programs
from supervisor.settings import PREFIX, LoadedSettings, Settings, load_settings


@dataclass(frozen=True, slots=True)
class Configuration:
    """The settings, the installation and the database, all usable.

    Attributes:
        settings: the supervisor's own settings.
        installation: the Directus to run.
        environment: what Directus is configured with.
        target: the database that Directus uses.
        child_environment: the environment that Directus is started with.
        programs: what runs beside it.
        ignored: variables that are set and do nothing here, each with the reason.
    """

    settings: Settings
    installation: Installation
    environment: DirectusEnvironment
    target: Target
    child_environment: Mapping[str, str]
    programs: Programs
    ignored: Mapping[str, str]

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
    installation = environment = target = None
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
            target = resolve_target(environment)
        except SupervisorError as error:
            failures.append(error)
        failures += _port_problem(environment)
    if loaded.problems or failures or installation is None or environment is None or target is None:
        raise _all_at_once(loaded, failures)
    child = child_environment(environ, environment, watched=loaded.settings.watch_failures > 0)
    return Configuration(loaded.settings, installation, environment, target, child, programs, loaded.ignored)


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
    for a pm2 daemon; and a Node channel that somebody left open for us, on which Directus would die. ``LOG_STYLE`` is
    ``raw`` unless chosen, so that its lines stay structured. Where it is `watched` its log leaves the looks at it out,
    unless paths to leave out were chosen.
    """
    foreign = (PREFIX, "PM2_", "NODE_CHANNEL_")
    child = {name: value for name, value in environ.items() if not name.startswith(foreign)}
    if environment.value("LOG_STYLE") is None:
        child["LOG_STYLE"] = "raw"
    if watched and environment.value("LOG_HTTP_IGNORE_PATHS") is None:
        child["LOG_HTTP_IGNORE_PATHS"] = "/server/ping"
    return child


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
