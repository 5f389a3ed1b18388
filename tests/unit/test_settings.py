"""Settings: what is read, from where, and how a wrong one is told."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.settings import SPECS, LoadedSettings, Settings, load_settings

NOWHERE = Path("/nonexistent")
ALL_SPECS = tuple(SPECS.values())


def load(tmp_path: Path, yaml: str | None = None, /, **environ: str) -> LoadedSettings:
    if yaml is not None:
        (tmp_path / "supervisor.yaml").write_text(yaml, encoding="utf-8")
    return load_settings(environ, tmp_path)


def problem(loaded: LoadedSettings) -> str:
    (only,) = loaded.problems
    return only


def test_nothing_configured_gives_the_defaults(tmp_path: Path) -> None:
    loaded = load(tmp_path)
    assert loaded.problems == ()
    assert loaded.settings == Settings(sql_dir=tmp_path / "sql", snapshot=tmp_path / "snapshots/schema.yaml")
    assert set(loaded.sources.values()) == {"default"}


GOOD = [
    ("postgres_timeout_s", "90", 90.0),
    ("postgres_timeout_s", "0.5", 0.5),
    ("stop_timeout_s", "0", 0.0),
    ("restart_backoff_factor", "1", 1.0),
    ("restart_jitter", "0", 0.0),
    ("restart_jitter", "1", 1.0),
    ("restart_limit", "0", 0),
    ("health_port", "0", 0),
    ("health_port", "65535", 65535),
    ("health_host", "::1", "::1"),
    ("log_format", "json", "json"),
    ("log_format", " Console ", "console"),
    ("log_level", "DEBUG", "debug"),
    ("optional_extensions", "timescaledb, postgis ,", ("timescaledb", "postgis")),
    ("command", "node server.js --name 'a b'", ("node", "server.js", "--name", "a b")),
    ("node", "/usr/bin/node", Path("/usr/bin/node")),
    ("restart_never_statuses", "0, 3,SIGSEGV", frozenset({0, 3, 139})),
    ("memory_limit_mb", "512", 512.0),
]


@pytest.mark.parametrize(("name", "text", "value"), GOOD)
def test_a_variable_is_read_as_its_kind(tmp_path: Path, name: str, text: str, value: object) -> None:
    loaded = load(tmp_path, **{SPECS[name].variable: text})
    assert loaded.problems == ()
    assert getattr(loaded.settings, name) == value
    assert loaded.sources[name] == "environment"


@pytest.mark.parametrize(
    ("line", "name", "value"),
    [
        ("postgres_timeout_s: 90", "postgres_timeout_s", 90.0),
        ("restart_jitter: 0.5", "restart_jitter", 0.5),
        ("restart_limit: 3", "restart_limit", 3),
        ("optional_extensions: [timescaledb, postgis]", "optional_extensions", ("timescaledb", "postgis")),
        ("optional_extensions: timescaledb,postgis", "optional_extensions", ("timescaledb", "postgis")),
        ("optional_extensions: []", "optional_extensions", ()),
        ("command: [node, 'a b.js']", "command", ("node", "a b.js")),
        ("command: node a.js", "command", ("node", "a.js")),
        ("node: /usr/bin/node", "node", Path("/usr/bin/node")),
        ("log_level: warning", "log_level", "warning"),
    ],
)
def test_a_key_of_the_file_is_read_as_its_kind(tmp_path: Path, line: str, name: str, value: object) -> None:
    loaded = load(tmp_path, line)
    assert loaded.problems == ()
    assert getattr(loaded.settings, name) == value
    assert loaded.sources[name] == f"file {tmp_path / 'supervisor.yaml'}"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("postgres_timeout_s", "soon"),
        ("postgres_timeout_s", "0"),
        ("postgres_timeout_s", "-1"),
        ("postgres_timeout_s", "nan"),
        ("postgres_timeout_s", "inf"),
        ("stop_timeout_s", "8s"),
        ("restart_backoff_factor", "0.5"),
        ("restart_jitter", "1.5"),
        ("restart_jitter", "-0.1"),
        ("restart_limit", "2.5"),
        ("restart_limit", "-1"),
        ("health_port", "65536"),
        ("health_port", "http"),
        ("health_host", "  "),
        ("log_format", "xml"),
        ("log_level", "loud"),
        ("command", "echo 'never closed"),
        ("command", "''"),
        ("node", "~no-such-user/node"),
    ],
)
def test_a_bad_value_is_a_problem_that_names_the_variable_and_the_value(tmp_path: Path, name: str, text: str) -> None:
    loaded = load(tmp_path, **{SPECS[name].variable: text})
    assert problem(loaded).startswith(f"{SPECS[name].variable} is {text!r}, but must be ")
    assert getattr(loaded.settings, name) == getattr(load(tmp_path).settings, name)
    assert loaded.sources[name] == "default"


@pytest.mark.parametrize(
    "line",
    [
        "postgres_timeout_s: true",
        "postgres_timeout_s: .nan",
        "postgres_timeout_s: [1]",
        "restart_limit: 2.5",
        f"restart_limit: 0x{'f' * 5000}",
        "health_port: yes",
        "health_host: 127",
        "optional_extensions: {timescaledb: yes}",
        "optional_extensions: [1, 2]",
        "optional_extensions: true",
        "command: []",
        "command: ['']",
        "command: [node, 1]",
        "node: [a]",
        'node: "\\0"',
        'node: "\\ud800"',
        "log_level: 3",
    ],
)
def test_a_bad_value_in_the_file_is_a_problem_that_names_file_and_key(tmp_path: Path, line: str) -> None:
    name = line.partition(":")[0]
    told = problem(load(tmp_path, line))
    assert told.startswith(f"{tmp_path / 'supervisor.yaml'}: {name} is ") or "not valid YAML" in told
    assert len(told) < 600


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    loaded = load(tmp_path, "health_port: 1000\nlog_level: debug", SUPERVISOR_HEALTH_PORT="2000")
    assert loaded.settings.health_port == 2000
    assert loaded.settings.log_level == "debug"
    assert loaded.sources["health_port"] == "environment"


def test_a_variable_of_pm2_counts_where_nothing_of_ours_is_set(tmp_path: Path) -> None:
    loaded = load(tmp_path, PM2_MAX_RESTARTS="16")
    assert loaded.settings.restart_limit == 16
    assert loaded.sources["restart_limit"] == "environment (PM2_MAX_RESTARTS)"


def test_our_own_settings_win_over_those_of_pm2(tmp_path: Path) -> None:
    loaded = load(
        tmp_path,
        "stop_timeout_s: 4",
        PM2_MAX_RESTARTS="16",
        SUPERVISOR_RESTART_LIMIT="3",
        PM2_KILL_TIMEOUT="1600",
    )
    assert (loaded.settings.restart_limit, loaded.settings.stop_timeout_s) == (3, 4.0)


def test_a_value_of_pm2_that_is_out_of_range_here_is_a_problem_that_names_its_variable(tmp_path: Path) -> None:
    assert problem(load(tmp_path, PM2_MAX_RESTARTS="99999999")).startswith("PM2_MAX_RESTARTS is 99999999, but must be")


def test_an_empty_variable_counts_as_unset(tmp_path: Path) -> None:
    loaded = load(tmp_path, "health_port: 1000", SUPERVISOR_HEALTH_PORT="", SUPERVISOR_NODE="", SUPERVISOR_CONFIG="")
    assert loaded.problems == ()
    assert loaded.settings.health_port == 1000
    assert loaded.settings.node is None


@pytest.mark.parametrize("spec", ALL_SPECS, ids=lambda spec: spec.name)
def test_an_empty_value_in_the_file_counts_as_unset(tmp_path: Path, spec: object) -> None:
    name = getattr(spec, "name", "")
    loaded = load(tmp_path, f"{name}:\n")
    assert loaded.problems == ()
    assert getattr(loaded.settings, name) == getattr(load_settings({}, tmp_path).settings, name)


@pytest.mark.parametrize(
    ("variable", "nearest"),
    [
        ("SUPERVISOR_HEALTH_PROT", "SUPERVISOR_HEALTH_PORT"),
        ("SUPERVISOR_LOGLEVEL", "SUPERVISOR_LOG_LEVEL"),
        ("SUPERVISOR_SQL_DIRECTORY", "SUPERVISOR_SQL_DIR"),
        ("SUPERVISOR_log_level", "SUPERVISOR_LOG_LEVEL"),
        ("SUPERVISOR_STOP_TIMEOUT", "SUPERVISOR_STOP_TIMEOUT_S"),
    ],
)
def test_a_misspelt_variable_names_the_nearest(tmp_path: Path, variable: str, nearest: str) -> None:
    assert problem(load(tmp_path, **{variable: "1"})) == f"{variable} is not a setting; did you mean {nearest}?"


def test_a_misspelt_key_names_the_nearest(tmp_path: Path) -> None:
    assert problem(load(tmp_path, "helth_port: 1")).endswith("unknown key 'helth_port'; did you mean health_port?")


def test_what_resembles_nothing_is_told_without_a_guess(tmp_path: Path) -> None:
    assert problem(load(tmp_path, SUPERVISOR_QQQ="1")) == "SUPERVISOR_QQQ is not a setting"


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    loaded = load(
        tmp_path,
        "restart_limit: many\nwhat: 1",
        SUPERVISOR_LOG_LEVEL="loud",
        SUPERVISOR_HEALTH_PORT="x",
        SUPERVISOR_NOED="y",
    )
    assert len(loaded.problems) == 5


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        # A Kubernetes service called "supervisor", and one called "supervisor-health".
        ("SUPERVISOR_SERVICE_HOST", "10.0.0.1"),
        ("SUPERVISOR_SERVICE_PORT", "8056"),
        ("SUPERVISOR_SERVICE_PORT_HTTP", "8056"),
        ("SUPERVISOR_PORT", "tcp://10.0.0.1:8056"),
        ("SUPERVISOR_PORT_8056_TCP", "tcp://10.0.0.1:8056"),
        ("SUPERVISOR_PORT_8056_TCP_ADDR", "10.0.0.1"),
        ("SUPERVISOR_HEALTH_SERVICE_HOST", "10.0.0.1"),
        ("SUPERVISOR_HEALTH_SERVICE_PORT_HTTP", "8056"),
        ("SUPERVISOR_HEALTH_PORT", "tcp://10.0.0.1:8056"),
        ("SUPERVISOR_HEALTH_PORT_8056_TCP_PROTO", "tcp"),
        # supervisord's own, for its programs.
        ("SUPERVISOR_ENABLED", "1"),
        ("SUPERVISOR_PROCESS_NAME", "directus"),
        ("SUPERVISOR_GROUP_NAME", "directus"),
        ("SUPERVISOR_SERVER_URL", "unix:///run/supervisor.sock"),
        # `directus-supervisor dev`.
        ("SUPERVISOR_DEV_POSTGRES_BIN", "/usr/lib/postgresql/15/bin"),
    ],
)
def test_a_variable_that_somebody_else_sets_is_passed_over(tmp_path: Path, variable: str, text: str) -> None:
    loaded = load(tmp_path, **{variable: text})
    assert loaded.problems == ()
    assert loaded.settings == load(tmp_path).settings


@pytest.mark.parametrize(
    ("text", "place"),
    [("health_port: [1, 2\nlog_level: x: y\n", ":2:"), ("a: b: c\n", ":1:5"), ("ok: 1\n\tb: 2\n", ":2:1")],
)
def test_broken_yaml_is_told_with_line_and_column(tmp_path: Path, text: str, place: str) -> None:
    told = problem(load(tmp_path, text))
    assert told.startswith(f"{tmp_path / 'supervisor.yaml'}{place}")
    assert "not valid YAML" in told


@pytest.mark.parametrize(
    "text", ["node: 2001-13-45", "a: \x01", f"restart_limit: {'9' * 5000}", "[" * 200_000, "{[1]: 2}"]
)
def test_yaml_that_its_own_parser_stumbles_over_is_a_problem(tmp_path: Path, text: str) -> None:
    assert "not valid YAML" in problem(load(tmp_path, text))


@pytest.mark.parametrize("text", ["", "\n# nothing\n", "---\n", "\ufeffhealth_port: 8056\n"])
def test_a_file_that_says_nothing_is_no_problem(tmp_path: Path, text: str) -> None:
    loaded = load(tmp_path, text)
    assert loaded.problems == ()
    assert loaded.settings.health_port == 8056


def test_a_file_that_is_not_a_mapping_is_told(tmp_path: Path) -> None:
    assert problem(load(tmp_path, "- a\n- b\n")).endswith("must hold keys and values, not a list")


def test_a_file_that_is_not_utf_8_is_told(tmp_path: Path) -> None:
    (tmp_path / "supervisor.yaml").write_bytes(b"log_level: \xff")
    assert "cannot be read" in problem(load(tmp_path))


def test_a_named_file_that_is_absent_is_a_problem(tmp_path: Path) -> None:
    assert problem(load(tmp_path, SUPERVISOR_CONFIG="other.yaml")) == (
        f"SUPERVISOR_CONFIG names {tmp_path / 'other.yaml'}, which does not exist"
    )


def test_a_named_file_is_read_in_place_of_the_default(tmp_path: Path) -> None:
    (tmp_path / "other.yaml").write_text("health_port: 7", encoding="utf-8")
    assert load(tmp_path, "health_port: 8", SUPERVISOR_CONFIG="other.yaml").settings.health_port == 7


@pytest.mark.parametrize("named", [".", "~no-such-user/x.yaml", "x" * 5000])
def test_a_named_file_that_cannot_be_one_is_a_problem(tmp_path: Path, named: str) -> None:
    assert problem(load(tmp_path, SUPERVISOR_CONFIG=named))


def test_relative_paths_start_from_the_working_directory(tmp_path: Path) -> None:
    loaded = load(tmp_path, "snapshot: s.yaml", SUPERVISOR_SQL_DIR="db", SUPERVISOR_NODE="/abs/node")
    assert loaded.settings.sql_dir == tmp_path / "db"
    assert loaded.settings.snapshot == tmp_path / "s.yaml"
    assert loaded.settings.node == Path("/abs/node")


def test_a_path_may_begin_with_the_home_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    assert load(tmp_path, SUPERVISOR_NODE="~/node").settings.node == Path("/home/somebody/node")


@given(spec=st.sampled_from(ALL_SPECS), text=st.text())
def test_any_text_for_any_setting_is_read_or_told_by_name(spec: object, text: str) -> None:
    variable = getattr(spec, "variable", "")
    loaded = load_settings({variable: text}, NOWHERE)
    assert len(loaded.problems) <= 1
    for told in loaded.problems:
        assert variable in told
    assert (loaded.sources[getattr(spec, "name", "")] == "environment") == bool(text and not loaded.problems) or (
        text.startswith(("tcp://", "udp://", "sctp://"))
    )


@given(st.dictionaries(st.text(max_size=8).map("SUPERVISOR_{}".format), st.text(max_size=20), max_size=5))
def test_no_environment_raises(environ: dict[str, str]) -> None:
    load_settings(environ, NOWHERE)


def test_every_setting_is_documented_with_a_sentence() -> None:
    for spec in ALL_SPECS:
        assert spec.help.rstrip(")").endswith("."), spec.name
        assert spec.name.endswith("_s") == ("seconds" in spec.kind.name), spec.name
