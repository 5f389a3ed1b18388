"""What a change of the schema can lose, and how far each mode lets it go. Pure.

The database knows whether it would be lost: :mod:`supervisor.directus.evidence` asks it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, Literal

from supervisor.directus.diff import Change, Key

# What Directus makes of its types on PostgreSQL when it alters a column: FieldsService.addColumnToTable of
# @directus/api 35, and knex' column compiler. Any change of a column's schema casts it to this type.
_TYPES: Final = {
    "bigInteger": "bigint",
    "binary": "bytea",
    "boolean": "boolean",
    "csv": "text",
    "date": "date",
    "dateTime": "timestamp without time zone",
    "float": "real",
    "hash": "character varying(255)",
    "integer": "integer",
    "json": "json",
    "text": "text",
    "time": "time without time zone",
    "timestamp": "timestamp with time zone",
    "uuid": "uuid",
}
_LENGTH: Final = 255
_PRECISION: Final = 10
_SCALE: Final = 5


class What(Enum):
    """What would come of a change, in the words of the plan's digest."""

    DROP = "drop"
    CONVERT = "convert"
    # From here on the database refuses the change as long as its rows are what they are.
    VIEW = "view"
    IMPOSSIBLE = "impossible"
    REQUIRED = "required"
    UNIQUE = "unique"
    ORPHANS = "orphans"


@dataclass(frozen=True, slots=True)
class Loss:
    """One change that would lose data, or that the rows are in the way of.

    Attributes:
        change: the change.
        what: what would come of it.
        count: how many rows or values are concerned.
        relation: OID of the table.
        attribute: number of the column; 0 for a whole table. Neither number is used again for another one.
        detail: for a conversion the types, as "text to integer"; for a foreign key what it is to refer to.
    """

    change: Change
    what: What
    count: int
    relation: int
    attribute: int = 0
    detail: str = ""

    @property
    def blocked(self) -> bool:
        """Whether the database itself refuses the change, so that no approval helps."""
        return self.what not in {What.DROP, What.CONVERT}

    @property
    def sentence(self) -> str:
        """What would be lost, or is in the way, with its count."""
        name, what = self.change.name, self.what
        if what is What.DROP:
            word = "row" if self.change.kind == "collection" else "value"
            return f"{self.change.kind} {name} ({_counted(self.count, word)})"
        return {
            What.CONVERT: f"{name} from {self.detail} ({_counted(self.count, 'value')} would not stay the same)",
            What.VIEW: f"{name} (a view, which Directus cannot drop)",
            What.IMPOSSIBLE: f"{name} from {self.detail} (PostgreSQL cannot convert what is there)",
            What.REQUIRED: f"{name} becoming required ({_counted(self.count, 'row')} without a value)",
            What.ORPHANS: f"{name} referring to {self.detail} ({_counted(self.count, 'value')} not among them)",
            What.UNIQUE: f"{name} becoming unique ({_counted(self.count, 'value')} too many)",
        }[what]


def _counted(count: int, word: str) -> str:
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


def target_type(after: Mapping[str, Any], before: Mapping[str, Any]) -> str | None:
    """The type that Directus casts a column to when it alters it; None when it does not say.

    Args:
        after: the field as the snapshot has it.
        before: the field as it is.
    """
    schema, existing = after.get("schema") or {}, before.get("schema") or {}
    kind = after.get("type")
    if schema.get("has_auto_increment"):
        return None
    if kind == "string":
        length = schema["max_length"] if "max_length" in schema else existing.get("max_length")
        return f"character varying({int(length or _LENGTH)})"
    if kind == "decimal":
        precision, scale = _first(schema, existing, "numeric_precision"), _first(schema, existing, "numeric_scale")
        return f"numeric({_PRECISION if precision is None else precision},{_SCALE if scale is None else scale})"
    return _TYPES.get(str(kind))


def _first(schema: Mapping[str, Any], existing: Mapping[str, Any], name: str) -> int | None:
    for side in (schema, existing):
        if side.get(name) is not None:
            return int(side[name])
    return None


