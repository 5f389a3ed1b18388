"""Our reading of a configuration, compared with that of the real Directus, knex and node-postgres."""

from __future__ import annotations

import json
import math
import random
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from supervisor.directus.cast import JsRegExp, js_string
from supervisor.directus.config_object import config_object
from supervisor.directus.environment import DirectusEnvironment, read_environment
from supervisor.errors import SupervisorError
from supervisor.postgres.target import Target, resolve_target

pytestmark = pytest.mark.directus

_SEED = 20250117
_CERTIFICATE = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
_SCALARS = [
    "", " ", "0", "00", "1", "-1", "+7", "5432", "5432.5", " 5432 ", "1e3", "1e21", "1e-7", "0x1538",
    " 0x10", "0b11", ".5", "5.", "1_000", "Infinity", "NaN", "9007199254740993", "12345678901234567890",
    "true", "false", "True", "null", "undefined", "app", "db.local", "10.0.0.7", "/run/postgresql",
    "a,b", "a,,1,true", ",", '"quoted"', "'single'", "[1,2]", "[1]", "{}", '{"a":1}', '{"a":1,"b":2}',
    '{"rejectUnauthorized":false}', "[NaN]", "1e999", "string:5432", "string:", "number:12",
    "number:abc", "boolean:1", "boolean:yes", "array:a,2", "array:", "array:string:1,2",
    'json:{"a":[1.5,null]}', "json:oops", "json:12345678901234567890", "regex:^a$", "string:number:3",
    "unknown:5", "p@ss:w0rd", "\u00fc\u20ac", "\ufeff1", "\u00a05",
]  # fmt: skip
_NAMES = [
    "DB_HOST", "DB_PORT", "DB_USER", "DB_PASSWORD", "DB_DATABASE", "DB_SSL", "DB_SSL__CA",
    "DB_SSL__REJECT_UNAUTHORIZED", "DB_SSL__SERVERNAME", "DB_SSL__CA__0", "DB_SEARCH_PATH", "DB_OPTIONS",
    "DB_POOL__MIN", "DB_EXCLUDE_TABLES", "db_host", "DB_someThing", "DB_SSL__rejectUnauthorized",
    "DB_CAFile2__x9y", "DB___X", "DB_SSL__", "HOST", "PORT", "SECRET", "KEY", "ADMIN_EMAIL",
    "ADMIN_PASSWORD", "LOG_STYLE", "SERVER_SHUTDOWN_TIMEOUT", "UNIX_SOCKET_PATH", "MIGRATIONS_PATH",
    "AUTH_X_BIND_DN",
]  # fmt: skip


@dataclass
class _Case:
    environ: dict[str, str]
    cwd: Path
    files: dict[str, str] = field(default_factory=dict)


def _asked(cases: list[_Case], directus_dir: Path, node_binary: Path) -> list[dict[str, object]]:
    for case in cases:
        case.cwd.mkdir(parents=True, exist_ok=True)
        for name, content in case.files.items():
            (case.cwd / name).write_bytes(content.encode())
    question = {
        "nodeModules": str(directus_dir / "node_modules"),
        "cases": [{"environ": case.environ, "cwd": str(case.cwd)} for case in cases],
    }
    try:
        answer = _answer_of(node_binary, json.dumps(question))
    except subprocess.TimeoutExpired:
        # Node.js itself was seen to hang once, on cases that it answers in ten seconds ever since.
        answer = _answer_of(node_binary, json.dumps(question))
    answers = json.loads(answer, parse_int=float)
    assert len(answers) == len(cases)
    return list(answers)


def _answer_of(node_binary: Path, question: str) -> str:
    argv = [str(node_binary), "--no-warnings", str(Path(__file__).with_name("read_configuration.mjs"))]
    done = subprocess.run(argv, input=question, capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _plain(value: object) -> object:
    if isinstance(value, float) and not math.isfinite(value):
        return {"$number": "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"}
    if isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, JsRegExp):
        return {"$regex": value.pattern}
    if isinstance(value, list):
        return [_plain(element) for element in value]
    if isinstance(value, dict):
        return {key: _plain(element) for key, element in value.items()}
    return value


