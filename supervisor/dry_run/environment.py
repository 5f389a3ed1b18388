"""The environment of a dry run: that of the deployment, led to one database and to nothing else."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from supervisor.configuration import Configuration, configure
from supervisor.directus.install import Installation
from supervisor.dry_run.database import Throwaway
from supervisor.errors import DRY_RUN_NOT_ISOLATED, SupervisorError
from supervisor.postgres.sqlfile import load_tree
from supervisor.settings import CONFIG_VARIABLE, PROGRAM_KEYS, LoadedSettings
from supervisor.yaml_file import parse_yaml

# What belongs to the deployment rather than to its server; all others say where that is.
_DATABASE_KEPT: Final = ("DB_SEARCH_PATH", "DB_EXCLUDE_TABLES")
# A schema apply flushes the caches, which may be those of the Directus that serves.
_ELSEWHERE: Final = ("REDIS", "REDIS_HOST")
_HERE: Final = {
    "CACHE_ENABLED": "false",
    "CACHE_STORE": "memory",
    "SYNCHRONIZATION_STORE": "memory",
    "RATE_LIMITER_ENABLED": "false",
    "TELEMETRY": "false",
}


def compose(
    environ: Mapping[str, str],
    loaded: LoadedSettings,
    installation: Installation,
    database: Mapping[str, str],
    folder: Path,
) -> dict[str, str]:
    """The environment of the phases.

    Args:
        environ: that of this process.
        loaded: the deployment's settings.
        installation: the Directus to run.
        database: the ``DB_*`` variables of the throwaway database.
        folder: for what the run needs on disk, gone afterwards.

    Raises:
        SupervisorError: ``config.invalid`` when ``supervisor.yaml`` cannot be read.
    """
    composed = {name: value for name, value in environ.items() if not _leads_elsewhere(name)}
    composed |= {**_HERE, **database}
    for name in ("SECRET", "ADMIN_PASSWORD"):
        composed.setdefault(name, secrets.token_hex(16))
    composed.setdefault("ADMIN_EMAIL", "admin@example.com")
    composed |= {
        "STORAGE_LOCAL_ROOT": str(folder / "uploads"),
        "SUPERVISOR_DIRECTUS_DIR": str(installation.directory),
        "SUPERVISOR_NODE": str(installation.node),
        "SUPERVISOR_LOG_FORMAT": "json",
        "SUPERVISOR_LOG_LEVEL": "info",
    }
    if any(loaded.programs.values()):
        composed[CONFIG_VARIABLE] = str(_without_programs(loaded.path, folder))
    return composed


def _leads_elsewhere(name: str) -> bool:
    if name.startswith(("DB_", "PG")):
        return name not in _DATABASE_KEPT
    return name.startswith(("REDIS", "SUPERVISOR_MIGRATION_DB_"))


def _without_programs(path: Path, folder: Path) -> Path:
    """A copy of the settings without steps and side processes: what those reach, nobody here knows."""
    document: Any = parse_yaml(path.read_text(encoding="utf-8"), path, unique_keys=True)
    kept = {key: value for key, value in dict(document).items() if key not in PROGRAM_KEYS}
    copy = folder / "supervisor.yaml"
    copy.write_text(json.dumps(kept, default=str), encoding="utf-8")
    return copy


def extensions_of(loaded: LoadedSettings) -> str:
    """Every extension that a SQL file requires, and those that may be missing anyway, as the setting lists them.

    Raises:
        SupervisorError: what reading the files raises.
    """
    required = {one.name for file in load_tree(loaded.settings.sql_dir).all for one in file.directives.extensions}
    return ",".join(sorted({*required, *loaded.settings.optional_extensions}))


def require_isolation(composed: Mapping[str, str], cwd: Path, database: Throwaway) -> Configuration:
    """Prove that the phases will reach the throwaway database and no other.

    They read their configuration by this very code, from this very environment.

    Args:
        composed: the environment that they get.
        cwd: the folder that they run in.
        database: the one that was made.

    Raises:
        SupervisorError: ``dry_run.not_isolated``, and whatever a bad configuration raises.
    """
    configuration = configure(composed, cwd)
    wanted = (database.target.host, database.target.port, database.name)
    reached = configuration.target
    environment = configuration.environment
    if (reached.host, reached.port, reached.database) != wanted:
        raise SupervisorError(
            DRY_RUN_NOT_ISOLATED,
            f"the configuration leads to {reached.label} rather than to {database.target.label}: "
            f"{environment.config_path} goes before the environment",
        )
    for name in _ELSEWHERE:
        if environment.text(name):
            raise SupervisorError(
                DRY_RUN_NOT_ISOLATED,
                f"{name} ({environment.source(name)}) names a Redis, whose caches a schema apply flushes",
            )
    return configuration
