"""Every setting of the supervisor: its name, type, unit, default and one line of help.

A setting is one field of :class:`Settings`. Its environment variable is ``SUPERVISOR_`` and the field's name in
capitals, its key in ``supervisor.yaml`` is the field's name. ``docs/configuration.md`` is generated from here.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final

from supervisor import kinds, pm2
from supervisor.errors import SupervisorError
from supervisor.kinds import Kind
from supervisor.yaml_file import parse_yaml

PREFIX: Final = "SUPERVISOR_"
DEFAULT_CONFIG: Final = Path("supervisor.yaml")

# A service named "supervisor" is announced by Kubernetes and Docker links in such variables; supervisord sets
# the others for its programs; SUPERVISOR_DEV_* belong to `directus-supervisor dev`.
_FOREIGN: Final = re.compile(
    r"SUPERVISOR_((\w+_)?(SERVICE_(HOST|PORT(_\w+)?)|PORT_\d+_\w+)|PORT|NAME|ENV_.*"
    r"|ENABLED|PROCESS_NAME|GROUP_NAME|SERVER_URL|DEV_.*)"
)
# What Kubernetes puts into the *_PORT variable of a service: "supervisor-health" would claim SUPERVISOR_HEALTH_PORT.
_SERVICE_URL: Final = re.compile(r"(tcp|udp|sctp)://.*")


def _setting(kind: Kind, default: object, help_text: str) -> Any:  # noqa: ANN401 - as dataclasses.field
    return field(default=default, metadata={"kind": kind, "help": help_text})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The effective settings. Durations are in seconds and end in ``_s``."""

    directus_dir: Path | None = _setting(
        kinds.PATH,
        None,
        "Folder that holds `cli.js` or `node_modules/directus/cli.js`; Directus runs in it. "
        "Unset: `/directus`, then the working directory.",
    )
    node: Path | None = _setting(kinds.PATH, None, "The Node.js binary. Unset: `node` on PATH.")
    command: tuple[str, ...] = _setting(
        kinds.COMMAND, (), "Runs and supervises this command in place of `directus start`."
    )
    start_ahead: bool = _setting(
        kinds.BOOLEAN,
        True,
        "Let Node.js load Directus' modules while the phases run: it waits for them with about 250 MB. Never where the "
        "configuration has one-shot steps, which may change what it loads.",
    )
    compile_cache_dir: Path | None = _setting(
        kinds.PATH,
        None,
        "Folder for Node.js' cache of compiled code, 11 MB, filled by `compile` or beside the first start: in it a "
        "folder that this user alone can write to, or else one of root's, which is read. Unset: `$XDG_CACHE_HOME` or "
        "`~/.cache`. `NODE_COMPILE_CACHE` goes before it, `NODE_DISABLE_COMPILE_CACHE=1` turns it off.",
    )
    sql_dir: Path = _setting(
        kinds.PATH, Path("sql"), "Folder that holds `pre-schema/` and `post-schema/` with the SQL files."
    )
    snapshot: Path = _setting(kinds.PATH, Path("snapshots/schema.yaml"), "The Directus schema snapshot.")
    schema_mode: str = _setting(
        kinds.SCHEMA_MODE,
        "safe",
        "How far the schema apply may go: `safe` applies when nothing is lost, else stops (exit 6); `additive` leaves "
        "out what would lose data; `plan` only shows; `skip` does not look; `force` loses what it must.",
    )
    approve_plan: str = _setting(
        kinds.TEXT, "", "The digest of the one plan that may lose data, as the refusal shows it; it works once."
    )
    allow_downgrade: str = _setting(
        kinds.TEXT,
        "",
        "The approval of going back to an older release, as `release.superseded` shows it; it works once. `always`: "
        "only where two releases never run at once.",
    )
    backup_dir: Path | None = _setting(
        kinds.PATH, None, "Folder where tables and columns are copied out before the schema apply drops them."
    )
    optional_extensions: tuple[str, ...] = _setting(
        kinds.NAMES,
        (),
        "Extensions that may be missing on the server: SQL files that require one stay pending until it is there.",
    )
    postgres_timeout_s: float = _setting(
        kinds.POSITIVE_SECONDS, 120.0, "How long a boot waits for Postgres to answer (exit 8 after that)."
    )
    migration_db_host: str | None = _setting(
        kinds.TEXT,
        None,
        "Host for everything that migrates, in place of `DB_HOST`: the phases and the Directus steps in them, not the "
        "Directus that serves. For a `DB_HOST` that is a pooler in transaction mode. Unset: `DB_HOST`.",
    )
    migration_db_port: int | None = _setting(
        kinds.REMOTE_PORT, None, "Port for everything that migrates, in place of `DB_PORT`. Unset: `DB_PORT`."
    )
    lock_timeout_s: float = _setting(
        kinds.POSITIVE_SECONDS, 600.0, "How long a boot waits for another supervisor's migration lock (exit 9)."
    )
    sql_lock_timeout_s: float = _setting(
        kinds.SECONDS,
        5.0,
        "How long a statement of a SQL file may wait for a lock before the file is rolled back and tried again, since "
        "all who come later wait behind it. 0 is no limit; a file can say `-- supervisor: lock-timeout`.",
    )
    sql_lock_retries: int = _setting(
        kinds.COUNT,
        10,
        "How often a SQL file is tried again after a lock timeout, a deadlock or a serialization failure (exit 3 after "
        "that), with growing pauses of up to 15 seconds.",
    )
    step_timeout_s: float = _setting(
        kinds.POSITIVE_SECONDS, 900.0, "How long one Directus step (bootstrap, schema apply) may take (exit 5)."
    )
    stop_timeout_s: float = _setting(
        kinds.SECONDS,
        8.0,
        "From SIGTERM to SIGKILL for every child. Keep it below the platform's own grace period "
        "(`docker stop`: 10 s) and above Directus' SERVER_SHUTDOWN_TIMEOUT.",
    )
    ready_timeout_s: float = _setting(
        kinds.POSITIVE_SECONDS,
        120.0,
        "How long a started Directus may take to become ready before it is restarted.",
    )
    drain_s: float = _setting(
        kinds.SECONDS,
        0.0,
        "How long a ready Directus goes on serving after the stop was asked for, not ready any more, so that load "
        "balancers can turn away. Counts before `SUPERVISOR_STOP_TIMEOUT_S`.",
    )
    watch_interval_s: float = _setting(
        kinds.POSITIVE_SECONDS, 15.0, "How often a ready Directus is looked at: whether it answers, and its memory."
    )
    watch_failures: int = _setting(
        kinds.COUNT,
        4,
        "So many looks in a row at `/server/ping` without an answer within 5 seconds mean that it hangs, and it is "
        "restarted; 0 never asks.",
    )
    memory_limit_mb: float = _setting(
        kinds.MEGABYTES,
        0.0,
        "Resident memory of Directus and its descendants above which it is restarted in good order; 0 is no limit.",
    )
    restart_backoff_s: float = _setting(kinds.SECONDS, 0.5, "Delay before the first restart.")
    restart_backoff_factor: float = _setting(
        kinds.FACTOR, 2.0, "Each further early death multiplies the delay by this."
    )
    restart_backoff_max_s: float = _setting(kinds.SECONDS, 30.0, "The delay never exceeds this.")
    restart_jitter: float = _setting(kinds.RATIO, 0.2, "The delay is varied at random by up to this share, both ways.")
    restart_stable_s: float = _setting(
        kinds.SECONDS, 60.0, "After this uptime a death counts as the first one again (the delay is reset)."
    )
    restart_limit: int = _setting(
        kinds.COUNT,
        5,
        "Restarts allowed within `SUPERVISOR_RESTART_WINDOW_S`; one more ends the program with exit 7.",
    )
    restart_never_statuses: frozenset[int] = _setting(
        kinds.STATUSES, frozenset(), "A Directus that ends with one of these is not restarted: its status becomes ours."
    )
    restart_fatal_statuses: frozenset[int] = _setting(
        kinds.STATUSES, frozenset(), "A Directus that ends with one of these is given up at once, with exit 7."
    )
    restart_window_s: float = _setting(kinds.POSITIVE_SECONDS, 600.0, "The window in which restarts are counted.")
    health_host: str = _setting(kinds.TEXT, "0.0.0.0", "Address that the health port listens on.")  # noqa: S104
    health_port: int = _setting(kinds.PORT, 8056, "The health port; 0 takes a free one and logs it.")
    ready_health_interval_s: float = _setting(
        kinds.SECONDS,
        0.0,
        "How often Directus' `/server/health` is asked, an error of which makes it not ready; 0 never asks. Each look "
        "writes a file to every storage and talks to the mail server.",
    )
    status_token: str | None = _setting(
        kinds.TEXT,
        None,
        "Opens the status page, `/status`, `/metrics` and the controls on the health port. Without one they answer on "
        "loopback alone. The probes are always open.",
    )
    status_token_file: Path | None = _setting(
        kinds.PATH, None, "A file that holds the token, in place of `SUPERVISOR_STATUS_TOKEN`."
    )
    socket: Path | None = _setting(
        kinds.PATH,
        None,
        "The control socket, for `status`, `top`, `logs` and `reload`. Unset: `directus-supervisor.sock` in `/run`, "
        "`$XDG_RUNTIME_DIR` or the folder for temporary files, whichever can be written to.",
    )
    incident_dir: Path | None = _setting(
        kinds.PATH,
        None,
        "Folder in which each incident is kept as a JSON file, the newest 50 of them; made when it is not there.",
    )
    termination_log: Path | None = _setting(
        kinds.PATH,
        None,
        "File that tells in at most 4096 bytes why the process ended. Unset: `/dev/termination-log`, where Kubernetes "
        "has put it.",
    )
    log_format: str = _setting(kinds.LOG_FORMAT, "auto", "`auto` is `console` on a terminal and `json` elsewhere.")
    log_level: str = _setting(
        kinds.LOG_LEVEL,
        "info",
        "Lines below this level are left out; components may have one of their own: `info,postgres=debug`.",
    )


