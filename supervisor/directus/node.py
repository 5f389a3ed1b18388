"""How Node.js is started for Directus: a module of ours before its own, and what that is told (``ahead.mjs``)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from supervisor.directus.compile_cache import CacheRefusedError, prepare_cache

if TYPE_CHECKING:
    from supervisor.configuration import Configuration

_AHEAD: Final = Path(__file__).with_name("ahead.mjs")
_TASK: Final = "DIRECTUS_SUPERVISOR_NODE"


def with_ahead(argv: tuple[str, ...]) -> tuple[str, ...]:
    """The same command line of Node.js, with our module before all else."""
    node, *rest = argv
    return (node, "--import", _AHEAD.as_uri(), *rest)


def told_ahead(
    configuration: Configuration, environment: Mapping[str, str], *, wait: Path | None = None, leash: bool = False
) -> dict[str, str]:
    """The environment for such a command line.

    Args:
        configuration: where compiled code is kept.
        environment: what Directus itself is to have; a ``NODE_COMPILE_CACHE`` in it goes before our own folder.
        wait: a module to load, whereupon the process waits for a message before it goes on.
        leash: whether it is to end when we are gone.
    """
    cache = None
    if not environment.get("NODE_COMPILE_CACHE"):
        try:
            cache = prepare_cache(configuration.settings.compile_cache_dir, environment)
        except CacheRefusedError:
            # Said once, with the other warnings of the configuration, where the folder was chosen.
            cache = None
    task = {"cache": cache and str(cache), "wait": wait and str(wait), "leash": leash}
    return {**environment, _TASK: json.dumps(task)}
