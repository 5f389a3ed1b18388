"""The command: what it reads, prints and ends with."""

from __future__ import annotations

import gzip
import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from supervisor.errors import SupervisorError
from supervisor.explain.command import explain, time_of
from tests.unit.explain.written import FRAMES, Log

PROJECT = Path(__file__).parents[3]


def run(*arguments: str, stdin: bytes = b"", **environ: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "supervisor", "explain", *arguments],
        input=stdin,
        capture_output=True,
        cwd=PROJECT,
        env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8", **environ},
        timeout=60,
        check=False,
    )
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


def test_a_log_on_stdin_is_told_and_the_verdict_stands_last() -> None:
    done = run(stdin=Log().fails().text.encode())
    assert (done.returncode, done.stderr) == (0, "")
    verdict = done.stdout[done.stdout.index("VERDICT") :]
    assert "What to do: Move the file to post-schema/." in " ".join(verdict.split())
    assert "\x1b" not in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 100


def test_the_account_as_json_is_one_object() -> None:
    done = run("--json", "-", stdin=Log().fails().text.encode())
    document = json.loads(done.stdout)
    assert document["schema_version"] == 1
    assert document["boots"][0]["failure"]["code"] == "sql.failed"


def test_every_field_of_the_json_is_in_the_document() -> None:
    page = (PROJECT / "docs" / "explain.md").read_text(encoding="utf-8")
    document = json.loads(run("--json", stdin=Log().becomes_ready().crashes().text.encode()).stdout)
    names = {*document, *document["input"], *document["verdict"], *document["boots"][0]}
    names |= {*document["boots"][0]["restarts"][0], *document["boots"][0]["phases"][0]}
    assert not {name for name in names if f"`{name}`" not in page}


def test_colours_are_for_those_who_want_them() -> None:
    log = Log().fails().text.encode()
    assert "\x1b[31m" in run(stdin=log, FORCE_COLOR="1").stdout
    assert "\x1b" not in run(stdin=log, FORCE_COLOR="1", NO_COLOR="1").stdout


def test_a_terminal_without_unicode_gets_ascii() -> None:
    done = run(stdin=Log().becomes_ready().text.encode(), LANG="C", PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert done.returncode == 0
    assert done.stdout.isascii()
    assert "####" in done.stdout


def test_what_a_terminal_would_take_for_a_command_is_not_printed() -> None:
    log = Log().becomes_ready().crashes("\x1b]0;owned\x07 \x1b[2J \x9b31m words")
    done = run(stdin=log.text.encode())
    assert not {character for character in done.stdout if character < " " and character != "\n"}
    assert "\x9b" not in done.stdout


def test_half_a_character_is_no_trouble() -> None:
    text = Log().fails(message="x").text.replace('"message":"x"', '"message":"\\ud83d half"')
    assert "� half" in run(stdin=text.encode()).stdout
    assert json.loads(run("--json", stdin=text.encode()).stdout)["boots"][0]["failure"]["cause"].endswith(" half")


def test_the_width_is_that_of_the_terminal(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text(Log().fails().text)
    keyboard, terminal = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "supervisor", "explain", str(path)],
        cwd=PROJECT,
        stdout=terminal,
        env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "COLUMNS": "70", "NO_COLOR": "1"},
    ):
        os.close(terminal)
        shown = b""
        try:
            while block := os.read(keyboard, 65536):
                shown += block
        except OSError:
            pass  # the other end is gone
    os.close(keyboard)
    lines = shown.decode().splitlines()
    assert max(map(len, lines[-6:])) <= 70
    assert len(lines) > 20


def test_a_compressed_log_is_read(tmp_path: Path) -> None:
    path = tmp_path / "log.gz"
    path.write_bytes(gzip.compress(Log().fails().text.encode()))
    assert "sql.failed" in run(str(path)).stdout
    assert "sql.failed" in run(stdin=path.read_bytes()).stdout


