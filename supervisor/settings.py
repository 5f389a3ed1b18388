"""Every setting of the supervisor: its name, type, unit, default and one line of help.

A setting is one field of :class:`Settings`. Its environment variable is ``SUPERVISOR_`` and the field's name in
capitals, its key in ``supervisor.yaml`` is the field's name. ``docs/configuration.md`` is generated from here.
"""

from __future__ import annotations

import difflib
import math
import os
import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final

from supervisor.errors import CONFIG_INVALID, SupervisorError

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

_LONGEST_SHOWN: Final = 200

LOG_FORMATS: Final = ("auto", "json", "console")
LOG_LEVELS: Final = ("debug", "info", "warning", "error")


@dataclass(frozen=True, slots=True)
class Kind:
    """A type of setting: how it is called in the reference, and how a value is read.

    Attributes:
        name: what the reference calls it.
        read: turns text from the environment, or a scalar or list from YAML, into the value; raises
            :class:`ValueError` with what it expects.
    """

    name: str
    read: Callable[[object], object]


def _number(value: object) -> float:
    if isinstance(value, bool):
        raise ValueError("a number")
    try:
        number = float(str(value))
    except ValueError:
        raise ValueError("a number") from None
    if not math.isfinite(number):
        raise ValueError("a finite number")
    return number


def _at_least(minimum: float, unit: str) -> Callable[[object], float]:
    def read(value: object) -> float:
        try:
            number = _number(value)
        except ValueError:
            number = math.nan
        if not number >= minimum:
            raise ValueError(f"a number of {unit}, {minimum:g} or more")
        return number

    return read


def _integer(minimum: int, maximum: int) -> Callable[[object], int]:
    def read(value: object) -> int:
        try:
            number = _number(value)
        except ValueError:
            number = math.nan
        if not (minimum <= number <= maximum) or number != int(number):
            raise ValueError(f"a whole number from {minimum} to {maximum}")
        return int(number)

    return read


