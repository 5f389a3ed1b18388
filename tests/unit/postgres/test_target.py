from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.directus.environment import read_environment
from supervisor.errors import CONFIG_INVALID, SupervisorError
from supervisor.postgres.connection_string import ConnectionStringError, parse_connection_string
from supervisor.postgres.target import Target, resolve_target

_BASE = {
    "DB_CLIENT": "pg",
    "DB_HOST": "db.local",
    "DB_PORT": "5432",
    "DB_DATABASE": "rally",
    "DB_USER": "app",
    "DB_PASSWORD": "hunter2",
}
_EMPTY_FOLDER = Path(tempfile.gettempdir(), "no-such-folder-with-a-dotenv")


def _target(**environ: str) -> Target:
    return resolve_target(read_environment(environ, _EMPTY_FOLDER))


def _problems(**environ: str) -> list[str]:
    with pytest.raises(SupervisorError) as caught:
        _target(**environ)
    assert caught.value.failure is CONFIG_INVALID
    problems = caught.value.facts["problems"]
    assert isinstance(problems, list)
    assert "hunter2" not in caught.value.message
    return problems


def _string_target(connection_string: str, **environ: str) -> Target:
    return _target(DB_CLIENT="pg", DB_CONNECTION_STRING=connection_string, **environ)


def test_single_settings_give_the_target() -> None:
    target = _target(**_BASE)
    assert target == Target("db.local", 5432, "rally", "app", "hunter2")
    assert target.label == "app@db.local:5432/rally"
    assert target.main_schema == "public"
    assert target.ssl is None


def test_secrets_are_not_in_the_representation() -> None:
    target = _target(**_BASE, DB_SSL__KEY="private-text", DB_SSL__PASSPHRASE="phrase-text")
    assert target.ssl is not None
    assert target.ssl.key == "private-text"
    for secret in ("hunter2", "private-text", "phrase-text"):
        assert secret not in repr(target)


def test_every_missing_variable_is_told_at_once() -> None:
    assert _problems(DB_CLIENT="pg") == [
        "DB_HOST is not set",
        "DB_PORT is not set",
        "DB_DATABASE is not set",
        "DB_USER is not set",
    ]


def test_a_variable_that_is_set_to_nothing_is_not_missing() -> None:
    environ = {**_BASE, "DB_HOST": "", "DB_PORT": "", "DB_DATABASE": ""}
    assert _target(**environ) == Target("localhost", 5432, "app", "app", "hunter2")


@pytest.mark.parametrize("client", ["postgres", "postgresql"])
def test_the_other_names_of_postgres_need_every_variable_even_with_a_connection_string(client: str) -> None:
    environ = {**_BASE, "DB_CLIENT": client}
    assert _target(**environ).host == "db.local"
    del environ["DB_PASSWORD"], environ["DB_HOST"]
    environ["DB_CONNECTION_STRING"] = "postgres://app@db/rally"
    assert _problems(**environ) == ["DB_HOST is not set", "DB_PASSWORD is not set"]


@pytest.mark.parametrize(
    "client", ["cockroachdb", "redshift", "pgnative", "mysql", "sqlite3", "mssql", "oracledb", "PG", "nonsense", "1"]
)
def test_only_postgres_is_supported(client: str) -> None:
    (problem,) = _problems(**{**_BASE, "DB_CLIENT": client})
    assert "only PostgreSQL is supported" in problem
    assert f'"{client}"' in problem


def test_a_missing_client_is_told() -> None:
    assert _problems(DB_HOST="db") == ['DB_CLIENT is not set; it must be "pg"']


@pytest.mark.parametrize("port", ["abc", "0x", "-1", "65536", "5432,5433x", "true", "array:", "json:{}"])
def test_a_port_that_is_none_is_told_where_directus_would_use_the_default(port: str) -> None:
    (problem,) = _problems(**{**_BASE, "DB_PORT": port})
    assert "DB_PORT (environment) is not a port number" in problem


@pytest.mark.parametrize(("port", "number"), [("15432", 15432), (" 5433 ", 5433), ("5432.9", 5432), ("0x1538", 5432)])
def test_a_port_is_read_as_javascript_reads_it(port: str, number: int) -> None:
    assert _target(**{**_BASE, "DB_PORT": port}).port == number


