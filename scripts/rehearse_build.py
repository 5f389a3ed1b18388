"""Rehearses .gitea/workflows/build.yml step by step on this machine, with a real PostgreSQL.

usage: python -m scripts.rehearse_build [--engine podman|checkout] [--fault NAME] [--base-image IMAGE]

The `run:` steps run as they are written. `docker` and `curl` are stand-ins: with `podman` the image is built and run
for real; with `checkout` each `docker run` runs the supervisor of a copy of this working tree. Nothing leaves the
machine: a push is written into a folder. Exit 0 when the gate did what it should: without a fault everything passes and
is pushed, with one it stops before the push.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

import anyio

from scripts.rehearse_workflow import Step, read_job, run_job
from supervisor.dev.postgres import PostgresCluster

PROJECT: Final = Path(__file__).parents[1]
WORKFLOW: Final = Path(".gitea/workflows/build.yml")
JOB: Final = "image"
PUSH: Final = "Push"
IMAGE: Final = "git.example.com/owner/deployment"
COMMIT: Final = "0123456789abcdef0123456789abcdef01234567"
WEBHOOK: Final = "https://portainer.invalid/api/webhooks/rehearsal"
_CURL: Final = '#!/bin/sh\nprintf "%s\\n" "$*" >> "$REHEARSAL_FOLDER/webhook"\n'


@dataclass(frozen=True, slots=True)
class Fault:
    """A mistake that the gate must stop.

    Attributes:
        step: the step that must find it.
        make: puts it into a checkout.
    """

    step: str
    make: Callable[[Path], None]


def _malformed_snapshot(checkout: Path) -> None:
    snapshot = checkout / "snapshots" / "schema.yaml"
    snapshot.write_text(snapshot.read_text(encoding="utf-8") + "\nfields: [\n", encoding="utf-8")


def _misplaced_sql(checkout: Path) -> None:
    path = checkout / "sql" / "pre-schema" / "900_members.sql"
    path.write_text("ALTER TABLE organization_users ADD COLUMN IF NOT EXISTS note text;\n", encoding="utf-8")


def _drift(checkout: Path) -> None:
    path = checkout / "sql" / "post-schema" / "900_drift.sql"
    path.write_text("ALTER TABLE events ALTER COLUMN notes SET DEFAULT 'none';\n", encoding="utf-8")


def _failing_sql(checkout: Path) -> None:
    path = checkout / "sql" / "pre-schema" / "900_fails.sql"
    path.write_text("SELECT 1 / 0;\n", encoding="utf-8")


FAULTS: Final[dict[str, Fault]] = {
    "malformed-snapshot": Fault("Check the SQL files and the snapshot", _malformed_snapshot),
    "misplaced-sql": Fault("Check the SQL files and the snapshot", _misplaced_sql),
    "failing-sql": Fault("Migrate an empty database", _failing_sql),
    "drift": Fault("Compare the database with the snapshot", _drift),
}


def copy_checkout(folder: Path) -> Path:
    """A copy of the working tree as a commit would have it, ignored files left out."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=PROJECT,
        capture_output=True,
        check=True,
    )
    checkout = folder / "checkout"
    for name in filter(None, listed.stdout.decode().split("\0")):
        source = PROJECT / name
        if source.is_file():
            target = checkout / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)
    return checkout


