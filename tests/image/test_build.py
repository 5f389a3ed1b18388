"""What the built image is made of."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

from tests.conftest import PROJECT
from tests.image.podman import LIMITS, Podman

MEGABYTE = 1_000_000
_LIMIT_MB = 70

# Every file of the supervisor's folder: its mode, time and content, and what is the matter with its bytecode.
_LIST = """
import hashlib, json, marshal, os, pathlib, subprocess, sys
root = pathlib.Path("/opt/directus-supervisor")
if (unmerged := pathlib.Path("/build/root") / root.relative_to("/")).is_dir():
    subprocess.run(["cp", "--archive", f"{unmerged}/.", root], check=True)
files, faults = {}, []
for path in sorted(root.rglob("*")):
    status = path.lstat()
    data = os.readlink(path).encode() if path.is_symlink() else path.read_bytes() if path.is_file() else b""
    files[str(path)] = [oct(status.st_mode), status.st_mtime, hashlib.sha256(data).hexdigest()]
    if status.st_mode & 0o022 and not path.is_symlink():
        faults.append(f"{path} can be written to by others")
    if path.suffix == ".py":
        compiled = path.parent / "__pycache__" / f"{path.stem}.{sys.implementation.cache_tag}.pyc"
        if not compiled.is_file():
            faults.append(f"{path} is not compiled")
    if path.suffix == ".pyc":
        if data[4:8] != (1).to_bytes(4, "little"):
            faults.append(f"{path} depends on its source's time")
        elif not (source := pathlib.Path(marshal.loads(data[16:]).co_filename)).is_file():
            faults.append(f"{path} names {source} as its source")
print(json.dumps([files, faults]))
"""
_PYTHON = "/opt/directus-supervisor/bin/python"


def _in_image(podman: Podman, image: str, *argv: str, user: str = "node") -> str:
    options = ("--rm", "--network=host", *LIMITS, f"--user={user}", f"--entrypoint={argv[0]}")
    return podman.run("run", *options, image, *argv[1:])


def _tree(podman: Podman, image: str) -> tuple[dict[str, list[object]], list[str]]:
    files, faults = json.loads(_in_image(podman, image, _PYTHON, "-B", "-c", _LIST, user="root"))
    return files, faults


def test_the_image_takes_at_most_70_mb_over_its_base(
    podman: Podman, base: str, image: str, measured: Callable[[str, str], None]
) -> None:
    over = (podman.image(image)["Size"] - podman.image(base)["Size"]) / MEGABYTE

    measured("size over the base image", f"{over:.1f} MB")
    assert over <= _LIMIT_MB


def test_the_image_says_how_it_is_run_and_what_it_is(podman: Podman, base: str, image: str) -> None:
    known = podman.image(image)
    config = known["Config"]

    assert config["Entrypoint"] == ["directus-supervisor"]
    assert config["Cmd"] == ["run"]
    assert config["User"] == "node"
    assert config["WorkingDir"] == "/directus"
    assert config["StopSignal"] in {"SIGTERM", "15"}
    assert known["Healthcheck"]["Test"] == ["CMD", "directus-supervisor", "health"]
    labels = {name.rpartition(".")[2]: text for name, text in config["Labels"].items() if "opencontainers" in name}
    assert labels["version"] == "1.2.3"
    assert labels["revision"] == "0123abc"
    assert labels["name"] == base


def test_everything_is_compiled_at_build_time_and_none_of_it_depends_on_file_times(podman: Podman, image: str) -> None:
    files, faults = _tree(podman, image)

    assert not faults, faults[:10]
    assert any(path.endswith("/phases/bootstrap.py") for path in files)


def test_neither_pip_nor_a_cache_nor_a_secret_of_the_build_is_left(podman: Podman, image: str) -> None:
    script = (
        (
            "find / -xdev ( -name 'pip*' -o -name ensurepip ) -path '*-packages*' -print; "
            "find /var/cache/apt /var/lib/apt/lists /var/cache/apk /root/.cache /run/secrets /build /etc/pip.conf "
            "-type f -size +0 2>/dev/null; true"
        )
        .replace("( ", "\\( ")
        .replace(" )", " \\)")
    )

    assert _in_image(podman, image, "sh", "-c", script, user="root").split() == []


def test_the_deployment_is_in_it_and_nothing_else_of_the_checkout(podman: Podman, image: str) -> None:
    listing = _in_image(podman, image, "sh", "-c", "cd /directus && find sql snapshots extensions -type f")

    shipped = {
        str(path.relative_to(PROJECT))
        for folder in ("sql", "snapshots", "extensions")
        for path in (PROJECT / folder).rglob("*")
        if path.is_file()
    }
    assert set(listing.split()) == shipped
    assert "tests" not in _in_image(podman, image, "ls", "/directus").split()


def test_a_changed_snapshot_changes_the_last_layer_alone(
    podman: Podman, image: str, build: Callable[..., str], tmp_path: Path
) -> None:
    checkout = _checkout(tmp_path)
    snapshot = checkout / "snapshots" / "schema.yaml"
    snapshot.write_text(snapshot.read_text() + "# changed\n")

    changed = podman.image(build(checkout, VERSION="1.2.3", REVISION="0123abc"))["RootFS"]["Layers"]

    before = podman.image(image)["RootFS"]["Layers"]
    assert changed != before
    assert [at for at, (old, new) in enumerate(zip(before, changed, strict=True)) if old != new] == [len(before) - 1]


def test_a_checkout_closed_to_others_gives_an_image_that_its_user_can_read(
    podman: Podman, image: str, build: Callable[..., str], tmp_path: Path
) -> None:
    checkout = _checkout(tmp_path)
    for path in [checkout, *checkout.rglob("*")]:
        path.chmod(0o700 if path.is_dir() else 0o600)

    closed = build(checkout, VERSION="1.2.3", REVISION="0123abc")

    assert (
        _in_image(podman, closed, "cat", "/directus/snapshots/schema.yaml")
        == (PROJECT / "snapshots" / "schema.yaml").read_text()
    )
    assert _tree(podman, closed) == _tree(podman, image)


def test_two_builds_give_the_same_files_and_their_time_can_be_chosen(
    podman: Podman, image: str, build: Callable[..., str]
) -> None:
    # Another time sets aside what the cache holds: all is installed and compiled once more. The last stage would copy
    # nothing anew, since builders do not count a time as a change; so this looks at the stage before.
    again = build(target="supervisor", SOURCE_DATE_EPOCH="1700000000")

    first, second = _tree(podman, image)[0], _tree(podman, again)[0]
    assert {path: (mode, digest) for path, (mode, _, digest) in first.items()} == {
        path: (mode, digest) for path, (mode, _, digest) in second.items()
    }
    assert {time for _, time, _ in second.values()} == {1700000000}


def _checkout(folder: Path) -> Path:
    checkout = folder / "checkout"
    checkout.mkdir()
    ignored = shutil.ignore_patterns("__pycache__")
    for name in ("docker", "supervisor", "phases", "extensions", "sql", "snapshots"):
        shutil.copytree(PROJECT / name, checkout / name, ignore=ignored)
    for name in (".dockerignore", "requirements.lock", "requirements-build.lock", "pyproject.toml", "LICENSE"):
        shutil.copy2(PROJECT / name, checkout / name)
    return checkout