@dataclass(frozen=True, slots=True)
class Spec:
    """One setting as the catalogue knows it."""

    name: str
    kind: Kind
    default: object
    help: str

    @property
    def variable(self) -> str:
        """Name of the environment variable."""
        return PREFIX + self.name.upper()


SPECS: Final[dict[str, Spec]] = {
    entry.name: Spec(entry.name, entry.metadata["kind"], entry.default, entry.metadata["help"])
    for entry in fields(Settings)
}
CONFIG_VARIABLE: Final = PREFIX + "CONFIG"
# Keys of the file that are no settings, see supervisor/programs.py.
PROGRAM_KEYS: Final = ("processes", "steps")


@dataclass(frozen=True, slots=True)
class LoadedSettings:
    """Settings, with where each came from, and every problem that was met.

    Attributes:
        settings: the values; a setting with a problem has its default.
        sources: field name to "default", "environment" or "file PATH".
        problems: one sentence each; empty when all is well.
        path: the file that was read, or would have been.
        programs: its keys `processes` and `steps`, unread.
        ignored: variables of pm2 that do nothing here, each with the reason.
    """

    settings: Settings
    sources: Mapping[str, str]
    problems: tuple[str, ...]
    path: Path
    programs: Mapping[str, object]
    ignored: Mapping[str, str]