def _text(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("a text that is not empty")
    if "\0" in value:
        raise ValueError("a text without NUL characters")
    return value


def _path(value: object) -> Path:
    text = _text(value)
    try:
        os.fsencode(text)
        return Path(text).expanduser()
    except UnicodeError:
        raise ValueError("a path that the file system can spell") from None
    except RuntimeError:
        raise ValueError("a path; there is no home directory for its ~") from None


def _names(value: object) -> tuple[str, ...]:
    items = value.split(",") if isinstance(value, str) else value
    if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
        raise ValueError("a list of names")
    return tuple(name for item in items if (name := item.strip()))


def _command(value: object) -> tuple[str, ...]:
    if isinstance(value, list) and value and value[0] and all(isinstance(item, str) for item in value):
        return tuple(value)
    try:
        words = tuple(shlex.split(_text(value)))
    except ValueError as error:
        raise ValueError(f"a command line as a POSIX shell would split it ({error})") from None
    if not words or not words[0]:
        raise ValueError("a command line")
    return words


def _ratio(value: object) -> float:
    try:
        number = _number(value)
    except ValueError:
        number = math.nan
    if not 0 <= number <= 1:
        raise ValueError("a number from 0 to 1")
    return number


def _one_of(choices: tuple[str, ...]) -> Callable[[object], str]:
    def read(value: object) -> str:
        text = str(value).strip().lower()
        if text not in choices:
            raise ValueError("one of " + ", ".join(choices))
        return text

    return read


SECONDS = Kind("seconds", _at_least(0, "seconds"))
POSITIVE_SECONDS = Kind("seconds, more than 0", _at_least(0.001, "seconds"))
FACTOR = Kind("factor, 1 or more", _at_least(1, "times"))
RATIO = Kind("ratio from 0 to 1", _ratio)
COUNT = Kind("count", _integer(0, 1_000_000))
PORT = Kind("port", _integer(0, 65535))
TEXT = Kind("text", _text)
PATH = Kind("path", _path)
NAMES = Kind("comma-separated names", _names)
COMMAND = Kind("command line", _command)
LOG_FORMAT = Kind("one of " + ", ".join(LOG_FORMATS), _one_of(LOG_FORMATS))
LOG_LEVEL = Kind("one of " + ", ".join(LOG_LEVELS), _one_of(LOG_LEVELS))


def _setting(kind: Kind, default: object, help_text: str) -> Any:  # noqa: ANN401 - as dataclasses.field
    return field(default=default, metadata={"kind": kind, "help": help_text})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The effective settings. Durations are in seconds and end in ``_s``."""

    directus_dir: Path | None = _setting(
        PATH,
        None,
        "Folder that holds `cli.js` or `node_modules/directus/cli.js`; Directus runs in it. "
        "Unset: `/directus`, then the working directory.",
    )
    node: Path | None = _setting(PATH, None, "The Node.js binary. Unset: `node` on PATH.")
    command: tuple[str, ...] = _setting(COMMAND, (), "Runs and supervises this command in place of `directus start`.")
    sql_dir: Path = _setting(
        PATH, Path("sql"), "Folder that holds `pre-schema/` and `post-schema/` with the SQL files."
    )
    snapshot: Path = _setting(PATH, Path("snapshots/schema.yaml"), "The Directus schema snapshot.")
    optional_extensions: tuple[str, ...] = _setting(
        NAMES,
        (),
        "Extensions that may be missing on the server: SQL files that require one stay pending until it is there.",
    )
    postgres_timeout_s: float = _setting(
        POSITIVE_SECONDS, 120.0, "How long a boot waits for Postgres to answer (exit 8 after that)."
    )
    lock_timeout_s: float = _setting(
        POSITIVE_SECONDS, 600.0, "How long a boot waits for another supervisor's migration lock (exit 9)."
    )
    step_timeout_s: float = _setting(
        POSITIVE_SECONDS, 900.0, "How long one Directus step (bootstrap, schema apply) may take (exit 5)."
    )
    stop_timeout_s: float = _setting(
        SECONDS,
        8.0,
        "From SIGTERM to SIGKILL for every child. Keep it below the platform's own grace period "
        "(`docker stop`: 10 s) and above Directus' SERVER_SHUTDOWN_TIMEOUT.",
    )
    ready_timeout_s: float = _setting(
        POSITIVE_SECONDS,
        120.0,
        "How long a started Directus may take to become ready before it is restarted.",
    )
    restart_backoff_s: float = _setting(SECONDS, 0.5, "Delay before the first restart.")
    restart_backoff_factor: float = _setting(FACTOR, 2.0, "Each further early death multiplies the delay by this.")
    restart_backoff_max_s: float = _setting(SECONDS, 30.0, "The delay never exceeds this.")
    restart_jitter: float = _setting(RATIO, 0.2, "The delay is varied at random by up to this share, both ways.")
    restart_stable_s: float = _setting(
        SECONDS, 60.0, "After this uptime a death counts as the first one again (the delay is reset)."
    )
    restart_limit: int = _setting(
        COUNT,
        5,
        "Restarts allowed within `SUPERVISOR_RESTART_WINDOW_S`; one more ends the program with exit 7.",
    )
    restart_window_s: float = _setting(POSITIVE_SECONDS, 600.0, "The window in which restarts are counted.")
    health_host: str = _setting(TEXT, "0.0.0.0", "Address that the health port listens on.")  # noqa: S104
    health_port: int = _setting(PORT, 8056, "The health port; 0 takes a free one and logs it.")
    log_format: str = _setting(LOG_FORMAT, "auto", "`auto` is `console` on a terminal and `json` elsewhere.")
    log_level: str = _setting(LOG_LEVEL, "info", "Lines below this level are left out.")


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


@dataclass(frozen=True, slots=True)
class LoadedSettings:
    """Settings, with where each came from, and every problem that was met.

    Attributes:
        settings: the values; a setting with a problem has its default.
        sources: field name to "default", "environment" or "file PATH".
        problems: one sentence each; empty when all is well.
    """

    settings: Settings
    sources: Mapping[str, str]
    problems: tuple[str, ...]


def load_settings(environ: Mapping[str, str], cwd: Path) -> LoadedSettings:
    """Read the settings: the environment first, then ``supervisor.yaml``, then the defaults.

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
        if spec is None:
            problems.append(f"{path}: unknown key {name!r}{_nearest(name, list(SPECS))}")
        elif raw is not None and _take(spec, raw, f"{path}: {name}", values, problems):
            sources[name] = f"file {path}"

    _take_environment(environ, values, sources, problems)
    for name, value in values.items():
        if isinstance(value, Path):
            values[name] = cwd / value
    for name in ("sql_dir", "snapshot"):
        values.setdefault(name, cwd / str(SPECS[name].default))
    return LoadedSettings(Settings(**values), sources, tuple(problems))  # type: ignore[arg-type]


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
        problems.append(f"{place} is {_shown(raw)}, but must be {error}")
        return False
    return True


def _shown(raw: object) -> str:
    try:
        text = repr(raw)
    except ValueError:
        # Python does not spell out integers of thousands of digits.
        return "a very large number"
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"


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
            path = cwd / _path(named)
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        if named:
            problems.append(f"{CONFIG_VARIABLE} names {path}, which does not exist")
        return path, {}
    except (OSError, UnicodeDecodeError) as error:
        problems.append(f"{path} cannot be read: {error}")
        return path, {}
    except ValueError as error:
        problems.append(f"{CONFIG_VARIABLE} is {_shown(named)}, but must be {error}")
        return path, {}
    return path, _read_document(text, path, problems)


def _read_document(text: str, path: Path, problems: list[str]) -> dict[str, object]:
    try:
        document = parse_yaml(text, path)
    except SupervisorError as error:
        problems.append(error.message)
        return {}
    if document is None:
        return {}
    if not isinstance(document, dict):
        problems.append(f"{path} must hold keys and values, not a {type(document).__name__}")
        return {}
    return {str(key): value for key, value in document.items()}


def parse_yaml(text: str, path: Path) -> object:
    """Parse YAML by the safe C loader.

    Raises:
        SupervisorError: ``config.invalid`` with line and column when the text is not YAML.
    """
    import yaml  # noqa: PLC0415 - most deployments have no YAML file to read

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        return yaml.load(text, Loader=loader)  # noqa: S506 - it is the safe loader
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark else str(path)
        reason = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise SupervisorError(CONFIG_INVALID, f"{place}: not valid YAML: {reason}") from None
    except (ValueError, RecursionError) as error:
        # The loader lets these out for a date that does not exist, a number too long, and nesting too deep.
        raise SupervisorError(CONFIG_INVALID, f"{path}: not valid YAML: {error}") from None
