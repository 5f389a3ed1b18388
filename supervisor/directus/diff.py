"""Directus' schema diff, read: what is created, changed and deleted, by name. Pure.

Directus describes each object's difference by ``deep-diff``'s list of edits, of which the first one tells what happens
to the object as a whole: N new, D deleted, E edited, A changed within a list.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from dataclasses import field as attribute
from typing import Any, Final, TypeAlias

Key: TypeAlias = tuple[str, str, str | None]

_PARTS: Final = (
    ("collections", "collection"),
    ("fields", "field"),
    ("systemFields", "field"),
    ("relations", "relation"),
)


@dataclass(frozen=True, slots=True)
class Change:
    """What happens to one object.

    Attributes:
        kind: "collection", "field" or "relation".
        action: "create", "change" or "delete".
        collection: name of the collection.
        field: name of the field; None for a collection.
        before: the object as it is; None when it is created.
        after: the object as the snapshot has it; None when it is deleted.
        alters_column: whether more than Directus' own notes on the object (its `meta`) changes.
    """

    kind: str
    action: str
    collection: str
    field: str | None
    before: Mapping[str, Any] | None = attribute(default=None, compare=False)
    after: Mapping[str, Any] | None = attribute(default=None, compare=False)
    alters_column: bool = attribute(default=False, compare=False)

    @property
    def key(self) -> Key:
        """What tells the object from all others; a field that is deleted and created again has one key."""
        return self.kind, self.collection, self.field

    @property
    def name(self) -> str:
        """The object's name, as in "entries.race_number"."""
        name = self.collection if self.field is None else f"{self.collection}.{self.field}"
        return f"relation {name}" if self.kind == "relation" else name


def read_changes(diff: Any) -> tuple[Change, ...]:  # noqa: ANN401 - JSON
    """Read the diff that Directus computed.

    Raises:
        ValueError: when it has not the expected shape.
    """
    changes = []
    try:
        for part, kind in _PARTS:
            for item in diff.get(part) or []:
                name = item.get("field") if part != "collections" else None
                edits = item["diff"]
                before, after = item.get("before"), item.get("after")
                changes.append(
                    Change(kind, _action(edits), item["collection"], name, before, after, _alters_column(edits))
                )
    except (AttributeError, KeyError, IndexError, TypeError) as error:
        raise ValueError(f"the diff has an unknown shape: {error!r}") from error
    return tuple(changes)


def _action(edits: list[dict[str, Any]]) -> str:
    first = edits[0]
    if first["kind"] not in {"N", "D", "E", "A"}:
        raise KeyError(first["kind"])
    whole_object = not first.get("path")
    if whole_object and first["kind"] == "N":
        return "create"
    if whole_object and first["kind"] == "D":
        return "delete"
    return "change"


def _alters_column(edits: list[dict[str, Any]]) -> bool:
    # Directus alters the column, and that with all its properties, as soon as one of its `schema` differs.
    return any((edit.get("path") or ["schema"])[0] == "schema" for edit in edits)


def without_keys(changes: Iterable[Change], left_out: Collection[Key]) -> tuple[Change, ...]:
    """The changes of objects that are not left out."""
    return tuple(change for change in changes if change.key not in left_out)


def without_collections(changes: Iterable[Change], ignored: Collection[str]) -> tuple[Change, ...]:
    """The changes that concern none of the ignored collections."""
    return tuple(change for change in changes if change.collection not in ignored)


def outermost(changes: Iterable[Change]) -> tuple[Change, ...]:
    """The changes without the fields and relations of collections that are themselves created."""
    changes = tuple(changes)
    created = {change.collection for change in changes if change.kind == "collection" and change.action == "create"}
    return tuple(change for change in changes if change.kind == "collection" or change.collection not in created)


def names_by_action(changes: Iterable[Change]) -> dict[str, Any]:
    """Names of the changed objects, for the log."""
    names: dict[str, list[str]] = {"created": [], "changed": [], "deleted": []}
    words = {"create": "created", "change": "changed", "delete": "deleted"}
    for change in changes:
        names[words[change.action]].append(change.name)
    return names
