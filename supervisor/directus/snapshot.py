"""Looking into the snapshot file without Directus: only what messages need; applying it is Directus' own work."""

from __future__ import annotations

from pathlib import Path

from supervisor.errors import SNAPSHOT_INVALID, SupervisorError
from supervisor.yaml_file import parse_yaml


def is_blank(snapshot: Path) -> bool:
    """Whether the file holds nothing but white space.

    Raises:
        SupervisorError: ``schema.snapshot_invalid`` when it cannot be read as text.
    """
    try:
        with snapshot.open(encoding="utf-8") as file:
            return not any(line.strip() for line in file)
    except OSError as error:
        raise SupervisorError(SNAPSHOT_INVALID, f"{snapshot} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise SupervisorError(SNAPSHOT_INVALID, f"{snapshot} is not UTF-8: {error.reason}") from None


def creator_of(relation: str, snapshot: Path) -> str | None:
    """Who creates a relation after the first SQL files have run: Directus itself, the snapshot, or nobody."""
    if relation.startswith("directus_"):
        return "Directus' bootstrap"
    return "the snapshot" if relation in _collections(snapshot) else None


def _collections(snapshot: Path) -> set[str]:
    """Names of the collections; empty when the file is absent or broken, which its own phase will tell."""
    try:
        document = parse_yaml(snapshot.read_text(encoding="utf-8"), snapshot)
    except (OSError, UnicodeDecodeError, SupervisorError):
        return set()
    collections = document.get("collections") if isinstance(document, dict) else None
    if not isinstance(collections, list):
        return set()
    return {str(item["collection"]) for item in collections if isinstance(item, dict) and "collection" in item}
