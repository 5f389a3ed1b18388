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
from typing import Any, Final, TypedDict

from supervisor.directus.variables import secrets_in
from supervisor.kinds import COMMAND, PATH, POSITIVE_SECONDS, Kind, is_passable, shown
from supervisor.settings import SPECS

PHASE_NAMES: Final = ("wait_for_postgres", "pre_schema", "bootstrap", "schema_apply", "post_schema")
_NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,39}")
# What the log calls other processes.
_RESERVED: Final = frozenset({"directus", "bootstrap", "schema-apply", "orphan"})
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_STEP_TIMEOUT_S: Final = 300.0
_COMMON_KEYS: Final = ("name", "command", "directory", "environment")
_STEP_KEYS: Final = (*_COMMON_KEYS, "before", "after", "timeout_s")
_RESTART_KEYS: Final = tuple(name for name in SPECS if name.startswith("restart_"))
_PROCESS_KEYS: Final = (*_COMMON_KEYS, "stop_timeout_s", *_RESTART_KEYS)


class _Common(TypedDict):
    name: str
    command: tuple[str, ...]
    directory: Path | None
    environment: Mapping[str, str]


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

    @property
    def where(self) -> str:
        """Its place in the boot, in words."""
        return f"{'before' if self.before else 'after'} {self.phase}"


@dataclass(frozen=True, slots=True)
class Programs:
    """Everything that is named, in the order of the file."""

    processes: tuple[SideProcess, ...] = ()
    steps: tuple[Step, ...] = ()

    @property
    def secrets(self) -> frozenset[str]:
        """Values of variables that must not be seen in a log."""
        return frozenset(
            secret
            for program in (*self.processes, *self.steps)
            for name, value in program.environment.items()
            for secret in secrets_in(name, value)
        )


def read_programs(document: Mapping[str, Any], path: Path) -> tuple[Programs, tuple[str, ...]]:
    """Read the two lists of a configuration file.

    Args:
        document: the parsed file.
        path: its name, for the sentences.

    Returns:
        What could be read, and one sentence for each problem.
    """
    problems: list[str] = []
    places: dict[str, list[str]] = {}
    processes: list[SideProcess] = []
    steps: list[Step] = []
    for place, item in _items(document, "processes", path, problems):
        reader = _Reader(path, place, item, problems)
        process = _process(reader)
        reader.add_to(places)
        if reader.fine:
            processes.append(process)
    for place, item in _items(document, "steps", path, problems):
        reader = _Reader(path, place, item, problems)
        step = _step(reader)
        reader.add_to(places)
        if reader.fine:
            steps.append(step)
    problems += [
        f"{path}: {' and '.join(same)} have the same name, {shown(name)}"
        for name, same in places.items()
        if len(same) > 1
    ]
    return Programs(tuple(processes), tuple(steps)), tuple(problems)


def _items(
    document: Mapping[str, Any], key: str, path: Path, problems: list[str]
) -> list[tuple[str, Mapping[object, Any]]]:
    items = document.get(key)
    if items is None:
        return []
    if not isinstance(items, list):
        problems.append(f"{path}: {key} is {shown(items)}, but must be a list")
        return []
    found: list[tuple[str, Mapping[object, Any]]] = []
    for index, item in enumerate(items):
        place = f"{key}[{index}]"
        if isinstance(item, dict):
            found.append((place, item))
        else:
            problems.append(f"{path}: {place} is {shown(item)}, but must hold keys and values")
    return found