def is_required(item: Mapping[str, Any] | None) -> bool:
    """Whether each row must have a value."""
    schema = (item or {}).get("schema") or {}
    return schema.get("is_nullable") is False or bool(schema.get("is_primary_key"))


def is_unique(item: Mapping[str, Any] | None) -> bool:
    """Whether no two rows may have the same value."""
    return bool(((item or {}).get("schema") or {}).get("is_unique"))


def new_reference(change: Change) -> tuple[str, str] | None:
    """The table and column that a relation refers to from now on; None where it is no foreign key, or was this one."""
    before, after = (_reference(item) for item in (change.before, change.after))
    return None if after == before else after


def _reference(item: Mapping[str, Any] | None) -> tuple[str, str] | None:
    schema = (item or {}).get("schema") or {}
    table, column = schema.get("foreign_key_table"), schema.get("foreign_key_column")
    return (str(table), str(column)) if table and column else None


def fills_itself(item: Mapping[str, Any] | None) -> bool:
    """Whether rows that are there get a value when the column is added."""
    schema = (item or {}).get("schema") or {}
    return schema.get("default_value") is not None or bool(schema.get("has_auto_increment"))


def may_lose(change: Change) -> bool:
    """Whether the database has to be asked about a change."""
    if change.kind == "relation":
        # A constraint holds no data, but the rows may not allow a new one.
        return new_reference(change) is not None
    if change.action == "create":
        # What is created can only meet rows that it does not allow.
        return change.kind == "field" and (is_required(change.after) or is_unique(change.after))
    return change.action == "delete" or (change.kind == "field" and change.alters_column)


@dataclass(frozen=True, slots=True)
class Link:
    """A relation, by the names that hang together.

    Attributes:
        collection: where the foreign key is.
        field: the foreign key.
        related: the collection that it points to; None when it may be several.
        alias: the field of `related` that shows the other side.
    """

    collection: str
    field: str
    related: str | None
    alias: str | None


def with_dependants(losses: Iterable[Loss], links: Collection[Link]) -> frozenset[Key]:
    """What has to be left out so that the given changes are left out and nothing points into the void."""
    left_out: set[Key] = set()
    for loss in losses:
        left_out.add(loss.change.key)
        collection, name = loss.change.collection, loss.change.field
        for link in links:
            of_field = name is not None and (link.collection, link.field) == (collection, name)
            of_collection = name is None and collection in {link.collection, link.related}
            if of_field or of_collection:
                left_out.add(("relation", link.collection, link.field))
                left_out.add(("field", link.collection, link.field))
                if link.related is not None and link.alias is not None:
                    left_out.add(("field", link.related, link.alias))
    return frozenset(left_out)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is done with the plan.

    Attributes:
        action: apply it, only show it, or refuse it.
        left_out: the changes that are not made, as losses.
        lost: what is given up knowingly, and copied out before.
    """

    action: Literal["apply", "show", "refuse"]
    left_out: tuple[Loss, ...] = ()
    lost: tuple[Loss, ...] = ()


def judge(mode: str, losses: tuple[Loss, ...], *, approved: bool) -> Verdict:
    """Decide on a plan.

    Args:
        mode: ``SUPERVISOR_SCHEMA_MODE``.
        losses: what it would lose, and what is in its way.
        approved: whether exactly these losses were approved.
    """
    lossy = tuple(loss for loss in losses if not loss.blocked)
    blocked = tuple(loss for loss in losses if loss.blocked)
    if mode == "plan":
        return Verdict("show", lost=losses)
    if mode == "force":
        return Verdict("apply", lost=lossy)
    if mode == "additive":
        return Verdict("apply", left_out=blocked, lost=lossy) if approved else Verdict("apply", left_out=losses)
    if blocked or (lossy and not approved):
        return Verdict("refuse", lost=losses)
    return Verdict("apply", lost=lossy)
