"""`config` and `version`: what is in effect, and where it comes from."""

from __future__ import annotations

import json
import platform
import shlex
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from supervisor import __version__
from supervisor.configuration import configure, directus_environment
from supervisor.directus.install import find_installation
from supervisor.directus.variables import secrets_in
from supervisor.errors import ExitCode, SupervisorError
from supervisor.logs.credentials import MASK
from supervisor.logs.redact import Redactor
from supervisor.programs import SideProcess, Step, read_programs
from supervisor.settings import SPECS, load_settings

# Directus' own variables that decide what the supervisor does.
_SHOWN: Final = (
    "DB_CLIENT",
    "DB_HOST",
    "DB_PORT",
    "DB_DATABASE",
    "DB_USER",
    "DB_PASSWORD",
    "DB_CONNECTION_STRING",
    "DB_SEARCH_PATH",
    "DB_SSL",
    "HOST",
    "PORT",
    "UNIX_SOCKET_PATH",
    "MIGRATIONS_PATH",
    "EXTENSIONS_PATH",
    "SECRET",
    "ADMIN_EMAIL",
    "ADMIN_PASSWORD",
    "LOG_STYLE",
    "LOG_LEVEL",
)
_ALWAYS_MASKED: Final = frozenset({"DB_PASSWORD", "SECRET", "ADMIN_PASSWORD", "ADMIN_TOKEN", "KEY"})


@dataclass(frozen=True, slots=True)
class Row:
    """One effective setting."""

    name: str
    value: str
    source: str


@dataclass(frozen=True, slots=True)
class Effective:
    """What is in effect, secrets masked.

    Attributes:
        rows: the settings.
        processes: the side processes, one mapping of keys and values each.
        steps: the one-shot steps, likewise.
        problems: what is wrong, one sentence each.
    """

    rows: tuple[Row, ...]
    processes: tuple[Mapping[str, object], ...]
    steps: tuple[Mapping[str, object], ...]
    problems: tuple[str, ...]


def show_config(environ: Mapping[str, str], cwd: Path, *, as_json: bool) -> int:
    """Print the effective settings, and what runs beside Directus; then every problem, if there are any.

    Returns:
        0, or 78 when `run` would refuse this configuration.
    """
    shown = effective(environ, cwd)
    if as_json:
        document = {
            "settings": {row.name: {"value": row.value, "source": row.source} for row in shown.rows},
            "processes": shown.processes,
            "steps": shown.steps,
            "problems": shown.problems,
        }
        print(json.dumps(document, indent=2, ensure_ascii=False))  # noqa: T201
    else:
        print(_table(shown.rows))  # noqa: T201
        for title, programs in (("process", shown.processes), ("step", shown.steps)):
            for program in programs:
                print(f"\n{title} {_paragraph(program)}")  # noqa: T201
        for problem in shown.problems:
            print(f"\nproblem: {problem}")  # noqa: T201
    return ExitCode.CONFIG if shown.problems else ExitCode.STOPPED


def effective(environ: Mapping[str, str], cwd: Path) -> Effective:
    """The effective settings and programs, secrets masked, and what is wrong with them."""
    loaded = load_settings(environ, cwd)
    programs, _ = read_programs(loaded.programs, loaded.path)
    installation = None
    with suppress(SupervisorError):
        installation = find_installation(loaded.settings.directus_dir, loaded.settings.node, environ, cwd)
    # Also where Directus' own configuration cannot be read.
    secrets = programs.secrets | {secret for name, value in environ.items() for secret in secrets_in(name, value)}
    redactor = Redactor(secrets)
    directus_rows: list[Row] = []
    with suppress(SupervisorError):
        environment = directus_environment(environ, installation, cwd)
        redactor.know(secrets | environment.secret_values())
        for name in _SHOWN:
            value = environment.value(name)
            if value is not None:
                shown = MASK if name in _ALWAYS_MASKED and value else redactor.text(_text(value))
                directus_rows.append(Row(name, shown, environment.source(name)))
    rows = [
        # SUPERVISOR_COMMAND may hold a secret, too.
        Row(spec.variable, redactor.text(_text(getattr(loaded.settings, name))), loaded.sources[name])
        for name, spec in SPECS.items()
    ]
    processes = tuple(_masked(process, redactor) for process in programs.processes)
    steps = tuple(_masked(step, redactor) for step in programs.steps)
    problems = tuple(redactor.text(problem) for problem in _problems(environ, cwd))
    return Effective((*rows, *directus_rows), processes, steps, problems)


def _facts(program: SideProcess | Step) -> dict[str, object]:
    """One program as the keys of the file spell it, its command in words."""
    facts: dict[str, object] = {"name": program.name}
    if isinstance(program, Step):
        facts |= {"before" if program.before else "after": program.phase}
    facts["command"] = list(program.command)
    if program.directory is not None:
        facts["directory"] = str(program.directory)
    if program.environment:
        facts["environment"] = dict(program.environment)
    if isinstance(program, Step):
        facts["timeout_s"] = program.timeout_s
    else:
        facts |= {
            key: sorted(value) if isinstance(value, frozenset) else value for key, value in program.overrides.items()
        }
    return facts


def _masked(program: SideProcess | Step, redactor: Redactor) -> dict[str, object]:
    return {key: redactor.value(value) for key, value in _facts(program).items()}


def _problems(environ: Mapping[str, str], cwd: Path) -> list[str]:
    try:
        configure(environ, cwd)
    except SupervisorError as error:
        told = error.facts.get("problems")
        return [str(item) for item in told] if isinstance(told, list | tuple) else [error.message]
    return []


def show_versions(environ: Mapping[str, str], cwd: Path) -> int:
    """Print the versions of everything that takes part."""
    print(f"directus-supervisor {__version__}")  # noqa: T201
    print(f"Python {platform.python_version()}")  # noqa: T201
    settings = load_settings(environ, cwd).settings
    try:
        installation = find_installation(settings.directus_dir, settings.node, environ, cwd)
    except SupervisorError as error:
        print(f"Directus: {error.message}")  # noqa: T201
    else:
        print(f"Directus {installation.version} at {installation.directory}, node at {installation.node}")  # noqa: T201
    return ExitCode.STOPPED


def _text(value: object) -> str:
    if isinstance(value, tuple | list):
        return ",".join(map(str, value))
    if isinstance(value, frozenset):
        return ",".join(map(str, sorted(value)))
    return "" if value is None else str(value)


def _paragraph(program: Mapping[str, object]) -> str:
    command = program["command"]
    lines = [f"{program['name']}: {shlex.join(command) if isinstance(command, list) else command}"]
    lines += [
        f"  {key}: {_text(value) if not isinstance(value, dict) else json.dumps(value, ensure_ascii=False)}"
        for key, value in program.items()
        if key not in {"name", "command"}
    ]
    return "\n".join(lines)


def _table(rows: Sequence[Row]) -> str:
    name_width = max(len(row.name) for row in rows)
    value_width = min(max(len(row.value) for row in rows), 60)
    return "\n".join(f"{row.name:<{name_width}}  {row.value:<{value_width}}  {row.source}" for row in rows)