class _Reader:
    """Reads the keys of one program, and goes on after a mistake so that all of them are told.

    Args:
        path: the file.
        place: the item in it.
        item: its keys and values.
        problems: gets one sentence for each mistake.
    """

    def __init__(self, path: Path, place: str, item: Mapping[object, Any], problems: list[str]) -> None:
        self._path = path
        self._place = place
        self._problems = problems
        self.item = item
        self.name = item.get("name")
        self.fine = True

    def add_to(self, places: dict[str, list[str]]) -> None:
        """Note where the name is used."""
        if isinstance(self.name, str):
            places.setdefault(self.name, []).append(self._place)

    def problem(self, sentence: str) -> None:
        """Tell one mistake."""
        self.fine = False
        self._problems.append(f"{self._path}: {self._place}{sentence}")

    def refuse_unknown(self, known: Sequence[str]) -> None:
        """Tell each key that means nothing."""
        for key in self.item:
            if key not in known:
                close = difflib.get_close_matches(key, known, n=1) if isinstance(key, str) else []
                self.problem(f": unknown key {shown(key)}" + (f"; did you mean {close[0]}?" if close else ""))

    def value(self, key: str, kind: Kind, default: object) -> Any:  # noqa: ANN401 - what the kind reads
        """The value of one key; the default when it is left out or empty, as with the settings."""
        raw = self.item.get(key)
        if raw is None:
            return default
        try:
            return kind.read(raw)
        except ValueError as error:
            self.problem(f".{key} is {shown(raw)}, but must be {error}")
        except RecursionError:
            self.problem(f".{key} is {shown(raw)}")
        return default

    def common(self) -> _Common:
        """What every program has."""
        if not isinstance(self.name, str) or not _NAME.fullmatch(self.name):
            must = "up to 40 lower-case letters, digits and dashes, a letter first"
            self.problem(f".name is {shown(self.name)}, but must be {must}")
        elif self.name in _RESERVED:
            self.problem(f".name is {self.name!r}, which the log calls another process")
        if self.item.get("command") is None:
            self.problem(".command is missing")
        return {
            "name": str(self.name) if self.fine else "",
            "command": self.value("command", COMMAND, ()),
            "directory": self.value("directory", PATH, None),
            "environment": self._environment(),
        }

    def _environment(self) -> dict[str, str]:
        environment = self.item.get("environment")
        if environment is None:
            return {}
        if not isinstance(environment, dict):
            self.problem(f".environment is {type(environment).__name__}, but must hold names and texts")
            return {}
        texts = {}
        for name, value in environment.items():
            if not isinstance(name, str) or not _VARIABLE.fullmatch(name):
                self.problem(f".environment has {shown(name)}, which cannot be the name of a variable")
                continue
            text = _environment_text(value)
            if text is None:
                # Without the value, which may be a secret.
                self.problem(f".environment.{name} must be a text or a number")
            else:
                texts[name] = text
        return texts


def _process(reader: _Reader) -> SideProcess:
    reader.refuse_unknown(_PROCESS_KEYS)
    common = reader.common()
    overrides = {
        key: reader.value(key, SPECS[key].kind, None)
        for key in ("stop_timeout_s", *_RESTART_KEYS)
        if reader.item.get(key) is not None
    }
    return SideProcess(**common, overrides=overrides)


def _step(reader: _Reader) -> Step:
    reader.refuse_unknown(_STEP_KEYS)
    common = reader.common()
    said = [(key, reader.item[key]) for key in ("before", "after") if reader.item.get(key) is not None]
    if len(said) != 1:
        reader.problem(" must say either `before:` or `after:` which phase it runs")
    for key, phase in said:
        if phase not in PHASE_NAMES:
            close = difflib.get_close_matches(phase, PHASE_NAMES, n=1) if isinstance(phase, str) else []
            hint = f"; did you mean {close[0]}?" if close else ""
            reader.problem(f".{key} is {shown(phase)}, but must be one of {', '.join(PHASE_NAMES)}{hint}")
    timeout_s = reader.value("timeout_s", POSITIVE_SECONDS, _STEP_TIMEOUT_S)
    when, phase = said[0] if reader.fine else ("", "")
    return Step(**common, phase=phase, before=when == "before", timeout_s=timeout_s)


def _environment_text(value: object) -> str | None:
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, str | int | float):
        return None
    try:
        text = str(value)
    except ValueError:
        # Python does not spell out integers of thousands of digits.
        return None
    return text if is_passable(text) else None
