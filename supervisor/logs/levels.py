"""From which level on the lines of each component are written. Pure."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field
from typing import Final

from supervisor.logs.events import LEVELS

# Who speaks; `directus` has Directus' own lines and those of its steps, `side` those of side processes.
COMPONENTS: Final = (
    "backup",
    "boot",
    "config",
    "directus",
    "health",
    "incident",
    "init",
    "library",
    "lock",
    "migrations",
    "postgres",
    "process",
    "release",
    "schema",
    "side",
    "state",
    "step",
    "supervisor",
    "tracing",
)
# The least that can be asked for: a failure is always told.
SETTABLE: Final = ("debug", "info", "warning", "error")


@dataclass(slots=True)
class Levels:
    """The levels in force.

    Attributes:
        general: of every component that has none of its own.
        of: of some components.
    """

    general: str = "info"
    of: dict[str, str] = field(default_factory=dict)

    def threshold(self, component: str) -> int:
        """The number in `LEVELS` from which on lines of a component are written."""
        return LEVELS[self.of.get(component, self.general)]

    def put(self, level: str, component: str | None = None) -> None:
        """Set the level of a component; of all of them, whatever they had, without one.

        Raises:
            ValueError: there is no such level or component; says which is meant.
        """
        _known(level, SETTABLE, "level")
        if component is None:
            self.general = level
            self.of.clear()
        else:
            self.of[_known(component, COMPONENTS, "component")] = level

    def __str__(self) -> str:
        return ",".join([self.general, *(f"{component}={level}" for component, level in sorted(self.of.items()))])


def parse(text: str) -> Levels:
    """Read ``info`` or ``info,postgres=debug,directus=warning``; the general level may stand anywhere, or not at all.

    Raises:
        ValueError: what is wrong, and the nearest thing that there is.
    """
    levels = Levels()
    general: list[str] = []
    for part in (part.strip().lower() for part in text.split(",")):
        component, equals, level = (word.strip() for word in part.partition("="))
        if not equals:
            general.append(_known(component, SETTABLE, "level"))
            continue
        _known(component, COMPONENTS, "component")
        if component in levels.of:
            raise ValueError(f"{component} is there twice")
        levels.of[component] = _known(level, SETTABLE, "level")
    if len(general) > 1:
        raise ValueError(f"there is more than one general level: {', '.join(general)}")
    levels.general = general[0] if general else levels.general
    return levels


def _known(word: str, words: tuple[str, ...], kind: str) -> str:
    if word in words:
        return word
    near = difflib.get_close_matches(word, words, 1, 0.5)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(words)}"
    raise ValueError(f"there is no {kind} {word!r}; {hint}")