@pytest.mark.parametrize(
    ("name", "value", "kind"),
    [
        ("DB_HOST", "127", "a number"),
        ("DB_HOST", "a,b", "a list"),
        ("DB_HOST", "true", "true or false"),
        ("DB_PASSWORD", "number:12", "a number"),
        ("DB_PASSWORD", 'json:{"a":1}', "an object"),
        ("DB_USER", "array:a,b", "a list"),
    ],
)
def test_a_setting_that_directus_does_not_read_as_text_is_told(name: str, value: str, kind: str) -> None:
    (problem,) = _problems(**{**_BASE, name: value})
    assert problem.startswith(f"{name} (environment) is read by Directus as {kind}")


def test_what_is_empty_comes_from_the_environment_of_the_driver() -> None:
    driver = {
        "PGHOST": "pg-host",
        "PGPORT": "6000",
        "PGUSER": "pg-user",
        "PGPASSWORD": "pg-password",
        "PGDATABASE": "pg-database",
        "PGOPTIONS": "-c search_path=other",
        "PGSSLMODE": "no-verify",
        "USER": "os-user",
    }
    empty = dict.fromkeys(_BASE, "") | {"DB_CLIENT": "pg"}
    target = _target(**empty, **driver)
    assert target.label == "pg-user@pg-host:6000/pg-database"
    assert target.password == "pg-password"
    assert target.options == "-c search_path=other"
    assert target.ssl is not None
    assert not target.ssl.reject_unauthorized
    assert _target(**empty, USER="os-user").label == "os-user@localhost:5432/os-user"
    assert _problems(**empty) == ["DB_USER names no user"]
    assert _target(**_BASE, **driver).label == "app@db.local:5432/rally"