def _as_asked(target: Target, given: dict[str, object]) -> dict[str, object]:
    """Our target in node-postgres' words; what it does not say is taken from its own answer."""
    ssl = target.ssl
    theirs = given["ssl"]
    words: dict[str, object] = {
        "user": target.user,
        "database": target.database,
        "host": target.host,
        "port": target.port,
    }
    words["password"] = target.password
    if target.options is not None:
        words["options"] = target.options
    words["ssl"] = None
    if ssl is not None:
        words["ssl"] = theirs
        assert isinstance(theirs, dict)
        assert ssl.reject_unauthorized == (theirs.get("rejectUnauthorized") is not False)
        for name in ("ca", "cert", "key"):
            text = theirs.get(name)
            if isinstance(text, list) and all(isinstance(part, str) for part in text):
                assert getattr(ssl, name) == "\n".join(text)
            # What is neither a text nor a list of them fails in Node.js, and here when the context is built.
            elif text is None or isinstance(text, str):
                assert getattr(ssl, name) == (text or None)
    if "searchPath" in given:
        words["searchPath"] = given["searchPath"]
        path = given["searchPath"]
        names = path if isinstance(path, list) else [path] if path else []
        assert target.search_path == tuple(map(js_string, names))
    return words


def _compare_environment(case: _Case, answer: dict[str, object]) -> DirectusEnvironment | None:
    if "envError" in answer:
        with pytest.raises(SupervisorError):
            read_environment(case.environ, case.cwd)
        return None
    ours = read_environment(case.environ, case.cwd)
    theirs = answer["env"]
    assert isinstance(theirs, dict)
    for name, value in ours.items():
        assert _plain(value) == theirs[name], (case, name)
    set_by_user = {name for name in theirs if name.upper().startswith("DB_")}
    assert {name for name, _ in ours.items() if name.upper().startswith("DB_")} == set_by_user, case
    return ours


def _compare(case: _Case, answer: dict[str, object]) -> Target | None:
    environment = _compare_environment(case, answer)
    if environment is None:
        return None
    if "config" in answer:
        ours = _plain(config_object(environment, "DB_", omit_prefix="DB_EXCLUDE_TABLES"))
        assert isinstance(ours, dict)
        theirs = answer["config"]
        assert isinstance(theirs, dict)
        # An array with further keys cannot be written as JSON.
        mixed = isinstance(environment.value("DB_SSL"), list) or "DB_SSL__CA__0" in environment
        for key in theirs.keys() - ({"ssl"} if mixed else set()):
            assert ours[key] == theirs[key], (case, key)
        assert ours.keys() == theirs.keys(), case
    try:
        target = resolve_target(environment)
    except SupervisorError:
        return None
    given = answer["target"]
    assert isinstance(given, dict), (case, answer)
    assert _as_asked(target, given) == given, case
    return target


def _random_environ(chance: random.Random) -> dict[str, str]:
    base = {
        "DB_CLIENT": chance.choice(["pg", "pg", "postgres", "postgresql"]),
        "DB_HOST": chance.choice(["db.local", "", "/run/postgresql", "10.1.2.3"]),
        "DB_PORT": chance.choice(["5432", "15432", "", "6432.9"]),
        "DB_DATABASE": chance.choice(["rally", "", "007"]),
        "DB_USER": chance.choice(["app", "", "12"]),
        "DB_PASSWORD": chance.choice(["pw", "", "0012", "string:x"]),
    }
    for name in ("PGHOST", "PGPORT", "PGUSER", "PGPASSWORD", "PGDATABASE", "PGOPTIONS", "USER"):
        if chance.random() < 0.3:
            base[name] = {"PGPORT": "6543"}.get(name, f"from-{name.lower()}")
    if chance.random() < 0.3:
        base["PGSSLMODE"] = chance.choice(["disable", "require", "no-verify", "verify-full", "allow", ""])
    for name in chance.sample(_NAMES, chance.randint(0, 4)):
        base[name] = chance.choice(_SCALARS)
    names = list(base)
    chance.shuffle(names)
    return {name: base[name] for name in names}


