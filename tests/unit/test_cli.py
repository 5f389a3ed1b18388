"""The command line: its grammar, its help, and what it does not load."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest

from supervisor import __version__
from supervisor.cli import main, make_parser
from supervisor.process.signals import SignalInbox
from tests.unit.scripts import run_script

COMMANDS = (
    "run",
    "migrate",
    "dev",
    "plan",
    "new",
    "repair",
    "baseline",
    "history",
    "incidents",
    "check",
    "config",
    "health",
    "version",
)


def status_of(*arguments: str) -> object:
    with pytest.raises(SystemExit) as caught:
        main(arguments, SignalInbox())
    return caught.value.code


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("nonsense",),
        ("--nonsense",),
        ("run", "--nonsense"),
        ("run", "extra"),
        ("migrate", "--once"),
        ("check", "one", "two"),
        ("check", "--format", "xml"),
        ("new",),
        ("baseline", "--to", "-1"),
        ("baseline", "--to", "many"),
        ("history", "--limit", "1.5"),
        ("history", "--limit", "0"),
        ("health", "--ready", "--live"),
        ("health", "--timeout"),
        ("health", "--timeout", "soon"),
        ("health", "--timeout", "-1"),
        ("health", "--timeout", "0"),
        ("health", "--timeout", "nan"),
        ("health", "--timeout", "1e30"),
    ],
)
def test_wrong_usage_ends_with_64_and_points_to_the_help(
    arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert status_of(*arguments) == 64
    told = capsys.readouterr()
    assert told.out == ""
    assert "usage: directus-supervisor" in told.err
    assert "--help" in told.err


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_every_command_has_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of(command, "--help") == 0
    told = capsys.readouterr().out
    example = told.partition("example:\n")[2].strip()
    assert command in example


def test_a_misspelt_command_is_told_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        make_parser().parse_args(["migrat"])
    assert ended.value.code == 64
    assert "invalid choice: 'migrat', did you mean 'migrate'?" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["config"], ["version"]])
def test_a_reader_that_has_enough_ends_a_command_without_a_traceback(arguments: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as nobody:
        argv = [sys.executable, "-m", "supervisor", *arguments]
        done = subprocess.run(argv, stdout=nobody, stderr=subprocess.PIPE, check=False, timeout=60)
    assert done.stderr == b""
    assert done.returncode == 128 + signal.SIGPIPE


def test_the_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of("--help") == 0
    told = capsys.readouterr().out
    assert "examples:" in told
    assert all(f"\n    {command}" in told for command in COMMANDS)


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of("--version") == 0
    assert capsys.readouterr().out == f"directus-supervisor {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "probe"),
    [
        (["health"], "/readyz"),
        (["health", "--ready"], "/readyz"),
        (["health", "--live"], "/livez"),
        (["health", "--startup"], "/startupz"),
    ],
)
def test_the_health_command_asks_the_probe_that_is_named(arguments: list[str], probe: str) -> None:
    assert make_parser().parse_args(arguments).probe == probe


LOADED = """
    import json, sys
    from supervisor.__main__ import main
    sys.argv = ["directus-supervisor", *{arguments}]
    try:
        main()
    except SystemExit:
        pass
    print(json.dumps(sorted(sys.modules)))
"""


@pytest.mark.parametrize(
    ("arguments", "forbidden"),
    [
        (["version"], {"asyncpg", "uvicorn", "starlette", "tenacity", "yaml"}),
        (["health", "--timeout", "1"], {"asyncpg", "uvicorn", "starlette", "tenacity", "yaml", "asyncio", "structlog"}),
        (["--help"], {"asyncpg", "uvicorn", "starlette", "tenacity", "yaml", "asyncio", "structlog", "anyio"}),
        (["config"], {"uvicorn", "starlette", "tenacity"}),
    ],
)
def test_a_small_command_loads_little(arguments: list[str], forbidden: set[str]) -> None:
    lines = run_script(
        LOADED.format(arguments=arguments), SUPERVISOR_HEALTH_HOST="127.0.0.1", SUPERVISOR_HEALTH_PORT="1"
    )
    assert not forbidden & set(json.loads(lines[-1]))


def test_the_signals_are_heard_before_anything_heavy_is_loaded() -> None:
    lines = run_script("""
        import json, sys
        import supervisor.__main__
        print(json.dumps(sorted(sys.modules)))
    """)
    heavy = {"asyncio", "structlog", "argparse", "supervisor.cli", "supervisor.errors"}
    assert not heavy & set(json.loads(lines[-1]))
