"""Variables of one prefix as the object that Directus builds of them: ``DB_SSL__CA`` is its ``ssl.ca``.

Follows ``getConfigFromEnv`` of ``@directus/api``, which is built on ``camelcase`` and lodash's ``set``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from supervisor.directus.environment import DirectusEnvironment

_SEPARATED = re.compile(r"[_.\- ]+(\w|\Z)")
_NUMBERED = re.compile(r"[0-9]+(?:\w|\Z)(?![_-])")


def config_object(
    environment: DirectusEnvironment, prefix: str, *, omit_prefix: str | None = None
) -> dict[str, object]:
    """Returns the nested values of every variable that starts with the prefix, in upper or lower case.

    The variables' order counts: ``DB_SSL=true`` after ``DB_SSL__CA`` replaces the object, before it is
    replaced by it.

    Args:
        environment: the configuration.
        prefix: such as ``DB_``.
        omit_prefix: variables that start so are left out.
    """
    config: dict[str, object] = {}
    for name, value in environment.items():
        lower = name.lower()
        if not lower.startswith(prefix.lower()) or (omit_prefix and lower.startswith(omit_prefix.lower())):
            continue
        if "__" not in name:
            config[camelcase(name[len(prefix) :])] = value
            continue
        first, *rest = name.split("__")
        _set(config, [camelcase(camelcase(first[len(prefix) :])), *map(camelcase, rest)], value)
    return config


def camelcase(name: str) -> str:
    """Returns the name in camel case: ``REJECT_UNAUTHORIZED`` becomes ``rejectUnauthorized``."""
    text = name.strip()
    if text != text.lower() and len(text) > 1:
        text = _with_humps_separated(text)
    text = text.lstrip("_.- ").lower()
    text = _NUMBERED.sub(lambda match: match[0].upper(), text)
    return _SEPARATED.sub(lambda match: match[1].upper(), text)


def _with_humps_separated(text: str) -> str:
    separated = ""
    after_lower = after_upper = after_two_upper = False
    for character in text:
        if after_lower and character.isupper():
            separated += "-"
            after_lower, after_two_upper, after_upper = False, after_upper, True
        elif after_upper and after_two_upper and character.islower() and len(separated) > 2 and separated[-3] != "-":
            # The last capital of a run begins the next word: `CAFile` is `ca-file`.
            separated = f"{separated[:-1]}-{separated[-1]}"
            after_lower, after_two_upper, after_upper = True, False, False
        else:
            after_lower, after_two_upper, after_upper = character.islower(), after_upper, character.isupper()
        separated += character
    return separated


def _set(config: dict[str, object], path: list[str], value: object) -> None:
    target = config
    for key in path[:-1]:
        inner = target.get(key)
        if isinstance(inner, list):
            # A JavaScript array is an object with its indexes for keys.
            inner = {str(index): element for index, element in enumerate(inner)}
        # A copy, for the object itself is the variable's own value.
        inner = dict(inner) if isinstance(inner, dict) else {}
        target[key] = inner
        target = inner
    target[path[-1]] = value