def write_stand_ins(folder: Path, others: Mapping[str, str]) -> Path:
    """A folder with `docker`, `curl` and other scripts, to be the first of PATH."""
    programs = folder / "programs"
    programs.mkdir()
    docker = f'#!/bin/sh\nexec "{sys.executable}" "{Path(__file__).with_name("rehearse_docker.py")}" "$@"\n'
    for name, text in {"docker": docker, "curl": _CURL, **others}.items():
        path = programs / name
        path.write_text(text, encoding="utf-8")
        path.chmod(path.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
    return programs


def rehearse(
    folder: Path,
    checkout: Path,
    database: Mapping[str, str],
    environ: Mapping[str, str],
    tell: Callable[[Step], None] = lambda _step: None,
    *,
    programs: Mapping[str, str] = MappingProxyType({}),
) -> list[Step]:
    """Run the job of the workflow in a checkout.

    Args:
        folder: where the stand-ins keep their records: `calls`, `webhook`, and what was pushed.
        checkout: the working directory of the steps.
        database: the `DB_*` variables of the database that stands in for the service.
        environ: further variables for the stand-ins, such as `REHEARSAL_ENGINE`.
        tell: is told each step.
        programs: further stand-ins, scripts by the name of the program.
    """
    facts = {
        "GITHUB_EVENT_NAME": "push",
        "GITHUB_REF": "refs/heads/main",
        "GITHUB_REF_NAME": "main",
        "GITHUB_REPOSITORY": "Owner/Deployment",
        "GITHUB_SERVER_URL": "https://git.example.com",
        "GITHUB_SHA": COMMIT,
        "GITHUB_ACTOR": "somebody",
    }
    contexts = {
        "github": {name.removeprefix("GITHUB_").lower(): value for name, value in facts.items()} | {"token": "a-token"},
        "vars": {},
        "secrets": {"PORTAINER_WEBHOOK": WEBHOOK},
    }
    stand_ins = write_stand_ins(folder, programs)
    path = os.pathsep.join([str(stand_ins), str(Path(sys.executable).parent), os.environ["PATH"]])
    runner = {name: value for name, value in os.environ.items() if not name.startswith(("DB_", "SUPERVISOR_"))}
    return run_job(
        read_job(checkout / WORKFLOW, JOB),
        checkout,
        {**runner, **facts, "PATH": path, "REHEARSAL_FOLDER": str(folder), **environ},
        contexts,
        overrides=database,
        tell=tell,
    )


def verdict(steps: list[Step], fault: Fault | None) -> str | None:
    """What the gate did wrong; None when it did as it should. Pure."""
    outcomes = {step.name: step.outcome for step in steps}
    failed = [step.name for step in steps if step.outcome == "failure"]
    if fault is None:
        if failed:
            return f"{failed[0]!r} failed"
        return None if outcomes[PUSH] == "success" else "nothing was pushed"
    if failed != [fault.step]:
        return f"{fault.step!r} was to fail, but {failed or 'nothing'} did"
    return None if outcomes[PUSH] == "skipped" else "it was pushed"


def _tell(step: Step) -> None:
    print(f"{step.outcome:<8}  {step.name}")
    if step.outcome == "failure":
        for line in step.output.splitlines():
            print(f"          | {line}")


def _checkout_environ(folder: Path) -> dict[str, str]:
    """What the supervisor of a checkout needs where the image has it built in."""
    from supervisor.dev.directus import DIRECTUS_VERSION, ensure_directus  # noqa: PLC0415 - for this engine alone
    from supervisor.dev.node import find_node  # noqa: PLC0415
    from supervisor.dev.progress import PlainProgress  # noqa: PLC0415

    async def install() -> Path:
        return await ensure_directus(DIRECTUS_VERSION, PlainProgress())

    settings = {
        "DB_CLIENT": "pg",
        "SUPERVISOR_DIRECTUS_DIR": str(anyio.run(install)),
        "SUPERVISOR_NODE": str(find_node().node),
        "SUPERVISOR_OPTIONAL_EXTENSIONS": "timescaledb",
        "TEMP_PATH": str(folder / "temp"),
        "EXTENSIONS_PATH": str(folder / "extensions"),
        "STORAGE_LOCAL_ROOT": str(folder / "uploads"),
    }
    return {
        "REHEARSAL_ENGINE": "checkout",
        "REHEARSAL_RUN_ENV": json.dumps(settings),
        "REHEARSAL_PYTHON": sys.executable,
    }


def _podman_environ(folder: Path, base_image: str | None) -> dict[str, str]:
    """Podman with the storage, the base and the way to the registries that the tests of the image have."""
    from tests.image.podman import LIMITS, Podman  # noqa: PLC0415 - for this engine alone
    from tests.image.registries import build_secrets  # noqa: PLC0415
    from tests.image.stand_in import ensure_stand_in  # noqa: PLC0415

    podman = Podman()
    base = base_image or ensure_stand_in(podman)
    (folder / "pushed").mkdir()
    given = {
        "podman": podman.argv(),
        # The Docker format is the one that has a HEALTHCHECK.
        "build": [
            "--format=docker",
            "--network=host",
            *LIMITS,
            *build_secrets(folder),
            f"--build-arg=BASE_IMAGE={base}",
        ],
        # The server that stands in for the service has no TimescaleDB.
        "run": [*LIMITS, "--env=SUPERVISOR_OPTIONAL_EXTENSIONS=timescaledb"],
    }
    return {"REHEARSAL_ENGINE": "podman", "REHEARSAL_PODMAN": json.dumps(given)}


def _forget_image(environ: Mapping[str, str]) -> None:
    """Take the names away; the layers stay for the next build."""
    podman: list[str] = json.loads(environ["REHEARSAL_PODMAN"])["podman"]
    for tag in (COMMIT, "main"):
        # With one name alone, podman takes all names of the image away.
        name = f"{IMAGE}:{tag}"
        subprocess.run([*podman, "untag", name, name], stderr=subprocess.DEVNULL, check=False)


async def _start(cluster: PostgresCluster) -> Mapping[str, str]:
    await cluster.start()
    await cluster.create_database("directus")
    return cluster.directus_env("directus")


def main() -> int:
    """Rehearse once."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", choices=("podman", "checkout"), default="podman")
    parser.add_argument("--fault", choices=FAULTS, help="a mistake to put in; default: none")
    parser.add_argument("--base-image", metavar="IMAGE", help="build on this, pulled, in place of the stand-in")
    options = parser.parse_args()
    fault = FAULTS[options.fault] if options.fault else None
    with tempfile.TemporaryDirectory(prefix="rehearsal-") as temporary:
        folder = Path(temporary)
        checkout = copy_checkout(folder)
        if fault is not None:
            fault.make(checkout)
        if options.engine == "podman":
            environ = _podman_environ(folder, options.base_image)
        else:
            environ = _checkout_environ(folder)
        cluster = PostgresCluster(durable=False)
        try:
            database = anyio.run(_start, cluster)
            steps = rehearse(folder, checkout, database, environ, _tell)
        finally:
            anyio.run(cluster.remove)
            if options.engine == "podman":
                _forget_image(environ)
        wrong = verdict(steps, fault)
        for pushed in sorted((folder / "pushed").glob("*")):
            size_mb = sum(file.stat().st_size for file in pushed.iterdir()) / 1e6
            print(f"pushed    {pushed.name}, {size_mb:.0f} MB")
    print(f"the gate failed: {wrong}" if wrong else "the gate did as it should")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
