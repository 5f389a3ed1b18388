"""What a boot was made of, kept for when a later one fails: what is different now is where to look first."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from supervisor import __version__
from supervisor.incidents.store import write_whole
from supervisor.settings import SPECS

if TYPE_CHECKING:
    from supervisor.configuration import Configuration
    from supervisor.postgres.sqlfile import SqlTree
    from supervisor.settings import Settings

FILE: Final = "last-good-boot.json"
_MOST_BYTES: Final = 4 * 1024 * 1024
_NAMED: Final = 20
_SHOWN: Final = 12
# Its value says nothing, and must not be written anywhere.
_SECRET: Final = frozenset({"status_token"})


@dataclass(frozen=True, slots=True, kw_only=True)
class BootFacts:
    """What a boot was made of; None is not known.

    Attributes:
        at: when it was good, RFC 3339 in UTC.
        supervisor: our version.
        directus: its version.
        snapshot: sha256 of the snapshot file; empty where there is none.
        node: path and size of the Node.js binary.
        sql: checksum of each SQL file by its name.
        settings: each variable that is not at its default.
    """

    at: str
    supervisor: str | None = None
    directus: str | None = None
    snapshot: str | None = None
    node: str | None = None
    sql: Mapping[str, str] | None = None
    settings: Mapping[str, str] | None = field(default=None)


def facts_of(configuration: Configuration, sql: SqlTree | None, at: str) -> BootFacts:
    """What this boot is made of.

    Args:
        configuration: everything that was configured.
        sql: the SQL files; None when they could not be read.
        at: the time, RFC 3339 in UTC.
    """
    installation = configuration.installation
    return BootFacts(
        at=at,
        supervisor=__version__,
        directus=installation.version,
        snapshot=_sum_of(configuration.settings.snapshot),
        node=f"{installation.node}, {_size_of(installation.node)} bytes",
        sql={file.name: file.checksum for file in sql.all} if sql is not None else None,
        settings=_chosen(configuration.settings),
    )


def changes(before: BootFacts, now: BootFacts) -> list[dict[str, Any]]:
    """What is different: one object each, with `what`, `before` and `after`; what is not known of either is left out.

    Args:
        before: the last good boot.
        now: this one.
    """
    found: list[dict[str, Any]] = []
    for what in ("supervisor", "directus", "snapshot", "node"):
        old, new = getattr(before, what), getattr(now, what)
        if old is not None and new is not None and old != new:
            cut = _SHOWN if what == "snapshot" else None
            found.append({"what": what, "before": old[:cut], "after": new[:cut]})
    if before.sql is not None and now.sql is not None and before.sql != now.sql:
        old_files, new_files = before.sql, now.sql
        found.append(
            {
                "what": "sql_files",
                "before": len(old_files),
                "after": len(new_files),
                "added": sorted(new_files.keys() - old_files.keys())[:_NAMED],
                "edited": sorted(
                    name for name in new_files.keys() & old_files.keys() if new_files[name] != old_files[name]
                )[:_NAMED],
                "removed": sorted(old_files.keys() - new_files.keys())[:_NAMED],
            }
        )
    if before.settings is not None and now.settings is not None:
        found += [
            {"what": "settings", "name": name, "before": before.settings.get(name), "after": now.settings.get(name)}
            for name in sorted(before.settings.keys() | now.settings.keys())
            if before.settings.get(name) != now.settings.get(name)
        ][:_NAMED]
    return found


def read_last(folder: Path) -> BootFacts | None:
    """The last good boot that was kept in `folder`; None when there is none that can be read. Never fails."""
    try:
        with (folder / FILE).open("rb") as file:
            document = json.loads(file.read(_MOST_BYTES))
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(document, dict) or not isinstance(document.get("at"), str):
        return None
    return BootFacts(
        at=document["at"],
        **{name: _text(document.get(name)) for name in ("supervisor", "directus", "snapshot", "node")},
        sql=_texts(document.get("sql")),
        settings=_texts(document.get("settings")),
    )


def keep_last(folder: Path, facts: BootFacts) -> None:
    """Keep a good boot in place of the one before it.

    Raises:
        OSError: it could not be written.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    text = json.dumps(asdict(facts), ensure_ascii=False, indent=2)
    write_whole(folder / FILE, text.encode("utf-8", "backslashreplace") + b"\n")


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _texts(value: object) -> Mapping[str, str] | None:
    if not isinstance(value, dict):
        return None
    return {str(name): str(text) for name, text in value.items()}


def _sum_of(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""


def _size_of(path: Path) -> int | str:
    try:
        return path.stat().st_size
    except OSError:
        return "?"


def _chosen(settings: Settings) -> dict[str, str]:
    values = ((spec, getattr(settings, name)) for name, spec in SPECS.items() if name not in _SECRET)
    return {spec.variable: _spelled(value) for spec, value in values if value != spec.default}


def _spelled(value: object) -> str:
    if isinstance(value, tuple | frozenset):
        return ",".join(sorted(map(str, value)) if isinstance(value, frozenset) else map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
