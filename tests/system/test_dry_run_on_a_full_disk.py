"""A dry run whose own server has no room says so, and leaves nothing behind."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from supervisor.dev.paths import MARKER
from tests.command import run_command
from tests.releases import Release

# The one fills a table; the other what the server has to write before anything else, and there it gives up.
ROWS = "CREATE TABLE big AS SELECT repeat(md5(i::text), 40) AS x FROM generate_series(1, 1000000) i;"
MESSAGES = """
    DO $$ BEGIN
        FOR i IN 1..400 LOOP PERFORM pg_logical_emit_message(false, 'x', repeat('x', 1000000)); END LOOP;
    END $$;
"""


@pytest.fixture
def disk() -> Iterator[Path]:
    """A folder that every account can enter, where a small file system can be mounted."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a file system")
    with tempfile.TemporaryDirectory(prefix="small-disk-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture
def gate(tmp_path: Path, node_binary: Path, disk: Path) -> Release:
    release = Release.make(tmp_path / "gate", {}, node_binary).schema(things="name")
    release.environ |= {"XDG_DATA_HOME": str(disk)}
    return release


@pytest.fixture
def small(request: pytest.FixtureRequest, disk: Path) -> Iterator[Path]:
    """A file system of so many megabytes."""
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={request.param}m,mode=755", "tmpfs", disk],
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode:
        pytest.skip(f"no file system can be mounted here: {made.stderr.strip()}")
    yield disk
    subprocess.run(["umount", "--lazy", disk], check=True)


def left_in(disk: Path) -> set[str]:
    return {path.name for path in disk.rglob("*") if path.is_file()}


@pytest.mark.parametrize("small", [30], indirect=True)
def test_a_server_that_does_not_fit_on_the_disk_is_not_begun(gate: Release, small: Path) -> None:
    ended = run_command(gate, "dry-run", "--json")
    assert ended.status == 78
    problem = ended.document["problem"]
    assert problem["code"] == "dev.setup_failed"
    assert "MiB free" in problem["message"]
    assert "XDG_DATA_HOME" in problem["remedy"]
    assert left_in(small) == {"dry-run.lock", MARKER}


@pytest.mark.parametrize("small", [310], indirect=True)
@pytest.mark.parametrize(("sql", "status"), [(ROWS, 3), (MESSAGES, 8)], ids=["table", "write-ahead log"])
def test_a_disk_that_is_full_in_the_middle_is_told_and_all_of_it_is_free_again(
    gate: Release, small: Path, sql: str, status: int
) -> None:
    gate.sql("post-schema", "001_big.sql", sql)
    ended = run_command(gate, "dry-run", "--json")
    assert ended.status == status
    problem = ended.document["problem"]
    assert "post-schema/001_big.sql" in problem["message"]
    assert "No space left on device" in problem["message"]
    # What went with its server needs nobody to drop it.
    assert "DROP DATABASE" not in ended.err
    assert left_in(small) == {"dry-run.lock", MARKER}