def _random_connection_string(chance: random.Random) -> str:
    user = chance.choice(
        [
            "",
            "app@",
            "app:pw@",
            "a%40b:p%2Fw%25@",
            "app:p w@",
            "app:p%zzw%20@",
            "\u00fc:\u20ac@",
            "a:b:c@",
            "u@x:p@",
        ]
    )
    host = chance.choice(["db.local", "DB.Local", "", "%2Frun%2Fpg", "h%C3%BC", "10.0.0.1"])
    port = chance.choice(["", ":6432", ":", ":05432"])
    path = chance.choice(["", "/", "/rally", "/ra%20lly", "/a%2Fb", "/r\u00e4", "/a/b", "/a%252Fb"])
    query = chance.choice(
        [
            "", "?", "?sslmode=require", "?sslmode=disable", "?sslmode=no-verify", "?ssl=true", "?ssl=1", "?ssl=0",
            "?host=/run/pg", "?host=other&port=7000", "?user=q&password=z", "?options=-c%20search_path%3Dx",
            "?ssl=no-verify", "?sslrootcert=ca.pem", "?sslrootcert=missing.pem", "?a=b#c", "#frag",
            "?sslmode=no-verify&sslrootcert=ca.pem",
        ]
    )  # fmt: skip
    return f"{chance.choice(['postgres', 'postgresql', 'POSTGRES'])}://{user}{host}{port}{path}{query}"


def test_random_configurations_are_read_as_directus_reads_them(
    directus_dir: Path, node_binary: Path, tmp_path: Path
) -> None:
    chance = random.Random(_SEED)
    cases = [_Case(_random_environ(chance), tmp_path) for _ in range(300)]
    targets = [
        _compare(case, answer) for case, answer in zip(cases, _asked(cases, directus_dir, node_binary), strict=True)
    ]
    assert sum(target is not None for target in targets) > 60


def test_each_look_of_a_value_is_cast_as_directus_casts_it(
    directus_dir: Path, node_binary: Path, tmp_path: Path
) -> None:
    cases = [
        _Case({name: value}, tmp_path)
        for value in [*_SCALARS, _CERTIFICATE]
        for name in ("DB_ANY", "DB_PORT", "DB_PASSWORD", "DB_EXCLUDE_TABLES", "EXTENSIONS_ROLLDOWN")
    ]
    for case, answer in zip(cases, _asked(cases, directus_dir, node_binary), strict=True):
        assert _compare_environment(case, answer) is not None


def test_random_connection_strings_lead_where_they_lead_directus(
    directus_dir: Path, node_binary: Path, tmp_path: Path
) -> None:
    chance = random.Random(_SEED)
    cases = []
    for _ in range(400):
        environ = {
            "DB_CLIENT": "pg",
            "DB_CONNECTION_STRING": _random_connection_string(chance),
            "USER": "os-user",
        }
        if chance.random() < 0.2:
            environ |= {"PGHOST": "pg-host", "PGPASSWORD": "pg-password", "PGSSLMODE": "require"}
        cases.append(_Case(environ, tmp_path, {"ca.pem": _CERTIFICATE}))
    targets = [
        _compare(case, answer) for case, answer in zip(cases, _asked(cases, directus_dir, node_binary), strict=True)
    ]
    assert sum(target is not None for target in targets) > 200


def test_what_is_refused_in_a_connection_string_would_not_have_worked_in_directus(
    directus_dir: Path, node_binary: Path, tmp_path: Path
) -> None:
    chance = random.Random(_SEED + 1)
    strings = sorted({_random_connection_string(chance) for _ in range(400)})
    cases = [
        _Case(
            {"DB_CLIENT": "pg", "DB_CONNECTION_STRING": string, "USER": "os-user"},
            tmp_path,
            {"ca.pem": _CERTIFICATE},
        )
        for string in strings
    ]
    refused = 0
    for case, answer in zip(cases, _asked(cases, directus_dir, node_binary), strict=True):
        if _compare(case, answer) is None:
            refused += 1
            given = answer.get("target")
            elsewhere = isinstance(given, dict) and given["user"] == "os-user" and given["host"] == "localhost"
            tls_on_socket = isinstance(given, dict) and str(given["host"]).startswith("/") and given["ssl"] is not None
            assert given is None or elsewhere or tls_on_socket, (case, answer)
    assert refused


