"""Stands in for `docker` where there is no engine: what the workflow asks for is done by podman, or by this checkout.

REHEARSAL_ENGINE is `podman` (images and containers for real) or `checkout` (`docker run IMAGE ARGUMENTS` runs the
supervisor of the working directory with the variables that `-e` names and no others). Nothing is ever sent to a
registry: `podman` writes what is pushed into REHEARSAL_FOLDER/pushed, `checkout` records it alone. Each call is one
line of JSON in REHEARSAL_FOLDER/calls. REHEARSAL_PODMAN is the command line of podman, and further options of its
`build` and `run`, as JSON.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path


def main(arguments: Sequence[str]) -> int:
    """Do what one call of `docker` asks for; returns the status to exit with."""
    folder = Path(os.environ["REHEARSAL_FOLDER"])
    with (folder / "calls").open("a", encoding="utf-8") as calls:
        calls.write(json.dumps(list(arguments)) + "\n")
    command = arguments[0]
    if command == "login":
        return 0 if sys.stdin.read() else 1
    if os.environ["REHEARSAL_ENGINE"] == "podman":
        return _by_podman(folder, command, arguments[1:])
    return _by_checkout(command, arguments[1:])


def _by_podman(folder: Path, command: str, rest: Sequence[str]) -> int:
    given: dict[str, list[str]] = json.loads(os.environ["REHEARSAL_PODMAN"])
    if command in ("build", "run"):
        words = [command, *given[command], *rest]
    elif command == "push":
        name = rest[-1].replace("/", "_").replace(":", "_")
        words = ["push", rest[-1], f"dir:{folder / 'pushed' / name}"]
    elif command == "tag":
        words = ["tag", *rest]
    else:
        print(f"docker {command} is not rehearsed", file=sys.stderr)
        return 125
    # Podman insists on the file of a login, which was only recorded.
    environ = {name: value for name, value in os.environ.items() if name != "DOCKER_CONFIG"}
    return subprocess.call([*given["podman"], *words], env=environ)


def _by_checkout(command: str, rest: Sequence[str]) -> int:
    if command in ("build", "tag", "push"):
        return 0
    if command != "run":
        print(f"docker {command} is not rehearsed", file=sys.stderr)
        return 125
    environ, image_at = _variables(rest)
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    extra = json.loads(os.environ.get("REHEARSAL_RUN_ENV", "{}"))
    argv = [os.environ["REHEARSAL_PYTHON"], "-m", "supervisor", *rest[image_at + 1 :]]
    return subprocess.call(argv, env={**kept, **extra, **environ})


def _variables(rest: Sequence[str]) -> tuple[dict[str, str], int]:
    """What `-e` hands in, and where the image's name stands."""
    environ: dict[str, str] = {}
    at = 0
    while rest[at].startswith("-"):
        option = rest[at]
        if option == "--rm":
            at += 1
            continue
        if option == "-e":
            name, equals, value = rest[at + 1].partition("=")
            if equals or name in os.environ:
                environ[name] = value if equals else os.environ[name]
        elif option != "--network":
            raise SystemExit(f"docker run {option} is not rehearsed")
        at += 2
    return environ, at


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
