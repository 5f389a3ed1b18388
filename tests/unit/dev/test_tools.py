from __future__ import annotations

import io
import json
import socket
import stat
from typing import TYPE_CHECKING

import pytest

from supervisor.dev.login import ADMIN_EMAIL, load_login
from supervisor.dev.node import find_node, toolchain_at
from supervisor.dev.ports import free_port
from supervisor.dev.progress import PlainProgress, progress_for
from supervisor.errors import DEV_SETUP_FAILED, SupervisorError

if TYPE_CHECKING:
    from pathlib import Path


def test_the_node_found_is_the_real_binary() -> None:
    toolchain = find_node()
    assert toolchain.major >= 22
    assert toolchain.node.read_bytes()[:4] in (b"\x7fELF", b"\xcf\xfa\xed\xfe")
    assert (toolchain.home / "include" / "node" / "node_api.h").is_file()


def _fake_node(home: Path, script: str) -> None:
    npm = home / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    npm.parent.mkdir(parents=True)
    npm.touch()
    node = home / "bin" / "node"
    node.parent.mkdir()
    node.write_text(f"#!/bin/sh\n{script}\n")
    node.chmod(0o755)


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("echo v20.11.1", "needs 22 or newer"),
        ("echo cannot load libatomic >&2; exit 127", "cannot load libatomic"),
        ("echo hello", "does not run"),
    ],
)
def test_an_unusable_node_is_refused(tmp_path: Path, script: str, message: str) -> None:
    _fake_node(tmp_path, script)
    with pytest.raises(SupervisorError, match=message) as caught:
        toolchain_at(tmp_path)
    assert caught.value.failure is DEV_SETUP_FAILED
    assert "directus-supervisor[dev]" in caught.value.remedy


def test_an_incomplete_node_is_named(tmp_path: Path) -> None:
    with pytest.raises(SupervisorError, match="bin/node is missing"):
        toolchain_at(tmp_path)


def test_the_login_is_generated_once_and_kept_private(tmp_path: Path) -> None:
    path = tmp_path / "login.json"
    login = load_login(path)
    assert login.email == ADMIN_EMAIL
    assert len(login.secret.encode()) >= 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_login(path) == login
    assert load_login(tmp_path / "other.json").password != login.password
    assert login.password not in repr(login)
    assert login.secret not in repr(login)


@pytest.mark.parametrize("text", ["", "{}", "[1, 2, 3]", json.dumps({"email": "a", "password": "", "secret": "x"})])
def test_a_damaged_login_is_an_error_and_not_replaced(tmp_path: Path, text: str) -> None:
    path = tmp_path / "login.json"
    path.write_text(text)
    with pytest.raises(SupervisorError, match="does not hold a login"):
        load_login(path)
    assert path.read_text() == text


def test_the_preferred_port_is_taken_only_when_it_is_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = server.getsockname()[1]
        assert free_port("127.0.0.1", taken) != taken
    assert free_port("127.0.0.1", taken) == taken


def test_an_address_of_another_machine_has_no_port_for_us() -> None:
    with pytest.raises(SupervisorError, match=r"192\.0\.2\.1"):
        free_port("192.0.2.1")


def test_without_a_terminal_every_step_is_a_line_with_its_end() -> None:
    shown = io.StringIO()
    progress = progress_for(shown)
    assert isinstance(progress, PlainProgress)
    with progress.step("Directus") as step:
        for packages in range(101):
            step.advance(packages, 100, f"{packages} packages")
        step.say("nearly there")
    with pytest.raises(RuntimeError), progress.step("PostgreSQL"):
        raise RuntimeError
    lines = shown.getvalue().splitlines()
    assert lines[:2] == ["Directus ...", "Directus: 25 %, 25 packages"]
    assert "Directus: nearly there" in lines
    assert sum("packages" in line for line in lines) == 4
    assert any(line.startswith("Directus: done (") for line in lines)
    assert lines[-1].startswith("PostgreSQL: not finished")


def test_on_a_terminal_there_is_a_bar() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    progress = progress_for(Terminal())
    assert not isinstance(progress, PlainProgress)
    with progress.step("Directus") as step:
        step.advance(5, 10, "5 packages")
        step.advance(0, 0)
        step.say("waiting")