_DOTENV = r"""
# a comment
DB_HOST=plain # trailing
export DB_USER = spaced
DB_PASSWORD='single # quoted $HOME \n'
DB_DATABASE="double\nline # kept" # dropped
DB_A=`back "and' ticks`
DB_B: colon
DB_C=
DB_D
DB_E="multi
line"
DB_F='unterminated
DB_G=a"b"c
DB_H="a"b"
  DB_I=indented
DB_J=with=equals
DB.K=dot
DB-L=dash
DB_M=a#b
DB_N='it\'s'
DB_O="say \"hi\""
DB_P=first
DB_P=second
DB_Q=${DB_HOST}
DB_R="tab\there\\n"
DB_S="x" y
DB_T='a' 'b'
DB_PORT=15432
"""


def test_configuration_files_are_read_as_directus_reads_them(
    directus_dir: Path, node_binary: Path, tmp_path: Path
) -> None:
    json_file = (
        '\ufeff{"DB_PORT": 5433, "DB_USER": 12, "DB_A": null, "DB_B": [1,"x",[2]], "DB_C": {"d": "e"},'
        '"DB_D": 1e21, "DB_E": [5]}'
    )
    yaml_file = (
        "DB_PORT: 5433\nDB_USER: on\nDB_PASSWORD: 010\nDB_HOST: 1:30\nDB_A: 1e3\nDB_B: 0o17\nDB_C: ~\n"
        "DB_D: [a, 1, yes]\nDB_E: {x: .5}\nDB_F: 0x1F\nDB_G: 1_000\nDB_H: 'quoted'\nDB_I: |\n  two\n  lines\n"
        "DB_J: True\nDB_K: .inf\nDB_L:\n12: number\nDB_M: 0b101\nDB_N: 12e03\nDB_O: -0o7\nDB_P: 1.\n"
        "DB_Q: &x {a: 1}\nDB_R: {<<: *x, b: 2}\nDB_S: 5_\n"
    )
    base = {"DB_CLIENT": "pg", "DB_HOST": "from-environment"}
    contents = [
        (".env", _DOTENV), (".env", _DOTENV.replace("\n", "\r\n")), (".env", "\ufeffDB_HOST=bom"),
        (".env", ""), (".env", "DB_PASSWORD_FILE=pw\nDB_PASSWORD=direct"),
        (".env", "DB_PASSWORD=direct\nDB_PASSWORD_FILE=pw"),
        (".env", "KEY_FILE=pw\nSECRET_FILE=pw\nDB_SSL__CA_FILE=string:pw"),
        (".env", "SECRET_FILE=missing"), (".env", "DB_FILE=missing"),
        (".env", "DB_A=\u2028DB_B=x\u2028DB_C=\u00a0y\u00a0"), ("c.json", json_file), ("c.json", "[]"),
        ("c.json", "{"), ("c.json", '{"DB_A": NaN}'), ("c.yaml", yaml_file), ("c.yml", ""),
        ("c.yaml", "a: 1\na: 2"), ("c.yaml", "- 1"), ("c.yaml", "a: ["), ("c.YAML", "DB_HOST: upper"),
        ("missing.json", None), ("c.txt", "DB_HOST=text"),
    ]  # fmt: skip
    cases = []
    for number, (name, content) in enumerate(contents):
        files = {"pw": "from file\n"} | ({name: content} if content is not None else {})
        environ = base if name == ".env" else base | {"CONFIG_PATH": f"./{name}"}
        cases.append(_Case(environ, tmp_path / str(number), files))
    for case, answer in zip(cases, _asked(cases, directus_dir, node_binary), strict=True):
        _compare_environment(case, answer)


def test_random_dotenv_files_are_read_as_directus_reads_them(
    directus_dir: Path, node_binary: Path, tmp_path: Path
) -> None:
    chance = random.Random(_SEED)
    pieces = [
        "DB_A",
        "DB_B",
        "=",
        "=",
        ": ",
        "'",
        '"',
        "`",
        "\\",
        "\\n",
        "\n",
        "\n",
        "\r",
        "#",
        " ",
        "\t",
        "x",
        "export ",
        ",",
        "\u2028",
    ]
    cases = [
        _Case({}, tmp_path / str(number), {".env": "".join(chance.choices(pieces, k=chance.randint(1, 30)))})
        for number in range(400)
    ]
    for case, answer in zip(cases, _asked(cases, directus_dir, node_binary), strict=True):
        assert _compare_environment(case, answer) is not None