def test_a_broken_compressed_log_is_told_as_far_as_it_goes(tmp_path: Path) -> None:
    noise = b"".join(b"%d %s\n" % (number, os.urandom(40).hex().encode()) for number in range(20_000))
    path = tmp_path / "log.gz"
    path.write_bytes(gzip.compress(Log().fails().text.encode() + noise)[:-400_000])
    done = run(str(path))
    assert done.returncode == 66
    assert "could be read only in part" in " ".join(done.stdout.split())
    assert "sql.failed" in done.stdout


def test_several_files_are_one_account_and_a_missing_one_is_named(tmp_path: Path) -> None:
    log = Log().becomes_ready().crashes()
    middle = len(log.lines) // 2
    for name, lines in (("log.1", log.lines[:middle]), ("log", log.lines[middle:])):
        (tmp_path / name).write_text("\n".join(lines) + "\n")
    done = run(str(tmp_path / "log.1"), str(tmp_path / "none"), str(tmp_path / "log"), "--json")
    assert done.returncode == 66
    document = json.loads(done.stdout)
    assert len(document["boots"]) == 1
    assert document["boots"][0]["lines_lost"] == 0
    assert "none cannot be read: No such file" in document["input"]["remarks"][0]


@pytest.mark.parametrize(
    ("arguments", "stdin", "status", "words"),
    [
        (("/nowhere/log",), b"", 66, "/nowhere/log cannot be read: No such file or directory"),
        (("/",), b"", 66, "Is a directory"),
        ((), b"", 65, "the log is empty"),
        ((), b"LOG: checkpoint\n" * 3, 65, "none of 3 lines is a supervisor's"),
        ((), (Log().output("x").text * 3).encode(), 65, "Take more of the log"),
        (("--boot", "fff"), Log().fails().text.encode(), 65, "The boots that are there: 0123456789ab"),
        (("--since", "2099-01-01T00:00:00Z"), Log().fails().text.encode(), 65, "no boot in this log has a line since"),
        (("--since", "yesterday"), Log().fails().text.encode(), 64, "--since yesterday is neither a time nor a span"),
    ],
)
def test_what_cannot_be_told_is_an_error_in_words(
    arguments: tuple[str, ...], stdin: bytes, status: int, words: str
) -> None:
    done = run(*arguments, stdin=stdin)
    assert (done.returncode, done.stdout) == (status, "")
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_a_reader_who_has_enough_is_no_error() -> None:
    text = "".join(Log(f"{number:012}", began_s=number).fails().text for number in range(60))
    with subprocess.Popen(
        [sys.executable, "-m", "supervisor", "explain", "--json"],
        cwd=PROJECT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdin
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        process.stdin.write(text.encode())
        process.stdin.close()
        assert process.stderr.read() == b""
        assert process.wait() == 0


def test_since_is_a_time_or_a_span() -> None:
    assert time_of("2h", 10_000.0) == 2800.0
    assert time_of("30m", 10_000.0) == 8200.0
    assert time_of("1970-01-01T00:00:10Z", 0.0) == 10.0
    assert time_of("1970-01-01T01:00:10.123456789+01:00", 0.0) == pytest.approx(10.123456)
    with pytest.raises(SupervisorError):
        time_of("2 parsecs", 0.0)


@pytest.mark.parametrize("frame", ["docker logs", "json-file"])
def test_a_line_without_end_is_not_held(tmp_path: Path, frame: str) -> None:
    code = (
        "import pathlib, re, sys; from supervisor.explain.command import explain; explain([sys.argv[1]]);"
        "print(re.search(r'VmHWM:\\s+(\\d+)', pathlib.Path('/proc/self/status').read_text())[1])"
    )
    path = tmp_path / "log"
    with path.open("wb") as file:
        file.write(FRAMES[frame](Log().fails().lines[-1]).encode() + b"\n")
        for _ in range(200):
            file.write(b'{"level":30,"msg":"' + b"x" * 1_000_000)
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, cwd=PROJECT, check=True)
    assert int(done.stdout) < 50_000
    account, _ = explain([str(path)])
    assert account.input.cut_lines == 1
    assert account.boots[0].failure is not None