def load_settings(environ: Mapping[str, str], cwd: Path) -> LoadedSettings:
    """Read the settings: the environment first, then ``supervisor.yaml``, then pm2's variables, then the defaults.

    An empty variable counts as unset, as ``VARIABLE: ${VARIABLE:-}`` in a compose file means it; so does an empty
    value in the file.

    Args:
        environ: the process environment.
        cwd: folder that relative paths start from.

    Returns:
        The settings and every problem found; nothing is raised for a bad value, so that all can be told at once.
    """
    problems: list[str] = []
    values: dict[str, object] = {}
    sources = dict.fromkeys(SPECS, "default")

    path, in_file = _read_config_file(environ, cwd, problems)
    for name, raw in in_file.items():
        spec = SPECS.get(name)
        if spec is None and name not in PROGRAM_KEYS:
            problems.append(f"{path}: unknown key {name!r}{_nearest(name, [*SPECS, *PROGRAM_KEYS])}")
        elif spec is not None and raw is not None and _take(spec, raw, f"{path}: {name}", values, problems):
            sources[name] = f"file {path}"

    _take_environment(environ, values, sources, problems)
    translation = pm2.translate(environ)
    problems += translation.problems
    for name, (value, variable) in translation.values.items():
        if sources[name] == "default" and _take(SPECS[name], value, variable, values, problems):
            sources[name] = f"environment ({variable})"
    for name, value in values.items():
        if isinstance(value, Path):
            values[name] = cwd / value
    for name in ("sql_dir", "snapshot"):
        values.setdefault(name, cwd / str(SPECS[name].default))
    programs: dict[str, object] = {name: in_file[name] for name in PROGRAM_KEYS if name in in_file}
    settings = Settings(**values)  # type: ignore[arg-type]
    return LoadedSettings(settings, sources, tuple(problems), path, programs, translation.ignored)


