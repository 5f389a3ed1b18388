"""Which relations exist at each point of the boot on an empty database, and what is needed before it does. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Final

from supervisor.check import finding
from supervisor.check.effects import Effect, Kind
from supervisor.check.finding import Rule, Severity
from supervisor.check.names import Relation
from supervisor.check.source import Source

GUARD_TABLE: Final = "migrations_applied"
_SYSTEM_SCHEMAS: Final = frozenset({"pg_catalog", "information_schema", "pg_toast", "pg_temp"})
# What PostgreSQL and Directus put behind a table's name for its indexes and sequences.
_SUFFIXES: Final = ("_pkey", "_key", "_idx", "_seq", "_index", "_unique", "_foreign", "_fkey", "_excl")
_RELATIONS_OF_EXTENSIONS: Final[dict[str, frozenset[str]]] = {
    "postgis": frozenset({"spatial_ref_sys", "geometry_columns", "geography_columns"}),
    "postgis_raster": frozenset({"raster_columns", "raster_overviews"}),
    "tablefunc": frozenset(), "pgcrypto": frozenset(), "uuid-ossp": frozenset(), "pg_trgm": frozenset(),
    "btree_gist": frozenset(), "btree_gin": frozenset(), "citext": frozenset(), "hstore": frozenset(),
    "ltree": frozenset(), "unaccent": frozenset(), "timescaledb": frozenset(), "vector": frozenset(),
    "pg_stat_statements": frozenset(), "pg_cron": frozenset(), "intarray": frozenset(), "cube": frozenset(),
    "earthdistance": frozenset(), "fuzzystrmatch": frozenset(), "plpgsql": frozenset(), "postgres_fdw": frozenset(),
    "dblink": frozenset(), "file_fdw": frozenset(), "moddatetime": frozenset(), "timescaledb_toolkit": frozenset(),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Script:
    """One SQL file with its effects.

    Attributes:
        source: takes the findings.
        effects: in order.
        before_schema: whether it runs before Directus' bootstrap and the snapshot.
        repeatable: whether it runs after the numbered files of its folder.
    """

    source: Source
    effects: list[Effect]
    before_schema: bool
    repeatable: bool = False


@dataclass(frozen=True, slots=True)
class Setting:
    """What a deployment has besides its SQL files.

    Attributes:
        collections: tables that the snapshot creates.
        has_snapshot: whether there is a snapshot; without one nothing is known of Directus' tables.
        main_schema: where Directus has its tables.
        assumed: relations that something else creates.
        further_schemas: where the sessions look for a name besides, as ``DB_SEARCH_PATH`` says.
    """

    collections: frozenset[str] = frozenset()
    has_snapshot: bool = True
    main_schema: str = "public"
    assumed: frozenset[Relation] = frozenset()
    further_schemas: tuple[str, ...] = ()


def judge(scripts: Iterable[Script], setting: Setting) -> None:
    """Run the effects of all files in the order of the boot; each need that is not met becomes a finding."""
    world = _World(setting)
    ordered = list(scripts)
    for script in ordered:
        world.plan(script)
    for script in ordered:
        world.run(script)


@dataclass
class _World:
    """What exists."""

    setting: Setting
    existing: set[Relation] = field(default_factory=set)
    possible: set[Relation] = field(default_factory=set)
    own_schemas: set[str] = field(default_factory=set)
    filled_schemas: set[str] = field(default_factory=set)
    opaque: bool = False
    creators: dict[Relation, list[Script]] = field(default_factory=dict)
    dropped: dict[Relation, tuple[str, int]] = field(default_factory=dict)
    _schema_is_there: bool = False
    _temporary: set[str] = field(default_factory=set)
    _path: tuple[str, ...] | None = ()
    _told: set[tuple[str, str]] = field(default_factory=set)
    _routines: dict[str, tuple[Effect, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.existing.add(Relation(self.setting.main_schema, GUARD_TABLE))
        self.existing |= {
            Relation(relation.schema or self.setting.main_schema, relation.name) for relation in self.setting.assumed
        }

    def plan(self, script: Script) -> None:
        """Note what a file will create, so that one before it can be told."""
        self._path = ()
        for effect in script.effects:
            if effect.kind is Kind.SEARCH_PATH:
                self._path = effect.path
            elif effect.kind is Kind.CREATE:
                self.creators.setdefault(self._made(effect.relation), []).append(script)
            elif effect.kind is Kind.MAY_CREATE:
                self.possible.add(self._made(effect.relation))
            elif effect.kind is Kind.CREATE_SCHEMA:
                self.own_schemas.add(effect.relation.name)
            elif effect.kind is Kind.FILL_SCHEMA:
                self.filled_schemas.add(effect.relation.name)

    def run(self, script: Script) -> None:
        """Let one file have its effects."""
        if not script.before_schema and not self._schema_is_there:
            self._schema_is_there = True
            self.existing |= {Relation(self.setting.main_schema, name) for name in self.setting.collections}
        self._path, self._temporary, self._told = (), set(), set()
        for effect in script.effects:
            self._take(script, effect)

    def _take(self, script: Script, effect: Effect) -> None:  # noqa: C901 - one case for each kind
        relation = effect.relation
        runs = effect.certain and all(self._found(needed) is not None for needed in effect.only_if)
        match effect.kind:
            case Kind.NEED | Kind.MENTION:
                if runs and self._is_missing(relation):
                    self._tell(script, effect)
            case Kind.CREATE:
                self._ghost(script, effect)
                (self.existing if runs else self.possible).add(self._made(relation))
            case Kind.CREATE_TEMPORARY:
                self._temporary.add(relation.name)
            case Kind.DROP | Kind.DROP_SCHEMA:
                # One that stands under a condition may not have happened.
                if runs and not effect.only_if:
                    self._drop(script, effect)
            case Kind.SEARCH_PATH:
                self._path = effect.path
            case Kind.CREATE_EXTENSION:
                self._extension(relation.name)
            case Kind.DEFINE:
                # Of two that share a name nobody knows here which one is called.
                self._routines[relation.name] = () if relation.name in self._routines else effect.body
            case Kind.CALL:
                if runs:
                    self._call(script, effect)
            case Kind.OPAQUE:
                self.opaque = True

    def _call(self, script: Script, call: Effect) -> None:
        for needed in self._routines.get(call.relation.name, ()):
            if self._is_missing(needed.relation):
                here = Effect(Kind.NEED, needed.relation, call.fragment, call.byte)
                self._tell(script, here, f"calls {call.relation.name}, which ")

    def _drop(self, script: Script, effect: Effect) -> None:
        relation = effect.relation
        if effect.kind is Kind.DROP_SCHEMA:
            gone = {each for each in self.existing if each.schema == relation.name}
        else:
            found = self._found(relation)
            gone = {found} if found is not None else set()
            self._temporary.discard(relation.name)
        self.existing -= gone
        self.dropped |= dict.fromkeys(gone, (script.source.label, script.source.place(effect.offset)[0]))

    def _extension(self, name: str) -> None:
        relations = _RELATIONS_OF_EXTENSIONS.get(name)
        if relations is None:
            self.opaque = True
        else:
            self.possible |= {Relation(self.setting.main_schema, relation) for relation in relations}

    def _schemas(self) -> list[str]:
        """The schemas in which an unqualified name is looked for."""
        if self._path:
            return [schema for schema in self._path if schema and schema != "$user"]
        return [self.setting.main_schema, *self.setting.further_schemas]

    def _made(self, relation: Relation) -> Relation:
        """The relation that a CREATE makes."""
        return Relation(relation.schema or next(iter(self._schemas()), self.setting.main_schema), relation.name)

    def _found(self, relation: Relation) -> Relation | None:
        """The relation that a name stands for, if it exists."""
        if relation.schema is None and relation.name in self._temporary:
            return relation
        for schema in [relation.schema] if relation.schema else self._schemas():
            candidate = Relation(schema, relation.name)
            if candidate in self.existing or self._is_of_directus(candidate):
                return candidate
        return None

    def _is_of_directus(self, relation: Relation) -> bool:
        mine = relation.schema == self.setting.main_schema
        return mine and self._schema_is_there and relation.name.startswith("directus_")

    def _is_missing(self, relation: Relation) -> bool:
        if relation.schema in _SYSTEM_SCHEMAS or (relation.schema is None and relation.name.startswith("pg_")):
            return False
        if self._found(relation) is not None or self._owner_exists(relation):
            return False
        return not any(Relation(schema, relation.name) in self.possible for schema in self._looked_in(relation))

    def _looked_in(self, relation: Relation) -> Collection[str]:
        return [relation.schema] if relation.schema else self._schemas()

    def _owner_exists(self, relation: Relation) -> bool:
        """Whether it is named like an index or sequence of a table that exists."""
        if not relation.name.endswith(_SUFFIXES):
            return False
        name = relation.name
        while "_" in name:
            name = name.rpartition("_")[0]
            if self._found(Relation(relation.schema, name)) is not None:
                return True
        return False

    def _ghost(self, script: Script, effect: Effect) -> None:
        made = self._made(effect.relation)
        if made.schema == self.setting.main_schema and made.name in self.setting.collections:
            script.source.report(
                finding.GHOST_COLLECTION,
                effect.offset,
                f"{made.name} is created here, and the snapshot creates it, too",
                relation=made.name,
            )

    def _tell(self, script: Script, effect: Effect, by: str = "") -> None:
        relation = effect.relation
        verdict = self._why(script, relation)
        if verdict is None:
            return
        rule, message, remedy, severity = verdict
        if rule is finding.UNKNOWN_RELATION and effect.kind is Kind.MENTION:
            return
        if (rule.code, str(relation)) not in self._told:
            self._told.add((rule.code, str(relation)))
            script.source.report(
                rule, effect.offset, by + message, remedy=remedy, severity=severity, relation=relation.name
            )

    def _why(self, script: Script, relation: Relation) -> tuple[Rule, str, str | None, Severity | None] | None:
        """What is to be said of a relation that is not there; None when nothing is known of it."""
        main = self.setting.main_schema
        in_main = main in self._looked_in(relation)
        if in_main and script.before_schema and (owner := self._collection_of(relation.name)):
            message = f"needs {relation}, which the snapshot creates after this file has run"
            if owner != relation.name:
                message = f"needs {relation} of {owner}, which the snapshot creates after this file has run"
            return finding.NEEDS_SNAPSHOT, message, None, None
        if in_main and script.before_schema and relation.name.startswith("directus_"):
            message = f"needs {relation}, which Directus' bootstrap creates after this file has run"
            return finding.NEEDS_DIRECTUS, message, None, None
        candidates = [Relation(schema, relation.name) for schema in self._looked_in(relation)]
        for candidate in candidates:
            if candidate in self.dropped:
                label, line = self.dropped[candidate]
                return finding.DROPPED_RELATION, f"needs {relation}, which {label}:{line} has dropped", None, None
        for candidate in candidates:
            if makers := self.creators.get(candidate):
                return self._created_later(script, relation, makers)
        return self._unknown(relation)

    def _created_later(
        self, script: Script, relation: Relation, makers: list[Script]
    ) -> tuple[Rule, str, str | None, Severity | None]:
        if script in makers:
            message = f"needs {relation}, which only a later statement of this file creates"
            return finding.NEEDS_LATER_FILE, message, "Put the statement after it.", None
        maker = makers[0]
        remedy = None
        if script.before_schema and not maker.before_schema:
            remedy = "Move this file to sql/post-schema/, with a number after that one."
        elif maker.repeatable and not script.repeatable:
            remedy = "Repeatable files run after the numbered ones of their folder: make this one repeatable, too."
        message = f"needs {relation}, which {maker.source.label} creates after this file has run"
        return finding.NEEDS_LATER_FILE, message, remedy, None

    def _unknown(self, relation: Relation) -> tuple[Rule, str, str | None, Severity | None] | None:
        schema = relation.schema
        known_schemas = (self.own_schemas - self.filled_schemas) | {self.setting.main_schema}
        # Of the schemas of extensions and other programs nothing is known.
        if self._path is None or not all(each in known_schemas for each in self._looked_in(relation)):
            return None
        nearest = f"nothing creates {relation}" if schema else f"nothing creates {relation.name}"
        uncertain = self.opaque or not self.setting.has_snapshot
        return finding.UNKNOWN_RELATION, nearest, None, Severity.WARNING if uncertain else None

    def _collection_of(self, name: str) -> str | None:
        """The collection of this name, or whose index or sequence has it."""
        if name in self.setting.collections:
            return name
        if name.endswith(_SUFFIXES):
            owners = [each for each in self.setting.collections if name.startswith(f"{each}_")]
            return max(owners, key=len, default=None)
        return None
