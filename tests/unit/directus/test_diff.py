"""Directus' schema diff, read: the shapes are those that deep-diff gives and Directus sends."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.directus.diff import (
    Change,
    names_by_action,
    outermost,
    read_changes,
    without_collections,
    without_keys,
)

FIELD = {"collection": "entries", "field": "race_number", "type": "integer", "meta": {"hidden": False}}
DIFF: dict[str, Any] = {
    "collections": [
        {
            "collection": "stages",
            "diff": [{"kind": "N", "rhs": {"collection": "stages", "schema": {"name": "stages"}}}],
        },
        {"collection": "old", "diff": [{"kind": "D", "lhs": {"collection": "old"}}]},
        {
            "collection": "entries",
            "diff": [
                {"kind": "E", "path": ["meta", "icon"], "lhs": "car", "rhs": "flag"},
                {"kind": "A", "path": ["meta", "translations"], "index": 0, "item": {"kind": "N", "rhs": {}}},
            ],
        },
    ],
    "fields": [
        {"collection": "stages", "field": "id", "diff": [{"kind": "N", "rhs": FIELD}]},
        {"collection": "entries", "field": "race_number", "diff": [{"kind": "N", "rhs": FIELD}]},
        {"collection": "entries", "field": "gone", "diff": [{"kind": "D", "lhs": FIELD}]},
        # An edit that deletes a part of the field, not the field.
        {"collection": "entries", "field": "note", "diff": [{"kind": "D", "path": ["meta", "options"], "lhs": {}}]},
        {"collection": "entries", "field": "name", "diff": [{"kind": "N", "path": ["schema", "comment"], "rhs": "x"}]},
        {"collection": "entries", "field": "tags", "diff": [{"kind": "A", "path": ["meta", "special"], "index": 1}]},
    ],
    "systemFields": [
        {"collection": "directus_users", "field": "email", "diff": [{"kind": "E", "path": ["schema", "is_indexed"]}]}
    ],
    "relations": [
        {
            "collection": "entries",
            "field": "stage",
            "related_collection": "stages",
            "diff": [{"kind": "D", "lhs": {"collection": "entries"}}],
        }
    ],
}


def test_each_object_is_read_with_what_happens_to_it() -> None:
    assert read_changes(DIFF) == (
        Change("collection", "create", "stages", None),
        Change("collection", "delete", "old", None),
        Change("collection", "change", "entries", None),
        Change("field", "create", "stages", "id"),
        Change("field", "create", "entries", "race_number"),
        Change("field", "delete", "entries", "gone"),
        Change("field", "change", "entries", "note"),
        Change("field", "change", "entries", "name"),
        Change("field", "change", "entries", "tags"),
        Change("field", "change", "directus_users", "email"),
        Change("relation", "delete", "entries", "stage"),
    )


def test_a_column_is_altered_when_more_than_the_notes_on_it_changes() -> None:
    changed = [change for change in read_changes(DIFF) if change.action == "change"]
    assert [change.name for change in changed if change.alters_column] == ["entries.name", "directus_users.email"]


def test_the_object_comes_as_it_is_and_as_it_is_to_be() -> None:
    edit = {"kind": "E", "path": ["type"]}
    item = {"collection": "a", "field": "b", "diff": [edit], "before": {"type": "text"}, "after": {"type": "csv"}}
    (change,) = read_changes({"fields": [item]})
    assert (change.before, change.after) == ({"type": "text"}, {"type": "csv"})


def test_single_objects_can_be_left_out() -> None:
    changes = read_changes(DIFF)
    left = without_keys(changes, {("field", "entries", "gone"), ("collection", "old", None)})
    assert {change.name for change in changes} - {change.name for change in left} == {"entries.gone", "old"}


def test_a_relation_is_called_one() -> None:
    assert Change("relation", "create", "entries", "stage").name == "relation entries.stage"


@pytest.mark.parametrize("diff", [{}, {"collections": [], "fields": None}])
def test_no_difference_is_no_change(diff: object) -> None:
    assert read_changes(diff) == ()


@pytest.mark.parametrize(
    "diff",
    [
        None,
        [1],
        "text",
        {"collections": 1},
        {"collections": [1]},
        {"collections": [{"collection": "a"}]},
        {"collections": [{"collection": "a", "diff": []}]},
        {"collections": [{"collection": "a", "diff": [{}]}]},
        {"collections": [{"diff": [{"kind": "N"}]}]},
        {"fields": [{"collection": "a", "diff": {"kind": "N"}}]},
        # A word that deep-diff does not have might be a deletion.
        {"fields": [{"collection": "a", "field": "b", "diff": [{"kind": "X"}]}]},
    ],
)
def test_an_unknown_shape_is_refused(diff: object) -> None:
    with pytest.raises(ValueError, match="unknown shape"):
        read_changes(diff)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["N", "D", "path"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["collections", "fields", "collection", "diff", "kind", "path"]), inner)
    ),
    max_leaves=12,
)


@given(json_values)
def test_anything_else_is_read_or_refused(value: object) -> None:
    try:
        changes = read_changes(value)
    except ValueError:
        return
    assert all(change.action in {"create", "change", "delete"} for change in changes)


def test_ignored_collections_take_their_fields_and_relations_with_them() -> None:
    left = without_collections(read_changes(DIFF), {"entries", "old"})
    assert {change.collection for change in left} == {"stages", "directus_users"}


def test_a_created_collection_speaks_for_its_fields() -> None:
    names = [change.name for change in outermost(read_changes(DIFF))]
    assert "stages" in names
    assert "stages.id" not in names
    assert "entries.race_number" in names


def test_a_deleted_collection_does_not_hide_what_else_is_deleted() -> None:
    changes = (Change("collection", "delete", "a", None), Change("field", "delete", "a", "b"))
    assert outermost(changes) == changes


def test_names_are_grouped_for_the_log() -> None:
    assert names_by_action(read_changes(DIFF)) == {
        "created": ["stages", "stages.id", "entries.race_number"],
        "changed": ["entries", "entries.note", "entries.name", "entries.tags", "directus_users.email"],
        "deleted": ["old", "entries.gone", "relation entries.stage"],
    }