def _take_environment(
    environ: Mapping[str, str], values: dict[str, object], sources: dict[str, str], problems: list[str]
) -> None:
    for variable, text in environ.items():
        if not variable.startswith(PREFIX) or variable == CONFIG_VARIABLE or _is_foreign(variable, text):
            continue
        name = variable.removeprefix(PREFIX).lower()
        spec = SPECS.get(name)
        if spec is None or variable != spec.variable:
            problems.append(f"{variable} is not a setting{_nearest(name, list(SPECS), as_variable=True)}")
        elif text and _take(spec, text, variable, values, problems):
            sources[spec.name] = "environment"


def _is_foreign(variable: str, text: str) -> bool:
    if variable.endswith("_PORT") and _SERVICE_URL.fullmatch(text):
        return True
    return _FOREIGN.fullmatch(variable) is not None


def _take(spec: Spec, raw: object, place: str, values: dict[str, object], problems: list[str]) -> bool:
    try:
        values[spec.name] = spec.kind.read(raw)
    except ValueError as error:
        problems.append(f"{place} is {kinds.shown(raw)}, but must be {error}")
        return False
    return True


def _nearest(name: str, known: list[str], *, as_variable: bool = False) -> str:
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    if not close:
        return ""
    return f"; did you mean {PREFIX + close[0].upper() if as_variable else close[0]}?"


def _read_config_file(environ: Mapping[str, str], cwd: Path, problems: list[str]) -> tuple[Path, dict[str, object]]:
    named = environ.get(CONFIG_VARIABLE)
    path = cwd / DEFAULT_CONFIG
    try:
        if named:
            path = cwd / str(kinds.PATH.read(named))
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        if named:
            problems.append(f"{CONFIG_VARIABLE} names {path}, which does not exist")
        return path, {}
    except (OSError, UnicodeDecodeError) as error:
        problems.append(f"{path} cannot be read: {error}")
        return path, {}
    except ValueError as error:
        problems.append(f"{CONFIG_VARIABLE} is {kinds.shown(named)}, but must be {error}")
        return path, {}
    return path, _read_document(text, path, problems)


def _read_document(text: str, path: Path, problems: list[str]) -> dict[str, object]:
    try:
        document = parse_yaml(text, path, unique_keys=True)
    except SupervisorError as error:
        problems.append(error.message)
        return {}
    if document is None:
        return {}
    if not isinstance(document, dict):
        problems.append(f"{path} must hold keys and values, not a {type(document).__name__}")
        return {}
    return {str(key): value for key, value in document.items()}
