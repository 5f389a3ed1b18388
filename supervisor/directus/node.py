"""How Node.js is started for Directus: a module of ours before its own, and what that is told (``ahead.mjs``)."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from supervisor.directus.compile_cache import CacheRefusedError, CompileCache, filled_mark, filled_with, find_cache
from supervisor.process.memory import limit_mb

if TYPE_CHECKING:
    from supervisor.configuration import Configuration
    from supervisor.directus.install import Installation

# Two of Directus' processes at once, of about 250 MB each while they load, and what else there is.
_ROOM_MB: Final = 1000.0
# Directus ends by a signal, where Node.js writes no cache; so it is written, or asked for, once the start is over.
_SETTLED_AFTER_S: Final = 15
_AHEAD: Final = Path(__file__).with_name("ahead.mjs")
_COMPILE: Final = Path(__file__).with_name("compile.mjs")
_TASK: Final = "DIRECTUS_SUPERVISOR_NODE"
# What Node.js itself and the system's libraries go by; nothing of it is Directus' configuration.
_PLAIN: Final = frozenset({"PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH"})


def room_for_two() -> bool:
    """Whether this container has the memory for two of Directus' processes at once."""
    limit = limit_mb()
    return limit is None or limit >= _ROOM_MB


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
    cache = CompileCache(None)
    if not environment.get("NODE_COMPILE_CACHE"):
        try:
            cache = find_cache(configuration.settings.compile_cache_dir, environment)
        except CacheRefusedError:
            # Said once, with the other warnings of the configuration, where the folder was chosen.
            cache = CompileCache(None)
    mark = filled_mark(configuration.installation)
    return _told(
        environment,
        cache=cache.own,
        filled=filled_with(cache, mark),
        mark=mark,
        beside=cache.own is not None and room_for_two(),
        settle_ms=_SETTLED_AFTER_S * 1000,
        wait=wait,
        leash=leash,
    )


def compile_command(installation: Installation) -> tuple[str, ...]:
    """The command line that fills the cache."""
    arguments = (str(_COMPILE), str(installation.api), filled_mark(installation))
    return with_ahead((str(installation.node), *arguments))


def compile_environment(environ: Mapping[str, str], own: Path | None, *, leash: bool = False) -> dict[str, str]:
    """The environment for that: what decides how Node.js compiles, and nothing by which Directus could go anywhere.

    Args:
        environ: the environment that Directus is started with.
        own: the folder to fill; None where Node.js has one by ``NODE_COMPILE_CACHE``.
        leash: whether it is to end when we are gone.
    """
    plain = {name: text for name, text in environ.items() if name in _PLAIN or name.startswith("NODE_")}
    # The file that Directus would read goes before the environment.
    return _told({**plain, "CONFIG_PATH": os.devnull}, cache=own, filled=[], mark="", leash=leash)


def _told(environment: Mapping[str, str], **task: object) -> dict[str, str]:
    return {**environment, _TASK: json.dumps(task, default=str)}
