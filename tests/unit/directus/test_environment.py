from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.directus.cast import JsRegExp, cast, js_number, js_string
from supervisor.directus.config_object import camelcase, config_object
from supervisor.directus.dotenv import parse_dotenv
from supervisor.directus.environment import read_environment
from supervisor.errors import CONFIG_INVALID, SupervisorError

if TYPE_CHECKING:
    from pathlib import Path

_texts = st.text(st.characters(exclude_categories=["Cs"]))


def test_the_config_file_overrides_the_environment(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("DB_HOST=from-file\n")
    environment = read_environment({"DB_HOST": "from-environment", "DB_USER": "app"}, tmp_path)
    assert environment.value("DB_HOST") == "from-file"
    assert environment.source("DB_HOST") == f"file {tmp_path / '.env'}"
    assert environment.value("DB_USER") == "app"
    assert environment.source("DB_USER") == "environment"
    assert environment.config_file_found


def test_config_path_is_taken_relative_to_the_folder_that_directus_runs_in(tmp_path: Path) -> None:
    (tmp_path / "conf.json").write_text('{"DB_PORT": 6000}')
    environment = read_environment({"CONFIG_PATH": "conf.json"}, tmp_path)
    assert environment.value("DB_PORT") == 6000
    assert environment.config_path == tmp_path / "conf.json"


def test_a_missing_config_file_is_no_problem(tmp_path: Path) -> None:
    environment = read_environment({"CONFIG_PATH": "nowhere.json"}, tmp_path)
    assert not environment.config_file_found
    assert "not there" in repr(environment)


def test_defaults_are_those_of_directus(tmp_path: Path) -> None:
    environment = read_environment({}, tmp_path)
    assert environment.text("HOST") == "0.0.0.0"
    assert environment.value("PORT") == "8055"
    assert environment.value("SERVER_SHUTDOWN_TIMEOUT") == 1000
    assert environment.source("PORT") == "default"
    assert environment.value("UNIX_SOCKET_PATH") is None
    assert environment.source("UNIX_SOCKET_PATH") == "not set"
    assert "UNIX_SOCKET_PATH" not in environment


def test_the_content_of_a_named_file_is_not_trimmed(tmp_path: Path) -> None:
    (tmp_path / "pw").write_text(" secret\n")
    environment = read_environment({"DB_PASSWORD_FILE": "pw"}, tmp_path)
    assert environment.value("DB_PASSWORD") == " secret\n"
    assert environment.source("DB_PASSWORD") == "file named by DB_PASSWORD_FILE"
    assert {" secret\n", "secret"} <= environment.secret_values()


def test_of_a_variable_and_its_file_the_later_one_counts(tmp_path: Path) -> None:
    (tmp_path / "pw").write_text("from-file")
    last_file = read_environment({"DB_PASSWORD": "direct", "DB_PASSWORD_FILE": "pw"}, tmp_path)
    last_direct = read_environment({"DB_PASSWORD_FILE": "pw", "DB_PASSWORD": "direct"}, tmp_path)
    assert last_file.value("DB_PASSWORD") == "from-file"
    assert last_direct.value("DB_PASSWORD") == "direct"


@pytest.mark.parametrize("name", ["KEY_FILE", "UNIX_SOCKET_PATH_FILE", "PG_FILE", "DB_FILE", "_FILE"])
def test_names_that_directus_does_not_list_are_not_read_from_files(tmp_path: Path, name: str) -> None:
    assert read_environment({name: "/nowhere"}, tmp_path).value(name) == "/nowhere"


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("a: [")
    environ = {"CONFIG_PATH": "c.yaml", "DB_PASSWORD_FILE": "/nowhere/pw", "SECRET_FILE": str(tmp_path)}
    with pytest.raises(SupervisorError) as caught:
        read_environment(environ, tmp_path)
    assert caught.value.failure is CONFIG_INVALID
    problems = caught.value.facts["problems"]
    assert isinstance(problems, list)
    assert len(problems) == 3
    assert "c.yaml" in problems[0]
    assert "DB_PASSWORD_FILE" in problems[1]
    assert "/nowhere/pw" in problems[1]
    assert "SECRET_FILE" in problems[2]
    assert caught.value.message == "; ".join(problems)


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("c.json", "[1]", "does not hold a JSON object"),
        ("c.json", '{"DB_PASSWORD": "hunter2hunter2"', "not valid JSON"),
        ("c.yaml", "DB_PASSWORD: hunter2hunter2\nDB_PASSWORD: hunter2hunter2", "not valid YAML at line 2"),
        ("c.yml", "", "does not hold a YAML mapping"),
        ("c.yml", "DB_PASSWORD: 2020-01-31", "DB_PASSWORD (file"),
        ("c.cjs", "module.exports = {}", "only Node.js can evaluate"),
    ],
)
def test_an_unusable_config_file_is_named_without_its_values(
    tmp_path: Path, name: str, content: str, expected: str
) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(SupervisorError) as caught:
        read_environment({"CONFIG_PATH": name}, tmp_path)
    assert expected in caught.value.message
    assert name in caught.value.message
    assert "hunter2" not in caught.value.message


