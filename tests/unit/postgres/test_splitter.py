"""Cutting scripts into statements; PostgreSQL's own parser says where the cuts are."""

from __future__ import annotations

import time

import pglast
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from supervisor.postgres.splitter import Statement, UnterminatedError, split


def texts(script: str) -> list[str]:
    return [statement.text for statement in split(script)]


CORPUS = {
    "one without a semicolon": "SELECT 1",
    "two": "SELECT 1; SELECT 2;",
    "semicolon in a string": "INSERT INTO t VALUES ('a;b', 'it''s; fine'); SELECT 1",
    "semicolon in an identifier": 'SELECT 1 AS "a;b""c;d"; SELECT 2',
    "escape string": r"SELECT E'it\'s; \\', e'x\\'; SELECT 2",
    "escape string over lines": "SELECT E'a'\n  -- more\n 'b\\';c'; SELECT 2",
    "backslash in a plain string": r"SELECT 'C:\'; SELECT 2",
    "unicode string": r"SELECT U&'d\0061t;a', U&" + '"d;x"' + "; SELECT 2",
    "bit and national strings": "SELECT B'101', X'1F', N'a;b'; SELECT 2",
    "dollar quote": "DO $$ BEGIN PERFORM 1; END $$; SELECT 2",
    "dollar quote with a tag": "DO $body$ BEGIN PERFORM '$$;$$'; END; $body$; SELECT 2",
    "dollar quote with another inside": "SELECT $a$ ; $b$ ; $a $a$; SELECT 2",
    "dollar quote ended by half a tag": "SELECT $a$ x $b$a$; SELECT 2",
    "dollar quote with letters beyond ascii": "SELECT $ü$ ; $ü$; SELECT 2",
    "identifier with dollars": "SELECT a$b$c FROM t$1; SELECT d$b$e FROM t",
    "parameters": "PREPARE p AS SELECT $1::int, $2::text; SELECT 1",
    "line comment": "SELECT 1 -- ; no\n, 2; -- ; 'unclosed\nSELECT 2",
    "line comment ended by a carriage return": "SELECT 1 -- ; 'no\r, 2; SELECT 2",
    "block comment": "SELECT 1 /* ; ' */ , 2; SELECT 2",
    "nested comment": "/* a /* ; */ ; ' */ SELECT 1; /* /**/ */ SELECT 2",
    "comment after an operator": "SELECT 1 +-- ;\n 2; SELECT 1 */* ; */ 2",
    "minus minus in a string": "SELECT '--'; SELECT '/*'; SELECT '*/'",
    "empty statements": ";;; SELECT 1;;; ;SELECT 2; -- end\n;",
    "rule": "CREATE RULE r AS ON INSERT TO t DO INSTEAD (UPDATE a SET x = 1; DELETE FROM b;); SELECT 2",
    "sql body": (
        "CREATE FUNCTION f(a int) RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1; "
        "SELECT CASE WHEN a > 0 THEN 1 ELSE 2 END; SELECT 3; END; SELECT 2"
    ),
    "sql body in a procedure": (
        "CREATE OR REPLACE PROCEDURE p() LANGUAGE sql BEGIN ATOMIC INSERT INTO t VALUES (1); END; SELECT 2"
    ),
    "sql body with case in parentheses": (
        "CREATE OR REPLACE FUNCTION f() RETURNS int BEGIN ATOMIC "
        "SELECT (CASE WHEN true THEN (CASE WHEN false THEN 1 END) END); END; SELECT 2"
    ),
    "sql body with keywords as names": (
        "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT t.end, t.case FROM t; SELECT 1 AS end; "
        'SELECT 2 AS case; SELECT 3 AS "end"; END; SELECT 2'
    ),
    "routine with a string body": (
        "CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$ BEGIN IF true THEN RETURN 1; END IF; END $$; SELECT 2"
    ),
    "routine with defaults": "CREATE FUNCTION f(a text DEFAULT 'x;y') RETURNS text RETURN a || ';'; SELECT 2",
    "columns called begin and atomic": "SELECT atomic FROM t; CREATE TABLE begin_atomic (begin int); SELECT 2",
    "a body that calls no routine begins": "CREATE TABLE atomic (a int); SELECT 2",
    "numbers": "SELECT 1.5e10, .5, 1_000; SELECT 2",
    "json operators": "SELECT a #>> '{b;c}', a ->> 'd', a @? '$.x' FROM t; SELECT 2",
    "casts and arrays": "SELECT '{1;2}'::text[], (ARRAY[1,2])[1:2]; SELECT 2",
    "letters beyond ascii": "SELECT 'ä;ö' AS größe, 1 AS \u4e16\u754c; SELECT '😀;'",
    "no-break space in a name": "SELECT 1 AS a\u00a0b; SELECT 2",
}


def by_postgres(script: str) -> list[str]:
    return [text.strip() for text in pglast.split(script)]


def without_leading_comments(text: str) -> str:
    """PostgreSQL counts the comments before a statement to it."""
    (only,) = split(text)
    return only.text


@pytest.mark.parametrize("script", CORPUS.values(), ids=CORPUS)
def test_the_cuts_are_postgres_own(script: str) -> None:
    assert texts(script) == [without_leading_comments(text) for text in by_postgres(script)]


