"""A fingerprint of the live schema, by one query: whatever Directus' own diff can see changes it.

What that diff reads is in ``@directus/schema``'s dialect for Postgres and in ``@directus/api``'s ``get-snapshot``,
``get-schema`` and ``sanitize-schema``: columns, constraints, indexes and sequences of the schemas of the search path,
and the rows of ``directus_collections``, ``directus_fields`` and ``directus_relations``.

There are two sums. `everything` also covers what Directus 11 passes over (views, composite constraints, checks,
expression and unique indexes, comments, privileges, extensions): it is what a later boot compares, so that a
Directus that looks at more is covered as well. `diffed` covers only what enters the diff, so that it stays the same
when SQL files add what a snapshot cannot hold. Rows of data, statistics, vacuum and oids enter neither, nor do
partitions that Directus does not track.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from supervisor.postgres.connect import quote_identifier

if TYPE_CHECKING:
    from supervisor.postgres.connect import Connection
    from supervisor.postgres.target import Target

# Written into every sum: a fingerprint of another form is another fingerprint.
_FORM: Final = "1"

# ROW(…)::text quotes its parts, so that no two different facts read the same. No question marks: knex would take one
# for a parameter.
_QUERY: Final = """
WITH tracked AS MATERIALIZED (
    SELECT collection::text AS name FROM {main}.directus_collections
), relations AS MATERIALIZED (
    SELECT c.oid, n.nspname AS space, c.relname AS name, c.relkind AS kind, c.relowner AS owner, c.relacl AS acl,
           pg_has_role(c.relowner, 'USAGE') AS owned
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE n.nspname = ANY (ARRAY[{schemas}]::name[]) AND c.relkind IN ('r', 'p', 'f', 'v', 'm', 'S')
       AND (NOT c.relispartition OR c.relname::text IN (SELECT name FROM tracked))
), facts (diffed, fact) AS (
    SELECT true, ROW('form', '{form}', current_schemas(false),
                     EXISTS (SELECT FROM pg_proc WHERE proname = 'postgis_version'))::text
    UNION ALL
    SELECT false, ROW('server', current_setting('server_version'), current_user)::text
    UNION ALL
    SELECT false, ROW('extension', extname, extversion)::text FROM pg_extension
    UNION ALL
    SELECT true, ROW('relation', space, name, kind)::text FROM relations
    UNION ALL
    SELECT false, ROW('rights', space, name, pg_get_userbyid(owner), acl)::text FROM relations
    UNION ALL
    SELECT true, ROW('column', r.space, r.name, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
                     a.attidentity, a.attgenerated, pg_get_expr(d.adbin, d.adrelid),
                     r.owned OR has_column_privilege(r.oid, a.attnum, 'SELECT, INSERT, UPDATE, REFERENCES'))::text
      FROM relations r JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
      LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
     WHERE r.kind <> 'S'
    UNION ALL
    SELECT c.contype = 'p' OR (c.contype IN ('u', 'f') AND cardinality(c.conkey) = 1),
           ROW('constraint', r.space, r.name, c.contype, c.conname, pg_get_constraintdef(c.oid))::text
      FROM relations r JOIN pg_constraint c ON c.conrelid = r.oid
    UNION ALL
    SELECT NOT i.indisunique AND i.indkey[0] <> 0 AND i.indkey[0] = ALL (i.indkey::int2[]),
           ROW('index', r.space, r.name, pg_get_indexdef(i.indexrelid), i.indisvalid)::text
      FROM relations r JOIN pg_index i ON i.indrelid = r.oid
    UNION ALL
    SELECT true, ROW('owned sequence', r.space, r.name, d.deptype, d.refobjid::regclass, d.refobjsubid > 0,
                     (SELECT attname FROM pg_attribute WHERE attrelid = d.refobjid AND attnum = d.refobjsubid))::text
      FROM relations r JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = r.oid AND d.objsubid = 0
                                       AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')
     WHERE r.kind = 'S'
    UNION ALL
    SELECT false, ROW('comment', r.space, r.name, a.attname, t.description)::text
      FROM relations r JOIN pg_description t ON t.objoid = r.oid AND t.classoid = 'pg_class'::regclass
      LEFT JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum = t.objsubid
    UNION ALL
    SELECT true, ROW('directus_collections', t::text)::text FROM {main}.directus_collections t
    UNION ALL
    SELECT true, ROW('directus_fields', t::text)::text FROM {main}.directus_fields t
    UNION ALL
    SELECT true, ROW('directus_relations', t::text)::text FROM {main}.directus_relations t
)
SELECT encode(sha256(convert_to(string_agg(fact, E'\\n' ORDER BY fact COLLATE "C"), 'UTF8')), 'hex') AS everything,
       encode(sha256(convert_to(string_agg(fact, E'\\n' ORDER BY fact COLLATE "C") FILTER (WHERE diffed), 'UTF8')),
              'hex') AS diffed
  FROM facts
"""


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """The schema at one moment.

    Attributes:
        everything: sum of all that was looked at; what boots compare.
        diffed: sum of what enters Directus' diff.
    """

    everything: str
    diffed: str

    @classmethod
    def read(cls, row: Mapping[str, Any]) -> Fingerprint:
        """Read the one row of the query.

        Raises:
            ValueError: when it is no such row.
        """
        match row:
            case {"everything": str(everything), "diffed": str(diffed)}:
                return cls(everything, diffed)
        raise ValueError("not the row of a fingerprint")


def fingerprint_query(target: Target) -> str:
    """The query, which needs no parameters; it fails on a database without Directus."""
    schemas = ", ".join(_literal(schema) for schema in target.search_path or (target.main_schema,))
    return _QUERY.format(main=quote_identifier(target.main_schema), schemas=schemas, form=_FORM)


async def take_fingerprint(connection: Connection, target: Target) -> Fingerprint:
    """The fingerprint of the schema as it is now.

    Raises:
        asyncpg.PostgresError: as on a database without Directus' tables.
        ValueError: when the server answers nothing usable.
    """
    row = await connection.fetchrow(fingerprint_query(target))
    return Fingerprint.read(dict(row) if row is not None else {})


def _literal(text: str) -> str:
    # With a backslash a plain literal would depend on standard_conforming_strings.
    escaped = text.replace("\\", "\\\\").replace("'", "''")
    return f"E'{escaped}'"
