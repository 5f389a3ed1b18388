"""The snapshot as `check` needs it: which tables it creates, and where it says so. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from supervisor.check import finding
from supervisor.check.source import Source
from supervisor.check.world import GUARD_TABLE
from supervisor.errors import SupervisorError
from supervisor.yaml_file import parse_yaml

_PLACE: Final = re.compile(r":(?P<line>\d+):(?P<column>\d+): (?P<message>.*)$", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What is known of the snapshot.

    Attributes:
        collections: tables that it creates; a folder of collections has none.
        is_there: whether there is one that could be read.
    """

    collections: frozenset[str] = frozenset()
    is_there: bool = False


def read_snapshot(source: Source) -> Snapshot:
    """Read the collections; what is wrong with the file is reported."""
    if not source.text.strip():
        return Snapshot()
    try:
        document = parse_yaml(source.text, Path(source.label))
    except SupervisorError as error:
        match = _PLACE.search(error.message)
        line, column = (int(match["line"]), int(match["column"])) if match else (1, 1)
        source.report_at(finding.SNAPSHOT, line, column, match["message"] if match else error.message)
        return Snapshot()
    items = document.get("collections") if isinstance(document, dict) else None
    if not isinstance(items, list):
        source.report(finding.SNAPSHOT, 0, "it has no list of collections")
        return Snapshot()
    names = {
        str(item["collection"])
        for item in items
        if isinstance(item, dict) and "collection" in item and item.get("schema", True) is not None
    }
    if GUARD_TABLE in names:
        source.report(
            finding.GHOST_COLLECTION,
            _place_of(source.text, GUARD_TABLE),
            f"{GUARD_TABLE} is in the snapshot, and the supervisor creates it before",
            remedy="Take the collection out of the snapshot.",
            relation=GUARD_TABLE,
        )
    return Snapshot(frozenset(names), is_there=True)


def _place_of(text: str, name: str) -> int:
    match = re.search(rf"^\s*-?\s*[\"']?collection[\"']?:\s*[\"']?(?P<name>{re.escape(name)})\b", text, re.MULTILINE)
    return match.start("name") if match else 0
