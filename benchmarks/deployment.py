"""The rally deployment of this repository, and the command lines of each side that can run it."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from benchmarks.watched import Command, MeasurementError, Watched
from supervisor.dev.ports import free_port

_HERE: Final = Path(__file__).parent
PROJECT: Final = _HERE.parent
_POLL_S: Final = 0.01
_LIMIT_S: Final = 180.0
_DIRECTIVE: Final = "-- supervisor: requires-extension"


@dataclass(frozen=True, slots=True)
class Tools:
    """What both sides run with.

    Attributes:
        node: the real Node.js binary.
        directus: the folder that holds ``node_modules/directus``.
        pm2_runtime: the script ``pm2-runtime``.
        postgres: the folder that holds ``psql`` and ``pg_isready``.
        supervisor: the command ``directus-supervisor``.
    """

    node: Path
    directus: Path
    pm2_runtime: Path
    postgres: Path
    supervisor: Path

    @property
    def cli(self) -> Path:
        """What ``cli.js`` loads once it has asked the npm registry for a newer version: both sides skip that."""
        return self.directus / "node_modules" / "@directus" / "api" / "dist" / "cli" / "run.js"


@dataclass(frozen=True, slots=True)
class Deployment:
    """A folder with SQL files and a snapshot, and an environment; one per measured side, since each has its port."""

    folder: Path
    tools: Tools
    environ: Mapping[str, str]

    def ours(self, *arguments: str) -> Command:
        """`directus-supervisor` as an image has it: the installed command."""
        return Command((str(self.tools.supervisor), *arguments), self.environ, self.folder)

    def bash_flow(self) -> Command:
        """The flow that it replaces."""
        return Command((str(_HERE / "bash_flow" / "entrypoint.sh"),), self.environ, self.tools.directus)

    def pm2(self, *arguments: str) -> Command:
        """``pm2-runtime`` alone."""
        argv = (str(self.tools.node), str(self.tools.pm2_runtime), *arguments, "start", self.environ["ECOSYSTEM"])
        return Command(argv, self.environ, self.tools.directus)

    def alone(self) -> Command:
        """Directus without anything above it."""
        return Command((str(self.tools.node), str(self.tools.cli), "start"), self.environ, self.tools.directus)

    def as_documented(self) -> Command:
        """The same by ``cli.js``, which asks the npm registry first; a proxy that refuses at once answers for it."""
        environ = {**self.environ, "https_proxy": "http://127.0.0.1:9"}
        cli = self.tools.directus / "node_modules" / "directus" / "cli.js"
        return Command((str(self.tools.node), str(cli), "start"), environ, self.tools.directus)

    def running(self, *program: str, **variables: str) -> Deployment:
        """The same with another program in Directus' place, without SQL and snapshot, and with these variables."""
        nothing = str(self.folder / "nothing")
        return self.with_variables(
            SUPERVISOR_COMMAND=" ".join(program),
            SUPERVISOR_SQL_DIR=nothing,
            SUPERVISOR_SNAPSHOT=nothing,
            SUPERVISOR_READY_TIMEOUT_S="86400",
            BENCHMARK_PROGRAM=json.dumps(program),
            **variables,
        )

    def with_variables(self, **variables: str) -> Deployment:
        """The same with these variables in the environment."""
        return replace(self, environ={**self.environ, **variables})

    def wait_until_ready(self, watched: Watched) -> float:
        """Wait until Directus answers the ping; seconds from the start of the program.

        Raises:
            MeasurementError: when it does not within three minutes.
        """
        while not self._answers():
            if time.monotonic() - watched.started_s > _LIMIT_S:
                raise MeasurementError(f"no answer on port {self.environ['PORT']}:\n{watched.tail()}")
            time.sleep(_POLL_S)
        return time.monotonic() - watched.started_s

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", int(self.environ["PORT"]), timeout=2)
        try:
            connection.request("GET", "/server/ping")
            return connection.getresponse().status == http.HTTPStatus.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()


def make_deployment(folder: Path, tools: Tools, database: Mapping[str, str]) -> Deployment:
    """Copy the rally deployment.

    SQL files that need an extension are left out: the throwaway server has none, and the bash flow cannot leave a file
    pending.

    Args:
        folder: an empty folder.
        tools: what to run with.
        database: the ``DB_*`` variables.
    """
    shutil.copytree(PROJECT / "snapshots", folder / "snapshots")
    shutil.copytree(PROJECT / "sql", folder / "sql")
    for file in folder.glob("sql/*/*.sql"):
        if _DIRECTIVE in file.read_text(encoding="utf-8"):
            file.unlink()
    for name in ("home", "extensions", "uploads", "temporary"):
        (folder / name).mkdir()
    return Deployment(folder, tools, _environment(folder, tools, database))


def _environment(folder: Path, tools: Tools, database: Mapping[str, str]) -> dict[str, str]:
    path = os.pathsep.join([str(tools.node.parent), str(tools.postgres), os.environ.get("PATH", os.defpath)])
    return {
        **database,
        "PATH": path,
        "LANG": "C.UTF-8",
        "HOME": str(folder / "home"),
        # Directus, the same for every side
        "HOST": "127.0.0.1",
        "PORT": str(free_port("127.0.0.1")),
        "SECRET": "a-secret-for-benchmarks-of-at-least-32-characters",
        "ADMIN_EMAIL": "admin@example.com",
        "ADMIN_PASSWORD": "a-password-for-benchmarks",
        "TELEMETRY": "false",
        "LOG_STYLE": "raw",
        "EXTENSIONS_PATH": str(folder / "extensions"),
        "STORAGE_LOCAL_ROOT": str(folder / "uploads"),
        "TEMP_PATH": str(folder / "temporary"),
        # ours
        "SUPERVISOR_DIRECTUS_DIR": str(tools.directus),
        "SUPERVISOR_NODE": str(tools.node),
        "SUPERVISOR_SQL_DIR": str(folder / "sql"),
        "SUPERVISOR_SNAPSHOT": str(folder / "snapshots" / "schema.yaml"),
        "SUPERVISOR_HEALTH_HOST": "127.0.0.1",
        "SUPERVISOR_HEALTH_PORT": "0",
        "SUPERVISOR_LOG_FORMAT": "json",
        # the bash flow and pm2
        "SQL_DIR": str(folder / "sql"),
        "SNAPSHOT": str(folder / "snapshots" / "schema.yaml"),
        "DIRECTUS_CLI": str(tools.cli),
        "PM2_RUNTIME": str(tools.pm2_runtime),
        "ECOSYSTEM": str(_HERE / "bash_flow" / "ecosystem.config.cjs"),
        "PM2_HOME": str(folder / "pm2"),
    }
