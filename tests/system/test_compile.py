"""`compile`: fills Node.js' cache without a database; what it filled is used, by any user and on any processor."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from supervisor.directus import node as started_by
from supervisor.directus.compile_cache import filled_mark
from supervisor.directus.install import find_installation
from tests.command import run_command
from tests.harness import Deployment

OTHER_USER = 12345
AHEAD = Path(started_by.__file__).with_name("ahead.mjs")
START_AHEAD = Path(__file__).parents[1] / "programs" / "start_ahead.cjs"
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as another user, and mount")
# Nothing of Directus' configuration gets through, so that it has nowhere to connect to.
MODULES = """
const told = Object.keys(process.env).filter((name) => /^(DB_|SECRET|REDIS|SUPERVISOR_)/.test(name));
if (told.length > 0) throw new Error(`configured: ${told}`);
import { readFileSync } from 'node:fs';
if (readFileSync(process.env.CONFIG_PATH, 'utf8') !== '') throw new Error('a file configures it');
export const answer = 42;
"""


@dataclass
class Compiled:
    """A stand-in for Directus, the cache that is filled with it, and a process that loads it again."""

    deployment: Deployment
    cache: Path

    @property
    def modules(self) -> Path:
        """What stands for Directus' modules."""
        return self.deployment.folder / "directus" / "node_modules" / "@directus" / "api" / "dist" / "cli" / "index.js"

    @property
    def mark(self) -> str:
        """The name of the file that says that a folder is filled."""
        environ = self.deployment.environ
        directus, node = Path(environ["SUPERVISOR_DIRECTUS_DIR"]), Path(environ["SUPERVISOR_NODE"])
        return filled_mark(find_installation(directus, node, environ, self.deployment.folder))

    def folder(self, user: int | None = None) -> Path:
        """The one folder of Node.js' in a user's."""
        (folder,) = (self.cache / f"directus-supervisor-node-{os.geteuid() if user is None else user}").iterdir()
        return folder

    def load(
        self, task: Mapping[str, object], user: int | None = None, **variables: str
    ) -> tuple[dict[str, int], list[object]]:
        """Load the module as Directus does, until it has settled: how Node.js found it, and what the process said."""
        told = {"filled": [], "mark": self.mark, "beside": True, "settle_ms": 1, "wait": None, "leash": False, **task}
        program = self.deployment.folder / "program.mjs"
        program.write_text(
            f"import {{ answer }} from {json.dumps(self.modules.as_uri())};\n"
            "setTimeout(() => process.exit(answer), 200);\n"
        )
        environ = {
            "PATH": os.environ["PATH"],
            "CONFIG_PATH": os.devnull,
            "NODE_DEBUG_NATIVE": "COMPILE_CACHE",
            "DIRECTUS_SUPERVISOR_NODE": json.dumps(told, default=str),
            **variables,
        }
        argv = (self.deployment.environ["SUPERVISOR_NODE"], START_AHEAD, AHEAD.as_uri(), program, json.dumps(environ))
        done = subprocess.run(argv, user=user, capture_output=True, text=True, timeout=60, check=True)
        answer = json.loads(done.stdout)
        assert answer["code"] == 42, answer
        about = [line for line in answer["text"].splitlines() if self.modules.name in line and "cli/" in line]
        return {
            "accepted": sum("was accepted" in line for line in about),
            "compiled": sum("was not initialized" in line or "was rejected" in line for line in about),
            "written": sum("writing cache for" in line for line in about),
        }, answer["said"]


@pytest.fixture
def compiled(tmp_path: Path, node_binary: Path) -> Compiled:
    """A deployment that knows of a database which is not there."""
    # pytest keeps its folders to this user; the other one is to get through.
    for path in (tmp_path, *tmp_path.parents):
        if "pytest-of-" in str(path):
            path.chmod(0o755)
    nowhere = {"DB_CLIENT": "pg", "DB_HOST": "192.0.2.1", "DB_PORT": "5432", "DB_DATABASE": "none"}
    deployment = Deployment.with_stand_in(tmp_path, nowhere, node_binary)
    cache = tmp_path / "cache"
    deployment.environ["SUPERVISOR_COMPILE_CACHE_DIR"] = str(cache)
    made = Compiled(deployment, cache)
    made.modules.write_text(MODULES)
    return made