@pytest.mark.parametrize("extension", ["js", "cjs", "mjs", "MJS"])
def test_a_javascript_file_is_evaluated_by_the_function_given(tmp_path: Path, extension: str) -> None:
    path = tmp_path / f"c.{extension}"
    path.touch()
    environment = read_environment({"CONFIG_PATH": str(path)}, tmp_path, lambda given: {"DB_HOST": given.name})
    assert environment.value("DB_HOST") == path.name


def test_a_javascript_file_that_fails_is_one_problem_among_the_others(tmp_path: Path) -> None:
    (tmp_path / "c.js").touch()

    def fails(path: Path) -> dict[str, object]:
        raise SupervisorError(CONFIG_INVALID, "it throws")

    with pytest.raises(SupervisorError, match=r"c\.js, which failed: it throws; SECRET_FILE"):
        read_environment({"CONFIG_PATH": "c.js", "SECRET_FILE": "missing"}, tmp_path, fails)


def test_a_directory_as_config_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(SupervisorError, match="cannot be read: Is a directory"):
        read_environment({"CONFIG_PATH": str(tmp_path)}, tmp_path)


def test_secrets_are_collected_from_names_urls_and_overridden_values(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("DB_PASSWORD=in-the-file")
    environ = {
        "DB_PASSWORD": "in-the-environment",
        "DB_CONNECTION_STRING": "postgres://app:p%40ss-word@db/rally?password=also-here",
        "REDIS": "redis://:redis-pw@cache:6379",
        "ADMIN_TOKEN": "string:token-text",
        "METRICS_TOKENS": "first-token,second-token",
        "AWS_SECRET_ACCESS_KEY": "aws-key",
        "OTEL_EXPORTER_OTLP_HEADERS": "api-key=otlp-key, Authorization=Basic%20b3RscA==,x-team=directus",
        "KEY": "abc",
        "REFRESH_TOKEN_COOKIE_NAME": "cookie-name",
        "AUTH_X_EMAIL_KEY": "email",
        "PWD": "/directus",
        "SOME_TOKEN": "true",
    }
    secrets = read_environment(environ, tmp_path).secret_values()
    assert secrets >= {
        "in-the-file",
        "in-the-environment",
        "p%40ss-word",
        "p@ss-word",
        "also-here",
        "redis-pw",
        "token-text",
        "first-token",
        "second-token",
        "aws-key",
        "otlp-key",
        "Basic b3RscA==",
    }
    assert not secrets & {"directus", "abc", "cookie-name", "email", "/directus", "true"}


def test_no_secret_is_in_the_representation(tmp_path: Path) -> None:
    environment = read_environment({"SECRET": "very-secret", "DB_PASSWORD": "hidden-away"}, tmp_path)
    assert "very-secret" not in repr(environment) + str(environment)
    assert "hidden-away" not in f"{environment}"


def test_bytes_that_are_not_utf8_are_replaced_as_in_node(tmp_path: Path) -> None:
    environ = {"DB_PASSWORD": b"p\xffw".decode("utf-8", "surrogateescape")}
    assert read_environment(environ, tmp_path).value("DB_PASSWORD") == "p\ufffdw"


@pytest.mark.parametrize(
    ("text", "name", "expected"),
    [
        ("0123", "DB_PASSWORD", "0123"),
        ("string:12", "", "12"),
        ("number: 12 ", "", 12),
        ("boolean:1", "", True),
        ("boolean:yes", "", False),
        ("array:a,,1", "", ["a", 1]),
        ('json:{"a": [1.50]}', "", {"a": [1.5]}),
        ("json:oops", "", "oops"),
        ("regex:^a$", "", JsRegExp("^a$")),
        ("5432", "", 5432),
        ("  ", "", 0),
        ("", "", ""),
        ("0x10", "", "0x10"),
        ("null", "", None),
        ("a,b", "", ["a", "b"]),
        ('{"a":1,"b":2}', "", ['{"a":1', '"b":2}']),
        ("x", "METRICS_TOKENS", ["x"]),
        ("1", "EXTENSIONS_ROLLDOWN", True),
        ("12", "AUTH_LDAP_BIND_PASSWORD", "12"),
        (None, "DB_PASSWORD", ""),
    ],
)
def test_values_are_cast_by_prefix_then_name_then_look(text: str | None, name: str, expected: object) -> None:
    result = cast(text, name)
    assert result == expected
    assert type(result) is type(expected)


@given(_texts)
def test_a_value_with_the_string_prefix_is_kept_as_it_is(text: str) -> None:
    assert cast(f"string:{text}") == text


@given(_texts, st.sampled_from(["", "DB_PORT", "DB_PASSWORD", "METRICS_TOKENS", "REDIS_ENABLED"]))
def test_any_text_can_be_cast(text: str, name: str) -> None:
    value = cast(text, name)
    if name == "DB_PORT" and ":" not in text:
        assert isinstance(value, (int, float))
    js_string(value)


@given(st.floats(allow_nan=False))
def test_a_number_survives_its_own_text(number: float) -> None:
    assert js_number(js_string(number)) == number


@given(st.integers(-(2**53), 2**53))
def test_an_integer_is_written_without_fraction_or_exponent(number: int) -> None:
    assert js_string(number) == str(number)


@given(st.dictionaries(st.from_regex(r"[A-Z][A-Z0-9_]{0,8}", fullmatch=True), _texts.filter(lambda t: "'" not in t)))
def test_single_quotes_keep_any_value(values: dict[str, str]) -> None:
    text = "\n".join(f"export {name}='{value}'  # comment" for name, value in values.items())
    kept = {name: value.replace("\r\n", "\n").replace("\r", "\n") for name, value in values.items()}
    assert parse_dotenv(text) == kept


@given(_texts)
def test_any_text_can_be_read_as_dotenv(text: str) -> None:
    assert all(isinstance(value, str) for value in parse_dotenv(text).values())


@given(st.recursive(st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | _texts, st.lists))
def test_json_behind_its_prefix_is_read_as_json(value: object) -> None:
    assert cast(f"json:{json.dumps(value)}") == value


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("HOST", "host"),
        ("REJECT_UNAUTHORIZED", "rejectUnauthorized"),
        ("CAFile", "caFile"),
        ("x9y", "x9Y"),
        ("", ""),
    ],
)
def test_names_become_camel_case(name: str, expected: str) -> None:
    assert camelcase(name) == expected


def test_the_order_of_variables_decides_between_a_value_and_its_parts(tmp_path: Path) -> None:
    parts_last = read_environment({"DB_SSL": "true", "DB_SSL__CA": "x", "DB_SSL__CERT": "y"}, tmp_path)
    parts_first = read_environment({"DB_SSL__CA": "x", "DB_SSL": "true"}, tmp_path)
    assert config_object(parts_last, "DB_")["ssl"] == {"ca": "x", "cert": "y"}
    assert config_object(parts_first, "DB_")["ssl"] is True


def test_building_the_object_leaves_the_variables_as_they_are(tmp_path: Path) -> None:
    environment = read_environment({"DB_SSL": '{"a":1}', "DB_SSL__CA": "x"}, tmp_path)
    assert config_object(environment, "DB_")["ssl"] == {"a": 1, "ca": "x"}
    assert environment.value("DB_SSL") == {"a": 1}