@pytest.mark.parametrize("script", CORPUS.values(), ids=CORPUS)
def test_each_statement_knows_its_place(script: str) -> None:
    script = f"\n\nSELECT 0;\n{script};\n-- more\nSELECT 9"
    for statement in split(script):
        assert script[statement.offset :].startswith(statement.text)
        assert statement.line == script.count("\n", 0, statement.offset) + 1


inner = st.text("ab;'\"$\\-/* \n", max_size=8)
pieces = st.one_of(
    inner.map(lambda text: "'" + text.replace("'", "''").replace("\\", "") + "'"),
    inner.map(lambda text: "'" + text.replace("'", "''") + "'"),
    inner.map(lambda text: "E'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"),
    inner.map(lambda text: "$$" + text.replace("$", "") + "$$"),
    inner.map(lambda text: "$tag$" + text.replace("$tag$", "").rstrip("$") + "$tag$"),
    inner.map(lambda text: "(SELECT '" + text.replace("'", "''") + "')"),
    st.sampled_from(["1", "a$b", "U&'x;'", "CASE WHEN true THEN 1 END", "NULL", "$1"]),
)
blanks = st.one_of(
    st.sampled_from([" ", "\n", "\t", " \n "]),
    inner.map(lambda text: " --" + text.replace("\n", "") + "\n"),
    inner.map(lambda text: " /*" + text.replace("*", "").replace("/", "") + "/* ; */ */ "),
)
selects = st.builds(
    lambda blank, items: "SELECT" + blank + (blank + "," + blank).join(items), blanks, st.lists(pieces, min_size=1)
)
bodies = st.lists(selects, min_size=1, max_size=3).map(
    lambda body: "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC " + "; ".join(body) + "; END"
)
rules = st.lists(selects, min_size=1, max_size=3).map(
    lambda body: "CREATE RULE r AS ON UPDATE TO t DO ALSO (" + ";".join(body) + "\n)"
)
scripts = st.lists(st.one_of(selects, selects, bodies, rules), min_size=1, max_size=5)


@settings(max_examples=300)
@given(scripts, blanks)
def test_generated_scripts_are_cut_where_postgres_cuts_them(statements: list[str], blank: str) -> None:
    script = (";" + blank).join(statements) + "\n;"
    try:
        expected = by_postgres(script)
    except pglast.parser.ParseError:
        assume(False)
    assert texts(script) == [without_leading_comments(text) for text in expected]
    assert len(expected) == len(statements)


@settings(max_examples=300)
@given(st.text("ab;'\"$()*/-\\\neE", max_size=30))
def test_no_script_raises_anything_but_unterminated(script: str) -> None:
    offset, statements = 0, []
    try:
        statements = split(script)
    except UnterminatedError as error:
        offset = error.offset
    assert 0 <= offset <= len(script)
    assert all(script[one.offset : one.offset + len(one.text)] == one.text for one in statements)


@pytest.mark.parametrize(
    ("script", "what", "offset"),
    [
        ("SELECT 1;\nSELECT 'abc;\nSELECT 2;", "string", 17),
        ("SELECT 'it''s;\nSELECT 2;", "string", 7),
        ("SELECT E'it\\'s;\nSELECT 2;", "string", 7),
        ("SELECT E'it''s \\'", "string", 7),
        ('SELECT "a""b', "quoted identifier", 7),
        ("SELECT 1; /* /* */ SELECT 2", "comment", 10),
        ("DO $a$ BEGIN END $b$;", "dollar quote $a$", 3),
    ],
)
def test_what_never_ends_is_told_where_it_begins(script: str, what: str, offset: int) -> None:
    with pytest.raises(UnterminatedError) as caught:
        split(script)
    assert (caught.value.what, caught.value.offset) == (what, offset)


def test_the_first_words_are_known_without_comments() -> None:
    (statement,) = split("/* x */ Create -- y\n OR Replace Function f() RETURNS int RETURN 1")
    assert statement.words == ("create", "or", "replace", "function")


def test_a_script_of_comments_has_no_statement() -> None:
    assert split("-- nothing\n/* at all */ ;;\n") == []


def test_a_statement_is_free_of_the_blanks_around_it() -> None:
    assert split("\n  SELECT 1  ;") == [Statement("SELECT 1", 3, 2, ("select",))]


@pytest.mark.parametrize(
    "unit",
    [
        "SELECT 1;\n",
        "INSERT INTO t VALUES (1, 'it''s', E'a\\'b', $x$ ; $x$);\n",
        "'" + "''" * 30 + "';",
        "/* ; */ -- x\n",
        "((((",
        "E'a'\n'b' ",
        "$a $1 ",
    ],
)
def test_the_time_grows_with_the_length_and_no_faster(unit: str) -> None:
    def seconds(size: int) -> float:
        script = unit * (size // len(unit))
        began = time.process_time()
        split(script)
        return time.process_time() - began

    assert seconds(400_000) < 30 * seconds(40_000) + 0.2


def test_a_file_of_5_mb_is_cut_in_seconds() -> None:
    script = "INSERT INTO entries (race, number, name) VALUES (12, 34, 'some name; or other');\n" * 62_000
    assert len(script) > 5_000_000
    began = time.process_time()
    assert len(split(script)) == 62_000
    assert time.process_time() - began < 20
