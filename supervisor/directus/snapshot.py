"""Looking into the snapshot file without Directus: only what messages need; applying it is Directus' own work."""

from __future__ import annotations

from pathlib import Path

from supervisor.errors import SNAPSHOT_INVALID, SupervisorError
from supervisor.yaml_file import parse_yaml


def read_snapshot(snapshot: Path) -> bytes | None:
    """The bytes of the snapshot file; None when there is none.

    Raises:
        SupervisorError: ``schema.snapshot_invalid`` when it is there and cannot be read.
    """
    try:
        return snapshot.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SupervisorError(SNAPSHOT_INVALID, f"{snapshot} cannot be read: {error.strerror}") from None


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
