"""What these commands share: where the database is, one session soon or a clear failure, and how a failure is told."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from supervisor import errors
from supervisor.configuration import directus_environment, migration_target
from supervisor.directus.install import find_installation
from supervisor.errors import CONFIG_INVALID, SupervisorError
from supervisor.logs.setup import close, set_up
from supervisor.postgres.connect import connect, connection_lost, judge, lost
from supervisor.postgres.target import Target
from supervisor.settings import Settings, load_settings

if TYPE_CHECKING:
    from supervisor.postgres.connect import Connection

# A person waits for the answer; the patience of a boot would be the wrong one.
_CONNECT_S: Final = 5.0
_INTERRUPTED: Final = 130


@dataclass(frozen=True, slots=True)
class Place:
    """A deployment, as far as these commands need it: Directus itself need not be installed.

    Attributes:
        settings: the supervisor's own settings.
        target: the database, by the way that migrations take.
        directus_version: that of the installation; None without one.
    """

    settings: Settings
    target: Target
    directus_version: str | None = None


def find_place(environ: Mapping[str, str], cwd: Path) -> Place:
    """Read the settings and where the database is.

    Raises:
        SupervisorError: ``config.invalid`` with every problem of the settings, or of the database's variables.
    """
    settings = find_settings(environ, cwd)
    installation = None
    with suppress(SupervisorError):
        installation = find_installation(settings.directus_dir, settings.node, environ, cwd)
    target = migration_target(directus_environment(environ, installation, cwd), settings)
    return Place(settings, target, installation.version if installation is not None else None)


def find_settings(environ: Mapping[str, str], cwd: Path) -> Settings:
    """Read the settings alone.

    Raises:
        SupervisorError: ``config.invalid`` with every problem.
    """
    loaded = load_settings(environ, cwd)
    if loaded.problems:
        raise SupervisorError(CONFIG_INVALID, "; ".join(loaded.problems), problems=list(loaded.problems))
    return loaded.settings


@asynccontextmanager
async def session(place: Place) -> AsyncIterator[Connection]:
    """One session on the database, without the patience of a boot.

    Raises:
        SupervisorError: ``postgres.unreachable``, ``postgres.refused``, ``postgres.connection_lost``.
    """
    target = place.target
    try:
        connection = await connect(target, _CONNECT_S)
    except SupervisorError:
        raise
    except Exception as error:
        verdict = judge(error, target)
        failure = errors.POSTGRES_UNREACHABLE if verdict.retry else errors.POSTGRES_REFUSED
        raise SupervisorError(failure, f"{target.label}: {verdict.cause}", remedy=verdict.remedy or None) from error
    try:
        yield connection
    except Exception as error:
        if not isinstance(error, SupervisorError) and lost(error):
            raise connection_lost("the command", error) from error
        raise
    finally:
        connection.terminate()


def told(environ: Mapping[str, str], cwd: Path, act: Callable[[], int]) -> int:
    """Run a command with the log set up, and tell its failure on stderr.

    Returns:
        What the command returns, or the status of its failure.
    """
    settings = load_settings(environ, cwd).settings
    set_up(settings.log_format, settings.log_level)
    try:
        return act()
    except SupervisorError as error:
        tell(error)
        return error.exit_code
    except KeyboardInterrupt:
        return _INTERRUPTED
    finally:
        close()


def tell(error: SupervisorError) -> None:
    """A failure, for a person."""
    say(f"{error.failure.code}: {error.message}\n{error.remedy}")


def say(text: str) -> None:
    """A line beside the answer: it goes to stderr, so that stdout is the answer alone."""
    print(text, file=sys.stderr)  # noqa: T201