def test_the_environment_of_the_driver_is_not_read_from_the_config_file(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("PGHOST=from-file\nDB_HOST=")
    environment = read_environment(_BASE, tmp_path)
    assert resolve_target(environment).host == "localhost"


def test_a_socket_folder_is_a_host() -> None:
    target = _target(**{**_BASE, "DB_HOST": "/run/postgresql"})
    assert target.label == "app@/run/postgresql:5432/rally"
    assert target.ssl is None


@pytest.mark.parametrize(
    ("value", "path", "main"),
    [
        ("rally", ("rally",), "rally"),
        ("array:rally,public", ("rally", "public"), "rally"),
        ("rally,public", ("rally", "public"), "rally"),
        ('json:["x y"]', ("x y",), "x y"),
        ("", (), "public"),
        ("null", (), "public"),
    ],
)
def test_the_first_schema_of_the_search_path_is_the_main_one(value: str, path: tuple[str, ...], main: str) -> None:
    target = _target(**_BASE, DB_SEARCH_PATH=value)
    assert target.search_path == path
    assert target.main_schema == main


@pytest.mark.parametrize("value", ["12", "array:", "true", '{"a":1}', 'a"b', 'json:[""]'])
def test_a_search_path_that_the_driver_fails_on_is_told(value: str) -> None:
    (problem,) = _problems(**_BASE, DB_SEARCH_PATH=value)
    assert "DB_SEARCH_PATH" in problem


def test_problems_of_different_settings_are_told_together() -> None:
    problems = _problems(**{**_BASE, "DB_PORT": "x", "DB_HOST": "1", "DB_SSL": "yes", "DB_SEARCH_PATH": "1"})
    assert [problem.split()[0] for problem in problems] == ["DB_SEARCH_PATH", "DB_HOST", "DB_PORT", "DB_SSL"]


@pytest.mark.parametrize("value", ["false", "0", "", "null"])
def test_tls_is_off_where_node_postgres_takes_it_for_off(value: str) -> None:
    assert _target(**_BASE, DB_SSL=value, PGSSLMODE="require").ssl is None


@pytest.mark.parametrize("value", ["1", "yes", "require", "False", "string:false"])
def test_a_tls_switch_that_crashes_node_postgres_is_told(value: str) -> None:
    (problem,) = _problems(**_BASE, DB_SSL=value)
    assert problem.startswith("DB_SSL asks for TLS with a value")


def test_tls_on_a_socket_is_told() -> None:
    (problem,) = _problems(**{**_BASE, "DB_HOST": "/run/postgresql"}, DB_SSL="true")
    assert "/run/postgresql" in problem


@pytest.mark.parametrize(
    ("environ", "verifies"),
    [
        ({"DB_SSL": "true"}, True),
        ({"DB_SSL": "no-verify"}, False),
        ({"DB_SSL__REJECT_UNAUTHORIZED": "false"}, False),
        ({"DB_SSL__REJECT_UNAUTHORIZED": "0"}, True),
        ({"DB_SSL": '{"rejectUnauthorized":false}'}, False),
        ({"DB_SSL": 'json:{"rejectUnauthorized":false,"ca":"x"}'}, False),
        ({"DB_SSL": "{}"}, True),
        ({"DB_SSL": "a,b"}, True),
        ({"DB_SSL__REJECT_UNAUTHORIZED": "false", "DB_SSL": "true"}, True),
        ({"DB_SSL": "true", "DB_SSL__REJECT_UNAUTHORIZED": "false"}, False),
        ({"DB_SSL": "true", "NODE_TLS_REJECT_UNAUTHORIZED": "0"}, False),
        ({"DB_SSL__REJECT_UNAUTHORIZED": "true", "NODE_TLS_REJECT_UNAUTHORIZED": "0"}, True),
        ({"PGSSLMODE": "verify-full"}, True),
    ],
)
def test_tls_verifies_unless_told_otherwise(environ: dict[str, str], *, verifies: bool) -> None:
    ssl = _target(**_BASE, **environ).ssl
    assert ssl is not None
    assert ssl.reject_unauthorized is verifies


@pytest.mark.parametrize(
    ("host", "given_name", "expected"),
    [
        ("db.local", None, "db.local"),
        ("db.local", "other", "db.local"),
        ("10.0.0.1", "db.local", "db.local"),
        ("10.0.0.1", None, "localhost"),
        ("::1", None, "localhost"),
    ],
)
def test_the_name_that_is_verified_is_the_one_node_verifies(host: str, given_name: str | None, expected: str) -> None:
    environ = {**_BASE, "DB_HOST": host, "DB_SSL": "true"}
    if given_name is not None:
        environ["DB_SSL__SERVERNAME"] = given_name
    ssl = _target(**environ).ssl
    assert ssl is not None
    assert ssl.server_name == expected


def test_certificates_come_as_text_from_a_file_or_in_parts(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("CN = a, O = b\nPEM\n")
    environ = {**_BASE, "DB_SSL__CA_FILE": "ca.pem", "NODE_EXTRA_CA_CERTS": "extra.pem"}
    ssl = resolve_target(read_environment(environ, tmp_path)).ssl
    assert ssl is not None
    assert ssl.ca == "CN = a\n O = b\nPEM\n"
    assert ssl.extra_ca_file == tmp_path / "extra.pem"
    parts = _target(**_BASE, DB_SSL__CA__0="first", DB_SSL__CA__1="second").ssl
    assert parts is not None
    assert parts.ca == "first\nsecond"


def test_a_connection_string_replaces_every_other_setting_but_the_search_path() -> None:
    target = _string_target(
        "postgres://u:hunter2@h:6000/d", **{k: v for k, v in _BASE.items() if k != "DB_CLIENT"}, DB_SSL="true",
        DB_SSL__CA="x", DB_SEARCH_PATH="rally",
    )  # fmt: skip
    assert target == Target("h", 6000, "d", "u", "hunter2", search_path=("rally",))


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("postgres://u@h/d", "u@h:5432/d"),
        ("POSTGRESQL://u@H:6/d", "u@H:6/d"),
        ("postgres://u%40x@%2Frun%2Fpg/d", "u@x@/run/pg:5432/d"),
        ("postgres:///d?host=/run/pg&user=u", "u@/run/pg:5432/d"),
        ("postgres://u@h/d?host=other&port=7&user=v", "v@other:7/d"),
        ("postgres://a:b@c@h/d%20e", "a@h:5432/d e"),
        ("postgres://u@h/a%2Fb", "u@h:5432/a%2Fb"),
        ("postgres://u@h", "u@h:5432/u"),
        ("postgres://u%:p@h/d", "u%@h:5432/d"),
        ("postgres://u:p%zz w@h/d\n", "u@h:5432/d\n"),
        ("postgres://u@h/d\n", "u@h:5432/d"),
    ],
)
def test_connection_strings_are_taken_apart_as_by_directus(text: str, label: str) -> None:
    assert _string_target(text).label == label


