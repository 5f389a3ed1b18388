"""Good and bad SQL: each case with exactly what `check` must say of it.

The snapshot of every case has the collections `events`, `users_roles` and `Odd Name`. An expectation is
``line:column code relation``; the file is the case's only one, in `pre-schema/` unless the case says otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final


@dataclass(frozen=True)
class Case:
    """One file, or several, and what is to be found."""

    name: str
    sql: str
    expected: tuple[str, ...] = ()
    post: bool = False
    others: dict[str, str] = field(default_factory=dict)


def good(name: str, sql: str, *, post: bool = False, **others: str) -> Case:
    """A case without findings."""
    return Case(name, sql, (), post, others)


def bad(name: str, sql: str, *expected: str, post: bool = False, **others: str) -> Case:
    """A case with findings in its main file."""
    return Case(name, sql, expected, post, others)


EVENTS: Final = "needs-snapshot events"

ORDER: Final = [
    bad("alter of a collection", "ALTER TABLE events ADD COLUMN IF NOT EXISTS x int;", f"1:13 {EVENTS}"),
    good("the same after the schema", "ALTER TABLE events ADD COLUMN IF NOT EXISTS x int;", post=True),
    bad("qualified", "COMMENT ON TABLE public.events IS 'x';", f"1:1 {EVENTS}"),
    bad("quoted", 'TRUNCATE "Odd Name";', "1:10 needs-snapshot Odd Name"),
    bad("folded", "TRUNCATE Events;", f"1:10 {EVENTS}"),
    bad("quoted in the wrong case", 'TRUNCATE "Events";', "1:10 unknown-relation Events", post=True),
    bad("after text beyond ASCII", "SELECT 'äöü€𝄞', 'x' FROM events;", f"1:26 {EVENTS}"),
    bad("in the second line", "SELECT 1;\n\n  SELECT * FROM events;", f"3:17 {EVENTS}"),
    bad("once for each file", "SELECT 1 FROM events;\nSELECT 2 FROM events;", f"1:15 {EVENTS}"),
    bad("in a join", "SELECT FROM pg_class c JOIN events e ON true;", f"1:29 {EVENTS}"),
    bad("in a subquery", "SELECT (SELECT max(id) FROM events);", f"1:29 {EVENTS}"),
    bad("in a view", "CREATE OR REPLACE VIEW v AS SELECT * FROM events;", f"1:43 {EVENTS}"),
    bad(
        "in a materialised view",
        "CREATE MATERIALIZED VIEW IF NOT EXISTS v AS SELECT * FROM events;",
        f"1:59 {EVENTS}",
    ),
    bad("in CREATE TABLE AS", "CREATE TABLE IF NOT EXISTS t AS TABLE events;", f"1:39 {EVENTS}"),
    bad("as a foreign key", "CREATE TABLE IF NOT EXISTS t (e int REFERENCES events);", f"1:48 {EVENTS}"),
    bad("as a template", "CREATE TABLE IF NOT EXISTS t (LIKE events);", f"1:36 {EVENTS}"),
    bad("as a parent", "CREATE TABLE IF NOT EXISTS t () INHERITS (events);", f"1:43 {EVENTS}"),
    bad("as a row type", "CREATE TABLE IF NOT EXISTS t (e events);", f"1:33 {EVENTS}"),
    bad("as a type by %TYPE", "CREATE OR REPLACE FUNCTION f(e events.id%TYPE) RETURNS int LANGUAGE c AS 'x';", f"1:32 {EVENTS}"),
    bad("as regclass", "SELECT 'events'::regclass;", f"1:8 {EVENTS}"),
    bad("as qualified regclass", "SELECT CAST('public.\"events\"' AS regclass);", f"1:13 {EVENTS}"),
    bad("by a function of regclass", "SELECT pg_total_relation_size('events');", f"1:31 {EVENTS}"),
    bad("by create_hypertable", "SELECT create_hypertable('events', by_range('ts'));", f"1:26 {EVENTS}", "1:1 unguarded"),
    bad("by its sequence", "SELECT setval('events_id_seq', 1);", "1:15 needs-snapshot events_id_seq"),
    bad("with an index", "CREATE INDEX IF NOT EXISTS i ON events (id);", f"1:33 {EVENTS}"),
    bad("with a trigger", "CREATE OR REPLACE TRIGGER t BEFORE INSERT ON events EXECUTE FUNCTION touch();", f"1:46 {EVENTS}"),
    bad("with a policy", "DROP POLICY IF EXISTS p ON events;\nCREATE POLICY p ON events;", f"2:20 {EVENTS}"),
    bad("with a rule", "CREATE OR REPLACE RULE r AS ON DELETE TO events DO INSTEAD NOTHING;", f"1:42 {EVENTS}"),
    bad("with a grant", "GRANT SELECT ON events TO PUBLIC;", f"1:17 {EVENTS}"),
    bad("with a publication", "CREATE PUBLICATION p FOR TABLE events;", f"1:32 {EVENTS}", "1:1 unguarded"),
    bad("with a comment on a column", "COMMENT ON COLUMN events.id IS 'x';", f"1:1 {EVENTS}"),
    bad("with an owned sequence", "CREATE SEQUENCE IF NOT EXISTS s OWNED BY events.id;", f"1:33 {EVENTS}"),
    bad("within INSERT", "INSERT INTO events SELECT 1;", f"1:13 {EVENTS}"),
    bad("within a data-modifying WITH", "WITH d AS (DELETE FROM events RETURNING 1) SELECT * FROM d;", f"1:24 {EVENTS}"),
    bad("changed although a WITH has its name", "WITH events AS (SELECT 1) UPDATE events SET id = 1;", f"1:34 {EVENTS}"),
    bad("within its own WITH", "WITH events AS (SELECT * FROM events) SELECT 1;", f"1:31 {EVENTS}"),
    bad("in EXPLAIN", "EXPLAIN SELECT * FROM events;", f"1:23 {EVENTS}"),
    bad("in LOCK", "LOCK TABLE events;", f"1:12 {EVENTS}"),
    bad("in DROP", "DROP TABLE events;", f"1:1 {EVENTS}", "1:1 unguarded"),
    bad("in RENAME", "ALTER TABLE events RENAME TO gone;", f"1:13 {EVENTS}", "1:1 unguarded"),
    bad("a table of Directus", "ALTER TABLE directus_users ADD COLUMN IF NOT EXISTS x int;", "1:13 needs-directus directus_users"),
    good("a table of Directus after the schema", "SELECT FROM directus_users;", post=True),
    good("the guard table", "SELECT FROM migrations_applied;"),
    good("system tables", "SELECT FROM pg_class, pg_catalog.pg_type, information_schema.tables LIMIT 1;"),
    good("a schema of somebody else", "SELECT FROM timescaledb_information.jobs, cron.job;"),
    bad("nobody's table", "SELECT FROM nowhere;", "1:13 unknown-relation nowhere"),
    bad("nobody's table after the schema", "SELECT FROM nowhere;", "1:13 unknown-relation nowhere", post=True),
    bad("nobody's table in a schema of ours", "CREATE SCHEMA IF NOT EXISTS app;\nSELECT FROM app.x;", "2:13 unknown-relation x"),
    bad("a table of a later file", "SELECT FROM t;", "1:13 needs-later-file t", second="CREATE TABLE IF NOT EXISTS t ();"),
    bad("a table of a later statement", "SELECT FROM t;\nCREATE TABLE IF NOT EXISTS t ();", "1:13 needs-later-file t"),
    bad("a dropped table", "CREATE TEMP TABLE a AS SELECT 1;\nCREATE TABLE IF NOT EXISTS t ();\nDROP TABLE IF EXISTS t;\nSELECT FROM t;", "4:13 dropped-relation t"),
    bad("a temporary table of another file", "SELECT 1;", second="CREATE TEMP TABLE t ();", third="SELECT FROM t;"),
    bad("a collection that SQL creates", "CREATE TABLE IF NOT EXISTS events (id int);", "1:28 ghost-collection events"),
    bad("a collection that a view creates", "CREATE OR REPLACE VIEW events AS SELECT 1;", "1:24 ghost-collection events"),
    good("a table named like a collection elsewhere", "CREATE SCHEMA IF NOT EXISTS app;\nCREATE TABLE IF NOT EXISTS app.events ();\nSELECT FROM app.events;"),
]  # fmt: skip

NAMES: Final = [
    good("a common table expression", "WITH events AS (SELECT 1) SELECT * FROM events;"),
    good("a recursive one", "WITH RECURSIVE events AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM events WHERE n < 3) SELECT FROM events;"),
    good("one that another one uses", "WITH a AS (SELECT 1), events AS (SELECT * FROM a) INSERT INTO migrations_applied SELECT FROM events;"),
    good("one in sight of a subquery", "WITH events AS (SELECT 1) SELECT (SELECT count(*) FROM events);"),
    good("an alias", "SELECT events.* FROM (SELECT 1) AS events;"),
    good("an alias that is locked", "CREATE TABLE IF NOT EXISTS t ();\nSELECT FROM t AS events FOR UPDATE OF events;"),
    good("a function", "SELECT * FROM generate_series(1, 2), LATERAL lower('events') AS events;"),
    good("a string", "SELECT 'events', $$ ALTER TABLE events $$; -- SELECT FROM events"),
    good("a temporary table", "CREATE TEMP TABLE t AS SELECT 1;\nSELECT FROM t; DROP TABLE IF EXISTS t;"),
    good("a table that exists by SELECT INTO", "SELECT 1 INTO TEMP t;\nSELECT FROM t;"),
    good("a table that refers to itself", "CREATE TABLE IF NOT EXISTS t (id int PRIMARY KEY, up int REFERENCES t);"),
    good("a partition", "CREATE TABLE IF NOT EXISTS p (id int) PARTITION BY LIST (id);\nCREATE TABLE IF NOT EXISTS q PARTITION OF p DEFAULT;\nSELECT FROM q;"),
    good("a sequence of serial", "CREATE TABLE IF NOT EXISTS t (id serial);\nSELECT nextval('t_id_seq');"),
    good("a sequence", "CREATE SEQUENCE IF NOT EXISTS s;\nCREATE TABLE IF NOT EXISTS t (id int DEFAULT nextval('s'::regclass));"),
    good("an index as regclass", "CREATE TABLE IF NOT EXISTS t (id int PRIMARY KEY);\nCREATE INDEX IF NOT EXISTS i ON t (id);\nSELECT 'i'::regclass, 't_pkey'::regclass;"),
    good("a materialised view", "CREATE MATERIALIZED VIEW IF NOT EXISTS v AS SELECT 1;\nREFRESH MATERIALIZED VIEW v;"),
    good("a type", "DROP TYPE IF EXISTS mood;\nCREATE TYPE mood AS ENUM ('ok');\nCREATE TABLE IF NOT EXISTS t (m mood, g geometry);"),
    good("a renamed table", "CREATE TABLE IF NOT EXISTS a ();\nALTER TABLE IF EXISTS a RENAME TO b;\nSELECT FROM b;"),
    bad("the old name of a renamed table", "CREATE TABLE IF NOT EXISTS a ();\nALTER TABLE a RENAME TO b;\nSELECT FROM a;", "2:1 unguarded", "3:13 dropped-relation a"),
    bad("a table that was moved", "CREATE SCHEMA IF NOT EXISTS app;\nCREATE TABLE IF NOT EXISTS t ();\nALTER TABLE t SET SCHEMA app;\nSELECT FROM app.t;", "3:1 unguarded"),
    good("a search path", "CREATE SCHEMA IF NOT EXISTS app;\nSET search_path TO app, public;\nCREATE TABLE IF NOT EXISTS events ();\nSELECT FROM events AS a, app.events AS b;"),
    good("a search path that is not known", "SELECT set_config('search_path', current_setting('x.y'), true);\nSELECT FROM nowhere;"),
    good("a table of postgis", "CREATE EXTENSION IF NOT EXISTS postgis;\nSELECT FROM spatial_ref_sys;"),
    Case("a table of an extension that is not known", "CREATE EXTENSION IF NOT EXISTS fancy;\nSELECT FROM fancy_jobs;", ("2:13 unknown-relation? fancy_jobs",)),
    good("IF EXISTS", "ALTER TABLE IF EXISTS events ADD COLUMN IF NOT EXISTS x int REFERENCES users_roles;\nDROP TABLE IF EXISTS nowhere, events;\nDROP TRIGGER IF EXISTS t ON events;"),
    bad("IF EXISTS of a table that does", "CREATE TABLE IF NOT EXISTS t (x int);\nALTER TABLE IF EXISTS t ADD COLUMN IF NOT EXISTS e int REFERENCES events;", f"2:67 {EVENTS}"),
    good("to_regclass", "SELECT to_regclass('events');"),
]  # fmt: skip


def do(*lines: str, declare: str = "") -> str:
    """A DO block; its first line is the third, or the fourth below a declaration."""
    head = f"DECLARE {declare}\n" if declare else ""
    return f"DO $$\n{head}BEGIN\n" + "\n".join(lines) + "\nEND\n$$;"


ADD: Final = "ALTER TABLE events ADD COLUMN IF NOT EXISTS x int;"
BODIES: Final = [
    bad("in a DO block", do(f"  {ADD}"), f"3:15 {EVENTS}"),
    bad("below a guard of the constraint alone", do("IF NOT EXISTS (SELECT FROM pg_constraint WHERE conname = 'c') THEN", "ALTER TABLE events ADD CONSTRAINT c UNIQUE (id);", "END IF;"), f"4:13 {EVENTS}"),
    bad("in a condition", do("IF EXISTS (SELECT FROM pg_constraint WHERE conrelid = 'events'::regclass) THEN NULL; END IF;"), f"3:55 {EVENTS}"),
    bad("in PERFORM", do("PERFORM count(*) FROM events;"), f"3:23 {EVENTS}"),
    bad("in SELECT INTO a variable", do("SELECT count(*) INTO n FROM events;", declare="n int;"), f"4:29 {EVENTS}"),
    bad("in an assignment", do("n := (SELECT count(*) FROM events);", declare="n int;"), f"4:28 {EVENTS}"),
    bad("in a loop", do("FOR r IN SELECT * FROM events LOOP NULL; END LOOP;", declare="r record;"), f"4:24 {EVENTS}"),
    bad("as the type of a variable", do("NULL;", declare="r events%ROWTYPE;"), f"2:11 {EVENTS}"),
    bad("in a default of a variable", do("NULL;", declare="n int := (SELECT count(*) FROM events);"), f"2:40 {EVENTS}"),
    bad("in EXECUTE of a literal", do("EXECUTE 'TRUNCATE events';"), f"3:19 {EVENTS}"),
    bad("in EXECUTE of literals only", do("EXECUTE format('TRUNCATE %I', 'events');"), f"3:9 {EVENTS}"),
    bad("in EXECUTE with a constant", do("EXECUTE format('TRUNCATE %I', t);", declare="t CONSTANT text := 'events';"), f"4:9 {EVENTS}"),
    bad("in EXECUTE for each of some literals", do("FOREACH t IN ARRAY ARRAY['users_roles', 'events']::text[] LOOP", "EXECUTE 'TRUNCATE ' || quote_ident(t);", "END LOOP;", declare="t text;"), f"5:9 {EVENTS}", "5:9 needs-snapshot users_roles"),
    good("in EXECUTE for each that is there", do("FOREACH t IN ARRAY ARRAY['users_roles', 'events'] LOOP", "IF to_regclass(t) IS NOT NULL THEN EXECUTE format('TRUNCATE %I', t); END IF;", "END LOOP;", declare="t text;")),
    good("in EXECUTE for each, under another name", do("FOREACH t IN ARRAY ARRAY['events'] LOOP", "t := 'no_' || t; EXECUTE format('DROP TABLE IF EXISTS %I', t); EXECUTE format('CREATE TABLE %I ()', t); EXECUTE format('TRUNCATE %I', t);", "END LOOP;", declare="t text;")),
    good("in EXECUTE of what is not known", do("EXECUTE format('TRUNCATE %I', t);", declare="t text := 'events';")),
    bad("beyond text that is not ASCII", do("-- äöü", "PERFORM 'ä€'; PERFORM 1 FROM events;"), f"4:30 {EVENTS}"),
    bad("in a quoted body", "DO 'BEGIN PERFORM ''x'' FROM events; END';", f"1:4 {EVENTS}"),
    bad("twice in a row, one of them guarded", do("IF to_regclass('events') IS NOT NULL THEN", ADD, "END IF;", ADD), f"6:13 {EVENTS}"),
    bad("in the branch of its absence", do("IF to_regclass('events') IS NULL THEN", ADD, "END IF;"), f"4:13 {EVENTS}"),
    bad("below a check that raises", do("IF to_regclass('events') IS NULL THEN", "RAISE EXCEPTION 'no';", "END IF;"), f"3:1 {EVENTS}"),
    good("below to_regclass", do("IF to_regclass('public.events') IS NOT NULL THEN", ADD, "END IF;")),
    good("below the ELSE of its opposite", do("IF to_regclass('events') IS NULL THEN", "RAISE NOTICE 'no';", "ELSE", ADD, "END IF;")),
    good("after a RETURN", do("IF NOT EXISTS (SELECT FROM information_schema.tables WHERE table_name = 'events') THEN", "RETURN;", "END IF;", ADD)),
    good("below EXISTS in information_schema", do("IF EXISTS (SELECT 1 FROM information_schema.tables WHERE table_schema = 'public' AND table_name = 'events') THEN", ADD, "END IF;")),
    good("below EXISTS in pg_tables", do("IF EXISTS (SELECT FROM pg_tables WHERE tablename = 'events') AND 1 = 1 THEN", ADD, "END IF;")),
    good("below EXISTS with a join", do("IF EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relname = 'events') THEN", ADD, "END IF;")),
    good("below a count", do("IF (SELECT count(*) FROM pg_class WHERE relname = 'events') > 0 THEN", ADD, "END IF;")),
    good("below a count of none", do("IF (SELECT count(*) FROM pg_class WHERE relname = 'events') = 0 THEN RETURN; END IF;", ADD)),
    good("after a count of too few", do("IF (SELECT count(*) FROM pg_class WHERE relname = 'events') < 2 THEN RETURN; END IF;", ADD)),
    good("below a count of some", do("IF (SELECT count(*) FROM pg_class WHERE relname = 'events') >= 2 THEN", ADD, "END IF;")),
    bad("below a count of few", do("IF (SELECT count(*) FROM pg_class WHERE relname = 'events') < 2 THEN", ADD, "END IF;"), f"4:13 {EVENTS}"),
    good("below a variable", do("there := EXISTS (SELECT FROM pg_class WHERE relname = 'events');", "IF there THEN", ADD, "END IF;", declare="there boolean;")),
    good("below a counted variable", do("SELECT count(*) INTO n FROM pg_class WHERE relname = 'events';", "IF n > 0 THEN", ADD, "END IF;", declare="n int;")),
    good("below a declared variable", do("IF t IS NOT NULL THEN", ADD, "END IF;", declare="t regclass := to_regclass('events');")),
    good("below CASE", do("CASE WHEN to_regclass('events') IS NOT NULL THEN", ADD, "ELSE NULL; END CASE;")),
    bad("below the ELSE of CASE", do("CASE WHEN to_regclass('events') IS NOT NULL THEN NULL;", "ELSE", ADD, "END CASE;"), f"5:13 {EVENTS}"),
    bad("below CASE of a value", do("CASE 1 WHEN 1 THEN", ADD, "END CASE;"), f"4:13 {EVENTS}"),
    good("after CONTINUE", do("FOR i IN 1..2 LOOP", "CONTINUE WHEN to_regclass('events') IS NULL;", ADD, "END LOOP;")),
    good("after EXIT", do("LOOP", "EXIT WHEN to_regclass('events') IS NULL;", ADD, "EXIT;", "END LOOP;")),
    bad("before EXIT", do("LOOP", ADD, "EXIT WHEN to_regclass('events') IS NULL;", "END LOOP;"), f"4:13 {EVENTS}"),
    bad("in ASSERT", do("ASSERT to_regclass('events') IS NOT NULL, 'no events';"), f"3:1 {EVENTS}"),
    good("in ASSERT of its absence", do("ASSERT to_regclass('events') IS NULL;")),
    good("below FOUND", do("PERFORM FROM pg_class WHERE relname = 'events';", "IF NOT FOUND THEN RETURN; END IF;", ADD)),
    good("below its constraint", do("IF EXISTS (SELECT FROM pg_constraint WHERE conname = 'c') THEN", "ALTER TABLE events DROP CONSTRAINT c;", "END IF;")),
    bad("below an extension", do("IF EXISTS (SELECT FROM pg_extension WHERE extname = 'x') THEN", ADD, "END IF;"), f"4:13 {EVENTS}"),
    good("with the exception caught", do("BEGIN", ADD, "EXCEPTION WHEN undefined_table THEN NULL;", "END;")),
    good("with any exception caught", do(ADD, "EXCEPTION WHEN OTHERS THEN RAISE NOTICE 'x';")),
    bad("with another exception caught", do("BEGIN", ADD, "EXCEPTION WHEN duplicate_column THEN NULL;", "END;"), f"4:13 {EVENTS}"),
    good("a table that the block creates", do("IF to_regclass('t') IS NULL THEN", "CREATE TABLE t (id int);", "END IF;", "PERFORM FROM t;")),
    good("a function in PL/pgSQL", "CREATE OR REPLACE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$\nBEGIN\n  INSERT INTO events SELECT NEW.*;\n  RETURN NEW;\nEND $$;"),
    bad("a function in PL/pgSQL that is called", "CREATE OR REPLACE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$\nBEGIN\n  UPDATE events SET id = 1;\nEND $$;\nSELECT f();", f"5:1 {EVENTS}"),
    bad("a function in PL/pgSQL that a DO block calls", "CREATE OR REPLACE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$\nBEGIN\n  UPDATE events SET id = 1;\nEND $$;\n" + do("PERFORM f();"), f"7:2 {EVENTS}"),
    good("a function in PL/pgSQL that is called and looks first", "CREATE OR REPLACE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$\nBEGIN\n  IF to_regclass('events') IS NOT NULL THEN UPDATE events SET id = 1; END IF;\nEND $$;\nSELECT f();"),
    good("a function in PL/pgSQL that is called below a guard", "CREATE OR REPLACE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$\nBEGIN\n  UPDATE events SET id = 1;\nEND $$;\n" + do("IF to_regclass('events') IS NOT NULL THEN PERFORM f(); END IF;")),
    good("a function in PL/pgSQL that a trigger is to call", "CREATE OR REPLACE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$\nBEGIN\n  UPDATE events SET id = 1;\nEND $$;\n" + "CREATE TABLE IF NOT EXISTS t ();\nCREATE OR REPLACE TRIGGER g BEFORE INSERT ON t EXECUTE FUNCTION f();"),
    good("a function in PL/pgSQL with a table of its own", "CREATE OR REPLACE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$\nBEGIN\n  CREATE TEMP TABLE IF NOT EXISTS mine (); TRUNCATE mine;\nEND $$;\nSELECT f();"),
    bad("a variable of a function", "CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$\nDECLARE r events%ROWTYPE;\nBEGIN r.id := 1; RETURN 1; END $$;", f"2:11 {EVENTS}"),
    bad("what a function returns", "CREATE OR REPLACE FUNCTION f() RETURNS SETOF events LANGUAGE plpgsql AS 'BEGIN RETURN; END';", f"1:46 {EVENTS}"),
    bad("a function in SQL", "CREATE OR REPLACE FUNCTION f() RETURNS bigint LANGUAGE sql AS $$\n  SELECT count(*) FROM events $$;", f"2:24 {EVENTS}"),
    good("a function in SQL that is not checked", "SET check_function_bodies = off;\nCREATE OR REPLACE FUNCTION f() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM events';"),
    good("a function in SQL with commands", "CREATE OR REPLACE FUNCTION f() RETURNS void LANGUAGE sql AS 'TRUNCATE events';"),
    bad("a function of the standard's form", "CREATE OR REPLACE FUNCTION f() RETURNS bigint BEGIN ATOMIC\n  SELECT count(*) FROM events; END;", f"2:24 {EVENTS}"),
    bad("broken SQL in a body", do("PERFORM FROM WHERE;"), "3:14 syntax"),
    bad("broken PL/pgSQL", "SELECT 1;\n" + do("IF true THAN NULL; END IF;"), "2:1 syntax"),
    bad("a word that PL/pgSQL does not know", do("IF true THEN NULL; EN IF;"), "3:20 syntax"),
    Case("a body beyond the parser", do("unknown_variable := 1;"), ("1:1 unread-body",)),
    bad("broken SQL in EXECUTE", do("EXECUTE 'TRUNCAT x';"), "3:10 syntax"),
    bad("COMMIT in a DO block", do("COMMIT;"), "3:1 transaction-control"),
]  # fmt: skip

FILES: Final = [
    good("nothing", ""),
    good("comments alone", "-- about\n/* /* nested */ */\n"),
    bad("a syntax error", "SELECT 1;\nSELEC 2;\nSELECT 3 FROM events;", "2:1 syntax", f"3:15 {EVENTS}"),
    bad("two syntax errors", "SELEC 1;\nSELECT FROM WHERE;", "1:1 syntax", "2:13 syntax"),
    bad("an open string", "SELECT 1 FROM events;\nSELECT 'x;\n", f"1:15 {EVENTS}", "2:8 syntax"),
    bad("an open comment", "SELECT 1; /* x", "1:11 syntax"),
    bad("psql commands", "\\set x 1\n\\i other.sql\nSELECT 1 FROM events \\gexec\n", "1:1 psql-command", "2:1 psql-command", f"3:15 {EVENTS}", "3:22 psql-command"),
    bad("a variable of psql", "SELECT :name;", "1:8 psql-command"),
    bad("COPY with its rows", "CREATE TEMP TABLE t (x text);\nCOPY t FROM stdin;\nit's\t;\n\\.\nSELECT FROM events;", "2:1 copy-stdin", f"5:13 {EVENTS}"),
    bad("COPY to stdout", "COPY (SELECT 1) TO STDOUT;", "1:1 copy-stdin"),
    good("COPY of a server's file", "CREATE TEMP TABLE t (x text);\nCOPY t FROM '/data/x.csv';"),
    bad("BEGIN and COMMIT", "BEGIN;\nSELECT 1;\nCOMMIT;", "1:1 transaction-control", "3:1 transaction-control"),
    good("a savepoint", "SAVEPOINT a; ROLLBACK TO a; RELEASE a;"),
    bad("an index built concurrently", "CREATE TABLE IF NOT EXISTS t (x int);\nCREATE INDEX CONCURRENTLY IF NOT EXISTS i ON t (x);", "2:1 needs-no-transaction"),
    good("the same with the directive", "-- supervisor: no-transaction\nCREATE TABLE IF NOT EXISTS t (x int);\nCREATE INDEX CONCURRENTLY IF NOT EXISTS i ON t (x);"),
    bad("VACUUM", "VACUUM;", "1:1 needs-no-transaction"),
    good("ANALYZE", "ANALYZE;"),
    bad("a continuous aggregate", "CREATE MATERIALIZED VIEW IF NOT EXISTS v WITH (timescaledb.continuous) AS SELECT 1;", "1:1 needs-no-transaction"),
    good("a continuous aggregate without data", "CREATE MATERIALIZED VIEW IF NOT EXISTS v WITH (timescaledb.continuous) AS SELECT 1 WITH NO DATA;"),
    bad("ALTER SYSTEM", "ALTER SYSTEM SET work_mem = '1MB';", "1:1 needs-no-transaction"),
    bad("VACUUM in a DO block", "-- supervisor: no-transaction\n" + do("EXECUTE 'VACUUM';"), "4:10 needs-no-transaction"),
    bad("an index built concurrently in a DO block", do("CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON migrations_applied (x);"), "3:1 needs-no-transaction"),
    bad("a savepoint without a transaction", "-- supervisor: no-transaction\nSAVEPOINT a;", "2:1 needs-transaction"),
    bad("a lock without a transaction", "-- supervisor: no-transaction\nLOCK TABLE migrations_applied;", "2:1 needs-transaction"),
    good("a lock", "LOCK TABLE migrations_applied;"),
    bad("a cursor without a transaction", "-- supervisor: no-transaction\nDECLARE c CURSOR FOR SELECT 1; DECLARE d CURSOR WITH HOLD FOR SELECT 1;", "2:1 needs-transaction"),
    bad("a concurrent index without a name", "-- supervisor: no-transaction\nCREATE INDEX CONCURRENTLY ON migrations_applied (x);", "2:1 nameless-index"),
    bad("DISCARD ALL", "DISCARD ALL;", "1:1 releases-lock"),
    good("DISCARD of less", "DISCARD TEMP; DISCARD PLANS; DISCARD SEQUENCES;"),
    bad("all advisory locks released", "SELECT pg_advisory_unlock_all();", "1:1 releases-lock"),
    bad("another encoding", "SET NAMES 'latin1';\nSELECT 'ä';", "1:1 client-encoding"),
    bad("another encoding by a function", "SELECT set_config('client_encoding', 'WIN1252', false), 'ä';", "1:1 client-encoding"),
    Case("another encoding and plain text", "SELECT 'ä';\nSET client_encoding TO win1252;\nSELECT 'a';", ("2:1 client-encoding?",)),
    good("the encoding that is there", "SET client_encoding = 'UTF8'; SET client_encoding TO DEFAULT; RESET client_encoding; SELECT 'ä';"),
    bad("an unknown directive", "-- supervisor: no-transactions\n", "1:16 directive"),
]  # fmt: skip

TABLE: Final = "CREATE TABLE IF NOT EXISTS t (x int);\n"
RERUNS: Final = [
    bad("CREATE TABLE", "CREATE TABLE t (x int);", "1:1 unguarded"),
    bad("told once for a table and its parts", "CREATE TABLE t (x int);\nCREATE INDEX i ON t (x);\nALTER TABLE t ADD UNIQUE (x);", "1:1 unguarded"),
    bad("CREATE INDEX", TABLE + "CREATE INDEX i ON t (x);", "2:1 unguarded"),
    bad("CREATE INDEX without a name", TABLE + "CREATE INDEX ON t (x);", "2:1 unguarded"),
    bad("ADD CONSTRAINT", TABLE + "ALTER TABLE t ADD CONSTRAINT c CHECK (x > 0);", "2:1 unguarded"),
    good("ADD CONSTRAINT after its DROP", TABLE + "ALTER TABLE t DROP CONSTRAINT IF EXISTS c, ADD CONSTRAINT c CHECK (x > 0);"),
    good("ADD CONSTRAINT after an earlier DROP", TABLE + "ALTER TABLE t DROP CONSTRAINT IF EXISTS c;\nALTER TABLE t ADD CONSTRAINT c CHECK (x > 0);"),
    good("ADD CONSTRAINT below a guard", TABLE + do("IF NOT EXISTS (SELECT FROM pg_constraint WHERE conname = 'c') THEN", "ALTER TABLE t ADD CONSTRAINT c CHECK (x > 0);", "END IF;")),
    good("ADD CONSTRAINT with its failure caught", TABLE + do("ALTER TABLE t ADD CONSTRAINT c CHECK (x > 0);", "EXCEPTION WHEN duplicate_object THEN NULL;")),
    bad("ADD CONSTRAINT in a bare DO block", TABLE + do("ALTER TABLE t ADD CONSTRAINT c CHECK (x > 0);"), "4:1 unguarded"),
    bad("ADD COLUMN", TABLE + "ALTER TABLE t ADD COLUMN y int;", "2:1 unguarded"),
    bad("CREATE VIEW", "CREATE VIEW v AS SELECT 1;", "1:1 unguarded"),
    bad("CREATE FUNCTION", "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1';", "1:1 unguarded"),
    bad("CREATE TRIGGER", TABLE + "CREATE TRIGGER g BEFORE INSERT ON t EXECUTE FUNCTION touch();", "2:1 unguarded"),
    good("CREATE TRIGGER after its DROP", TABLE + "DROP TRIGGER IF EXISTS g ON t;\nCREATE TRIGGER g BEFORE INSERT ON t EXECUTE FUNCTION touch();"),
    bad("CREATE TYPE", "CREATE TYPE mood AS ENUM ('ok');", "1:1 unguarded"),
    good("CREATE TYPE with its failure caught", do("CREATE TYPE mood AS ENUM ('ok');", "EXCEPTION WHEN duplicate_object THEN NULL;")),
    bad("CREATE EXTENSION", "CREATE EXTENSION pgcrypto;", "1:1 unguarded"),
    bad("CREATE SCHEMA", "CREATE SCHEMA app;", "1:1 unguarded"),
    bad("RENAME", TABLE + "ALTER TABLE t RENAME COLUMN x TO y;", "2:1 unguarded"),
    bad("DROP", "CREATE SEQUENCE IF NOT EXISTS s;\nDROP SEQUENCE s;", "2:1 unguarded"),
    good("a temporary table again", "CREATE TEMP TABLE t (x int);"),
    good("rows", TABLE + "INSERT INTO t VALUES (1);"),
    bad("SELECT INTO", "SELECT 1 AS x INTO t;", "1:1 unguarded"),
    bad("CREATE PROCEDURE", "CREATE PROCEDURE p() LANGUAGE sql AS 'SELECT 1';", "1:1 unguarded"),
    bad("CREATE AGGREGATE", "CREATE AGGREGATE a (int) (sfunc = int4pl, stype = int);", "1:1 unguarded"),
    bad("CREATE STATISTICS", "CREATE TABLE IF NOT EXISTS t (x int, y int);\nCREATE STATISTICS s ON x, y FROM t;", "2:1 unguarded"),
    bad("a type over a range", "CREATE TYPE r AS RANGE (subtype = float8);", "1:1 unguarded"),
    bad("a renamed value", "DROP TYPE IF EXISTS e;\nCREATE TYPE e AS ENUM ('a');\nALTER TYPE e RENAME VALUE 'a' TO 'b';", "3:1 unguarded"),
    bad("ATTACH PARTITION", "CREATE TABLE IF NOT EXISTS p (x int) PARTITION BY LIST (x);\n" + TABLE + "ALTER TABLE p ATTACH PARTITION t DEFAULT;", "3:1 unguarded"),
    bad("a constraint trigger", TABLE + "CREATE CONSTRAINT TRIGGER g AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION touch();", "2:1 unguarded"),
    good("a constraint trigger after its DROP", TABLE + "DROP TRIGGER IF EXISTS g ON t;\nCREATE CONSTRAINT TRIGGER g AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION touch();"),
    good("CREATE ROLE after its DROP", "DROP ROLE IF EXISTS checked;\nCREATE ROLE checked;"),
    bad("DROP ROLE", "CREATE ROLE checked; DROP ROLE checked;", "1:1 unguarded", "1:22 unguarded"),
    good("everything in a schema that was dropped", "DROP SCHEMA IF EXISTS app CASCADE;\nCREATE SCHEMA app;\nCREATE TABLE app.a (x int);\nCREATE VIEW app.v AS SELECT FROM app.a;\nCREATE INDEX i ON app.a (x);"),
    good("everything temporary", "CREATE TEMP TABLE IF NOT EXISTS a (x int);\nCREATE INDEX ON a (x);\nALTER TABLE a ADD COLUMN y int;\nCREATE TEMP VIEW v AS SELECT FROM a;\nCREATE TEMP SEQUENCE s;\nCREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql AS 'SELECT 1';\nCREATE TABLE pg_temp.b ();"),
    good("an attribute of a type", "DROP TYPE IF EXISTS c;\nCREATE TYPE c AS (x int);\nALTER TYPE c ADD ATTRIBUTE y int;"),
    good("a hypertable that may be there", "CREATE TABLE IF NOT EXISTS t (ts timestamptz);\nSELECT create_hypertable('t', 'ts', if_not_exists => true);"),
    Case("a repeatable file", "-- supervisor: repeatable\nCREATE VIEW v AS SELECT 1;", ("2:1 unguarded!",)),
]  # fmt: skip

CASES: Final = [*ORDER, *NAMES, *BODIES, *FILES, *RERUNS]
