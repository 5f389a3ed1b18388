"""`restore`: show what a backup holds, or bring it back under the migration lock."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import anyio

from supervisor.configuration import Configuration, configure
from supervisor.directus.backup_manifest import Backup, read_backup
from supervisor.directus.restore import restore
from supervisor.errors import POSTGRES_UNREACHABLE, ExitCode, SupervisorError
from supervisor.logs.setup import close, set_up
from supervisor.postgres.connect import connect, connection_lost, judge, lost
from supervisor.postgres.lock import migration_lock
from supervisor.settings import load_settings

_CONNECT_S: Final = 10.0
_AFTERWARDS: Final = (
    "Restart Directus: it remembers the schema. Export a new snapshot before the next boot, whose snapshot would drop "
    "all this again."
)


def run_restore(environ: Mapping[str, str], cwd: Path, folder: Path, *, only_list: bool) -> int:
    """Bring a backup back, or only say what it holds.

    Args:
        environ: the process environment.
        cwd: the working directory.
        folder: the backup.
        only_list: change nothing.

    Returns:
        0, or the status of the failure, which is told on stderr.
    """
    settings = load_settings(environ, cwd).settings
    set_up(settings.log_format, settings.log_level)
    try:
        backup = read_backup(cwd / folder)
        print(describe(backup))  # noqa: T201
        if not only_list:
            configuration = configure(environ, cwd)
            for line in anyio.run(_restore, configuration, backup):
                print(line)  # noqa: T201
            print(_AFTERWARDS)  # noqa: T201
    except SupervisorError as error:
        print(f"{error.failure.code}: {error.message}\n{error.remedy}", file=sys.stderr)  # noqa: T201
        return error.exit_code
    finally:
        close()
    return ExitCode.STOPPED


def describe(backup: Backup) -> str:
    """What a backup holds, for people. Pure."""
    lines = [
        f"{backup.folder}: {backup.created_at}, {backup.database}, {backup.versions}, plan {backup.digest}",
        *(f"  {item.rows:>9} rows  {item.why}" for item in backup.items),
    ]
    return "\n".join(lines)


async def _restore(configuration: Configuration, backup: Backup) -> list[str]:
    try:
        connection = await connect(configuration.target, _CONNECT_S)
    except Exception as error:
        verdict = judge(error, configuration.target)
        raise SupervisorError(POSTGRES_UNREACHABLE, verdict.cause, remedy=verdict.remedy or None) from error
    try:
        async with migration_lock(connection, configuration.settings.lock_timeout_s, configuration.target):
            return await restore(connection, backup)
    except Exception as error:
        if lost(error):
            raise connection_lost("the restore", error) from error
        raise
    finally:
        connection.terminate()
