"""Programs beside Directus that ``supervisor.yaml`` names: side processes and one-shot steps. Pure.

.. code-block:: yaml

    processes:
      - name: shipper
        command: /usr/local/bin/ship-logs --follow
        restart_limit: 10
    steps:
      - name: warm-cache
        after: schema_apply
        command: [node, warm.js]
        timeout_s: 60
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from supervisor.kinds import COMMAND, PATH, POSITIVE_SECONDS
from supervisor.settings import SPECS

PHASE_NAMES: Final = ("wait_for_postgres", "pre_schema", "bootstrap", "schema_apply", "post_schema")
_NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,39}")
_RESERVED: Final = frozenset({"directus", "bootstrap", "schema-apply"})
_STEP_TIMEOUT_S: Final = 300.0
_COMMON_KEYS: Final = ("name", "command", "directory", "environment")
_STEP_KEYS: Final = (*_COMMON_KEYS, "before", "after", "timeout_s")
_RESTART_KEYS: Final = tuple(name for name in SPECS if name.startswith("restart_"))
_PROCESS_KEYS: Final = (*_COMMON_KEYS, "stop_timeout_s", *_RESTART_KEYS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A command beside Directus.

    Attributes:
        name: what the log calls it.
        command: program and arguments.
        directory: its working directory; None is Directus' own.
        environment: variables that it gets besides Directus' environment.
    """

    name: str
    command: tuple[str, ...]
    directory: Path | None = None
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class SideProcess(Program):
    """A long-running command beside Directus; `overrides` replaces settings (of restart and stop) for it."""

    overrides: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step(Program):
    """A command that runs once in each boot, before or after a phase, and must succeed.

    Attributes:
        phase: name of the phase.
        before: whether it runs before the phase, and not after it.
        timeout_s: seconds that it may take.
    """

    phase: str
    before: bool
    timeout_s: float = _STEP_TIMEOUT_S


@dataclass(frozen=True, slots=True)
class Programs:
    """Everything that is named, in the order of the file."""

    processes: tuple[SideProcess, ...] = ()
    steps: tuple[Step, ...] = ()


def read_programs(document: Mapping[str, Any], path: Path) -> tuple[Programs, tuple[str, ...]]:
    """Read the two lists of a configuration file.

    Args:
        document: the parsed file.
        path: its name, for the sentences.

    Returns:
        What could be read, and one sentence for each problem.
    """
    problems: list[str] = []
    processes = [
        process
        for place, item in _items(document, "processes", path, problems)
        if (process := _process(place, item, problems)) is not None
    ]
    steps = [
        step
        for place, item in _items(document, "steps", path, problems)
        if (step := _step(place, item, problems)) is not None
    ]
    names = [program.name for program in (*processes, *steps)]
    problems += [
        f"{path}: two programs are called {name!r}" for name in sorted({n for n in names if names.count(n) > 1})
    ]
    return Programs(tuple(processes), tuple(steps)), tuple(problems)


def _items(
    document: Mapping[str, Any], key: str, path: Path, problems: list[str]
) -> list[tuple[str, Mapping[str, Any]]]:
    items = document.get(key) or []
    if not isinstance(items, list):
        problems.append(f"{path}: {key} must be a list")
        return []
    found: list[tuple[str, Mapping[str, Any]]] = []
    for index, item in enumerate(items):
        place = f"{path}: {key}[{index}]"
        if isinstance(item, dict):
            found.append((place, item))
        else:
            problems.append(f"{place} must hold keys and values")
    return found


def _process(place: str, item: Mapping[str, Any], problems: list[str]) -> SideProcess | None:
    common = _common(place, item, _PROCESS_KEYS, problems)
    overrides = {}
    for key in ("stop_timeout_s", *_RESTART_KEYS):
        if key in item:
            overrides[key] = _value(SPECS[key].kind.read, item[key], f"{place}.{key}", problems)
    return None if common is None else SideProcess(**common, overrides=overrides)


def _step(place: str, item: Mapping[str, Any], problems: list[str]) -> Step | None:
    common = _common(place, item, _STEP_KEYS, problems)
    phases = [(key, item[key]) for key in ("before", "after") if key in item]
    if len(phases) != 1:
        problems.append(f"{place} must say either `before:` or `after:` which phase it runs")
        return None
    when, phase = phases[0]
    if phase not in PHASE_NAMES:
        problems.append(f"{place}.{when} is {phase!r}, but must be one of {', '.join(PHASE_NAMES)}")
        return None
    timeout_s = _value(POSITIVE_SECONDS.read, item.get("timeout_s", _STEP_TIMEOUT_S), f"{place}.timeout_s", problems)
    if common is None or not isinstance(timeout_s, float):
        return None
    return Step(**common, phase=phase, before=when == "before", timeout_s=timeout_s)


def _common(place: str, item: Mapping[str, Any], known: Sequence[str], problems: list[str]) -> dict[str, Any] | None:
    before = len(problems)
    for key in item:
        if key not in known:
            close = difflib.get_close_matches(str(key), known, n=1)
            problems.append(f"{place}: unknown key {key!r}" + (f"; did you mean {close[0]}?" if close else ""))
    name = item.get("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name) or name in _RESERVED:
        problems.append(
            f"{place}.name is {name!r}, but must be lower-case letters, digits and dashes, and not reserved"
        )
    command = _value(COMMAND.read, item.get("command"), f"{place}.command", problems)
    directory = None
    if "directory" in item:
        directory = _value(PATH.read, item["directory"], f"{place}.directory", problems)
    environment = item.get("environment") or {}
    if not isinstance(environment, dict) or not all(isinstance(v, str | int | float) for v in environment.values()):
        problems.append(f"{place}.environment must hold names and texts")
        environment = {}
    if len(problems) > before:
        return None
    texts = {str(key): _environment_text(value) for key, value in environment.items()}
    return {"name": name, "command": command, "directory": directory, "environment": texts}


def _environment_text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _value(read: Any, raw: object, place: str, problems: list[str]) -> object:  # noqa: ANN401 - a reader of Kind
    try:
        return read(raw)
    except ValueError as error:
        problems.append(f"{place} is {raw!r}, but must be {error}")
        return None