def test_it_fills_the_cache_without_any_configuration_and_a_second_time_changes_nothing(compiled: Compiled) -> None:
    (compiled.deployment.folder / "directus" / ".env").write_text("DB_HOST=192.0.2.2\n")
    first = run_command(compiled.deployment, "compile")
    assert first.status == 0, first.err
    found = re.fullmatch(r"(\S+): (\d+) files, [\d.]+ MB, (\d+) of them written now, in [\d.]+ s\n", first.out)
    assert found is not None, first.out
    assert Path(found[1]) == compiled.folder()
    assert found[2] == found[3] != "0"
    before = {path: path.stat().st_mtime_ns for path in compiled.cache.rglob("*")}

    second = run_command(compiled.deployment, "compile")
    assert second.status == 0
    assert " 0 of them written now" in second.out
    assert {path: path.stat().st_mtime_ns for path in compiled.cache.rglob("*")} == before


def test_what_it_filled_is_found_by_the_real_processes_which_write_nothing_then(compiled: Compiled) -> None:
    assert run_command(compiled.deployment, "compile").status == 0
    own = compiled.folder().parent
    assert compiled.load({"cache": own}) == ({"accepted": 1, "compiled": 0, "written": 0}, [])


@as_root
@pytest.mark.parametrize("processor", ["this", "another"])
def test_a_folder_of_roots_is_read_by_any_user_on_any_processor_and_never_written_to(
    compiled: Compiled, processor: str
) -> None:
    assert run_command(compiled.deployment, "compile").status == 0
    roots = compiled.folder()
    if processor == "another":
        # Node.js puts the processor's features into the name; that V8 takes the code all the same is what counts.
        roots = roots.rename(roots.with_name("v22.0.0-x64-00000000-0"))
    home = compiled.deployment.folder / "home"
    home.mkdir()
    os.chown(home, OTHER_USER, OTHER_USER)
    task = {"cache": home, "filled": [roots]}

    hit: tuple[dict[str, int], list[object]] = ({"accepted": 1, "compiled": 0, "written": 0}, [])
    assert compiled.load(task, OTHER_USER) == hit
    (link,) = home.iterdir()
    assert link.readlink() == roots
    assert compiled.load(task, OTHER_USER) == hit

    # Another image, where the folder is elsewhere.
    moved = roots.rename(roots.with_name("moved"))
    assert compiled.load({**task, "filled": [moved]}, OTHER_USER) == hit
    assert link.readlink() == moved
    # And one that has none: the user's own again, which is not filled.
    assert compiled.load({**task, "filled": []}, OTHER_USER)[1] == [{"type": "unfilled"}]
    assert not link.is_symlink()


def test_code_made_with_other_flags_of_v8_is_left_alone(compiled: Compiled) -> None:
    assert run_command(compiled.deployment, "compile").status == 0
    filled = compiled.folder()
    home = compiled.deployment.folder / "home"
    found, said = compiled.load({"cache": home, "filled": [filled]}, NODE_OPTIONS="--max-old-space-size=512")
    assert (found["compiled"], said) == (1, [{"type": "unfilled"}])
    (own,) = home.iterdir()
    assert not own.is_symlink()


def test_what_serves_asks_for_the_filling_and_writes_it_itself_only_where_nobody_else_will(compiled: Compiled) -> None:
    home = compiled.deployment.folder / "home"
    found, said = compiled.load({"cache": home})
    # At its end Node.js writes what it has; Directus ends by a signal.
    assert said == [{"type": "unfilled"}]
    assert found["compiled"] == 1
    shutil.rmtree(home)
    assert compiled.load({"cache": home, "beside": False})[1] == []
    assert compiled.load({"cache": home, "beside": False})[0]["accepted"] == 1