@pytest.mark.parametrize(
    ("query", "tls"),
    [
        ("", None),
        ("?sslmode=disable", None),
        ("?ssl=0", None),
        ("?ssl=true", True),
        ("?ssl=1", True),
        ("?ssl=no-verify", False),
        ("?sslmode=require", True),
        ("?sslmode=prefer", True),
        ("?sslmode=no-verify", False),
        ("?sslmode=no-verify&ssl=0", False),
    ],
)
def test_the_query_of_a_connection_string_decides_on_tls(query: str, tls: bool | None) -> None:
    ssl = _string_target(f"postgres://u@h/d{query}").ssl
    assert (None if ssl is None else ssl.reject_unauthorized) is tls


def test_certificate_files_of_a_connection_string_are_read_where_directus_runs(tmp_path: Path) -> None:
    for name in ("ca", "cert", "key"):
        (tmp_path / name).write_text(f"{name} text")
    text = "postgres://u@h/d?sslrootcert=ca&sslcert=cert&sslkey=key"
    ssl = resolve_target(read_environment({"DB_CLIENT": "pg", "DB_CONNECTION_STRING": text}, tmp_path)).ssl
    assert ssl is not None
    assert (ssl.ca, ssl.cert, ssl.key) == ("ca text", "cert text", "key text")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("mysql://u:hunter2@h/d", "does not start with postgres://"),
        ("socket:/run/pg?db=d", "does not start with postgres://"),
        ("/run/pg d", "is not a URL"),
        ("db.local", "is not a URL"),
        ("12", "is not a URL"),
        ("postgres://u:hunter2@h1,h2/d", "has a comma"),
        ("postgres://u:hunter2#x@h/d", "has no valid port"),
        ("postgres://u:hunter2@/d", "has no valid host"),
        ("postgres://u@h:99999/d", "has no valid port"),
        ("postgres://u@[::1]/d", "IPv6 address in brackets"),
        ("postgres://u:hunter2%ff@h/d", "not valid UTF-8"),
        ("postgres://u:hunter2@h/d%", "percent sign"),
        ("postgres://u@h/d?sslrootcert=nowhere.pem", "names nowhere.pem as sslrootcert"),
        ("postgres://u@h/d?port=x", "is not a port number"),
        ("postgres://u@h/d?ssl=false", "write ssl=true or sslmode=disable"),
        ("postgres://h/d", "names no user"),
    ],
)
def test_an_unusable_connection_string_is_told_without_its_content(text: str, reason: str) -> None:
    (problem,) = _problems(DB_CLIENT="pg", DB_CONNECTION_STRING=text)
    assert problem.startswith("DB_CONNECTION_STRING")
    assert reason in problem


def test_a_comma_is_kept_by_the_string_prefix() -> None:
    assert _string_target("string:postgres://u:a,b@h/d").password == "a,b"


_PLAIN = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1)


@given(_PLAIN, _PLAIN, st.integers(1, 65535))
def test_percent_encoding_carries_any_user_and_password(user: str, password: str, port: int) -> None:
    from urllib.parse import quote

    text = f"postgres://{quote(user, safe='')}:{quote(password, safe='')}@h:{port}/d"
    settings = parse_connection_string(text, Path("/"))
    assert (settings["user"], settings["password"], settings["port"]) == (user, password, str(port))


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_is_either_a_connection_string_or_refused_as_one(text: str) -> None:
    for candidate in (text, f"postgres://{text}", f"postgres://u:{text}@h/d"):
        try:
            settings = parse_connection_string(candidate, Path("/nowhere"))
        except ConnectionStringError:
            continue
        assert {"user", "password", "host", "port", "database"} <= settings.keys()


@given(_PLAIN)
def test_any_password_reaches_the_target_and_no_representation(password: str) -> None:
    target = _target(**{**_BASE, "DB_PASSWORD": f"string:{password}"})
    assert target.password == password
    assert repr(target) == repr(_target(**{**_BASE, "DB_PASSWORD": "other"}))
