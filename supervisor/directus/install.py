"""Finding the Directus installation and the real Node.js binary."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from supervisor import errors
from supervisor.errors import SupervisorError

IMAGE_DIR: Final = Path("/directus")
_NODE_ANSWER_S: Final = 20.0


@dataclass(frozen=True, slots=True)
class Installation:
    """A Directus that can be run.

    Attributes:
        directory: the working directory of Directus; its relative paths start here.
        cli: ``cli.js``.
        api: folder of the package ``@directus/api`` that this ``cli.js`` loads.
        version: version of Directus.
        node: the real Node.js binary.
    """

    directory: Path
    cli: Path
    api: Path
    version: str
    node: Path

    def command(self, *arguments: str) -> tuple[str, ...]:
        """The command line of one of Directus' commands.

        ``@directus/api/cli/run.js`` is what ``cli.js`` loads after it has asked the npm registry for a newer
        version, which in a closed network takes up to 8 s at each start; so it is run directly where it is.
        """
        direct = self.api / "dist" / "cli" / "run.js"
        return (str(self.node), str(direct if direct.is_file() else self.cli), *arguments)

    @property
    def migrations(self) -> Path:
        """Folder of Directus' own migrations."""
        return self.api / "dist" / "database" / "migrations"


def find_directus(configured: Path | None, cwd: Path) -> tuple[Path, Path]:
    """Find Directus' folder and its ``cli.js``.

    Args:
        configured: ``SUPERVISOR_DIRECTUS_DIR``, if set.
        cwd: the working directory.

    Raises:
        SupervisorError: ``directus.not_found``, naming each place that was looked at.
    """
    looked_at = []
    for directory in [cwd / configured] if configured else [IMAGE_DIR, cwd]:
        for cli in (directory / "cli.js", directory / "node_modules" / "directus" / "cli.js"):
            if cli.is_file():
                return directory, cli
            looked_at.append(str(cli))
    raise SupervisorError(
        errors.DIRECTUS_NOT_FOUND, "There is no Directus at " + " or ".join(looked_at), looked_at=looked_at
    )


def find_node(configured: Path | None, environ: Mapping[str, str]) -> Path:
    """Find the real Node.js binary; a script that stands in for it is asked for the binary that it starts.

    A wrapper would get the signals that are meant for Node, and its pid would not be Node's.

    Raises:
        SupervisorError: ``directus.node_not_found``.
    """
    name = str(configured) if configured else "node"
    found = shutil.which(name, path=environ.get("PATH", os.defpath))
    if found is None:
        where = f"SUPERVISOR_NODE is {name}, which is not an executable file" if configured else "no node on PATH"
        raise SupervisorError(errors.NODE_NOT_FOUND, f"Node.js was not found: {where}")
    path = Path(found).resolve()
    try:
        with path.open("rb") as file:
            is_binary = file.read(4) == b"\x7fELF"
    except OSError as error:
        raise SupervisorError(errors.NODE_NOT_FOUND, f"{path} cannot be read: {error.strerror}") from None
    return path if is_binary else _behind_wrapper(Path(found), environ)


def _behind_wrapper(wrapper: Path, environ: Mapping[str, str]) -> Path:
    try:
        answer = subprocess.run(  # noqa: S603 - the operator's own node
            [wrapper, "-p", "process.execPath"],
            env=dict(environ),
            capture_output=True,
            text=True,
            timeout=_NODE_ANSWER_S,
            check=True,
        )
    except (OSError, UnicodeDecodeError, subprocess.SubprocessError) as error:
        raise SupervisorError(errors.NODE_NOT_FOUND, f"{wrapper} does not run as Node.js: {error}") from None
    binary = Path(answer.stdout.strip())
    if not binary.is_file():
        raise SupervisorError(errors.NODE_NOT_FOUND, f"{wrapper} names {binary} as its binary, which does not exist")
    return binary


def find_installation(
    configured_dir: Path | None, configured_node: Path | None, environ: Mapping[str, str], cwd: Path
) -> Installation:
    """Find everything that is needed to run Directus.

    Raises:
        SupervisorError: ``directus.not_found`` or ``directus.node_not_found``.
    """
    directory, cli = find_directus(configured_dir, cwd)
    api = _api_folder(cli)
    return Installation(directory, cli, api, _version(cli, api), find_node(configured_node, environ))


def _api_folder(cli: Path) -> Path:
    """Where Node resolves ``@directus/api`` from ``cli.js``: the nearest ``node_modules`` above its real path."""
    for parent in cli.resolve().parents:
        candidate = parent / "node_modules" / "@directus" / "api"
        if (candidate / "package.json").is_file():
            return candidate.resolve()
    raise SupervisorError(
        errors.DIRECTUS_NOT_FOUND,
        f"{cli} is there, but the package @directus/api is not in any node_modules above it",
        remedy="Install Directus' dependencies again; the installation is incomplete.",
    )


def _version(cli: Path, api: Path) -> str:
    beside_api = api.parent.parent / "directus" / "package.json"
    for manifest in (cli.resolve().parent / "package.json", beside_api):
        try:
            document = json.loads(manifest.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(document, dict) and document.get("name") == "directus" and "version" in document:
            return str(document["version"])
    return "unknown"