@pytest.mark.parametrize(
    ("environ", "code", "words"),
    [
        ({"SUPERVISOR_COMPILE_CACHE_DIR": "/proc/nowhere"}, "compile.failed", "/proc/nowhere"),
        ({"SUPERVISOR_COMPILE_CACHE_DIR": "", "HOME": "", "XDG_CACHE_HOME": ""}, "compile.failed", "nor is HOME"),
        ({"SUPERVISOR_DIRECTUS_DIR": "/nowhere"}, "directus.not_found", "/nowhere/cli.js"),
        ({"SUPERVISOR_NODE": "/nowhere/node"}, "directus.node_not_found", "/nowhere/node"),
        ({"SUPERVISOR_START_AHEAD": "perhaps"}, "config.invalid", "SUPERVISOR_START_AHEAD"),
        ({"NODE_DISABLE_COMPILE_CACHE": "1"}, "compile.failed", "NODE_DISABLE_COMPILE_CACHE"),
        ({"NODE_OPTIONS": "--require={folder}/old.cjs"}, "compile.failed", "from 22.8 on"),
        ({"NODE_OPTIONS": "--require={folder}/dies.cjs"}, "compile.failed", "before it had filled the cache"),
    ],
)
def test_what_stands_in_the_way_is_named_with_its_remedy(
    compiled: Compiled, environ: dict[str, str], code: str, words: str
) -> None:
    folder = compiled.deployment.folder
    # As a Node.js that is too old looks from within, and one that is killed.
    (folder / "old.cjs").write_text(
        "const m = require('module'); delete m.enableCompileCache; m.syncBuiltinESMExports();"
    )
    (folder / "dies.cjs").write_text("process.kill(process.pid, 'SIGKILL');")
    compiled.deployment.environ |= {name: text.format(folder=folder) for name, text in environ.items()}
    ended = run_command(compiled.deployment, "compile")
    assert ended.status == 78
    assert ended.out == ""
    message, remedy = ended.err.splitlines()
    assert message.startswith(f"{code}: ")
    assert words in message
    assert remedy


def test_modules_that_do_not_load_are_an_error_and_leave_no_mark(compiled: Compiled) -> None:
    compiled.modules.write_text("throw new Error('half installed');")
    ended = run_command(compiled.deployment, "compile")
    assert ended.status == 78
    assert "half installed" in ended.err
    assert not list(compiled.cache.rglob("filled-*"))


@as_root
def test_a_device_without_room_is_named_before_anything_is_written(compiled: Compiled) -> None:
    compiled.cache.mkdir()
    script = 'mount -t tmpfs -o size=2m none "$0" && "$@"; echo "status $?"; find "$0" -type f'
    argv = ("unshare", "--mount", "--propagation", "private", "sh", "-c", script, str(compiled.cache))
    with compiled.deployment.start("compile", prefix=argv) as process:
        process.expect_exit(0)
    assert "has room for 2 MB" in process.text
    assert process.text.endswith("status 78"), process.text


def test_the_mark_of_the_directus_before_goes_when_another_is_at_its_place(compiled: Compiled) -> None:
    assert run_command(compiled.deployment, "compile").status == 0
    manifest = compiled.deployment.folder / "directus" / "node_modules" / "directus" / "package.json"
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "version": "99.0.0"}))
    for other in (compiled.deployment.folder / "directus" / "package.json",):
        other.write_text(json.dumps({**json.loads(other.read_text()), "version": "99.0.0"}))
    assert run_command(compiled.deployment, "compile").status == 0
    assert [path.name for path in compiled.cache.rglob("filled-*")] == [compiled.mark]


def test_a_cache_of_nodes_own_variable_goes_before_ours(compiled: Compiled) -> None:
    other = compiled.deployment.folder / "other"
    compiled.deployment.environ["NODE_COMPILE_CACHE"] = str(other)
    assert run_command(compiled.deployment, "compile").status == 0
    assert list(other.rglob("filled-*"))
    assert not compiled.cache.exists()
