"""Driving the real command as a process: start it, follow its log, signal it, and see how it ends."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self

from supervisor.logs.events import CATALOGUE

STAND_IN = Path(__file__).parent / "programs" / "stand_in"
LIMIT_S = 60.0

Record = dict[str, Any]


class Supervised:
    """One running `directus-supervisor`, its log read as it comes."""

    _all: ClassVar[list[Supervised]] = []

    def __init__(self, argv: list[str], environ: Mapping[str, str], cwd: Path) -> None:
        self._lines: list[str] = []
        self._records: list[Record] = []
        self._changed = threading.Condition()
        self._closed = False
        self.process = subprocess.Popen(
            argv,
            env=dict(environ),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self._all.append(self)

    def _read(self) -> None:
        assert self.process.stdout is not None
        for raw in self.process.stdout:
            line = raw.decode("utf-8", "replace").rstrip("\n")
            try:
                record = json.loads(line)
            except ValueError:
                record = None
            with self._changed:
                self._lines.append(line)
                if isinstance(record, dict):
                    self._records.append(record)
                self._changed.notify_all()
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def end(self) -> None:
        """End the process and everything in its session, whatever state it is in."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self._reader.join(10)
        if self.process.stdout is not None:
            self.process.stdout.close()
        if self in self._all:
            self._all.remove(self)

    @classmethod
    def end_all(cls) -> None:
        """End whatever is still running."""
        for process in list(cls._all):
            process.end()

    @property
    def records(self) -> list[Record]:
        """Every structured line so far."""
        with self._changed:
            return list(self._records)

    @property
    def text(self) -> str:
        """Everything written so far."""
        with self._changed:
            return "\n".join(self._lines)

    def of(self, event: str, **fields: object) -> list[Record]:
        """The records of one event whose fields are as given."""
        return [record for record in self.records if _matches(record, event, fields)]

    def wait_for(self, event: str, timeout_s: float = LIMIT_S, **fields: object) -> Record:
        """Wait until a record of this event with these fields has come; fails when the process ends before."""
        deadline = time.monotonic() + timeout_s
        with self._changed:
            while True:
                for record in self._records:
                    if _matches(record, event, fields):
                        return record
                left = deadline - time.monotonic()
                if self._closed or left <= 0:
                    why = "the process ended" if self._closed else f"not within {timeout_s:g} s"
                    raise AssertionError(f"no {event} {fields}: {why}\n" + "\n".join(self._lines[-40:]))
                self._changed.wait(min(left, 0.5))

    def expect_exit(self, status: int, timeout_s: float = LIMIT_S) -> None:
        """Wait for the end and compare the status."""
        try:
            got = self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {timeout_s:g} s\n" + self.text[-8000:]) from None
        self._reader.join(10)
        assert got == status, f"ended with {got}, not {status}\n" + self.text[-8000:]
        assert not (undeclared := _undeclared(self.records)), f"fields that the catalogue does not know: {undeclared}"

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the supervisor alone."""
        self.process.send_signal(number)

    @property
    def failure(self) -> Record:
        """The one record of the incident that ended it, to which the last line has nothing to add."""
        (last,) = self.of("supervisor.failed")
        (incident,) = [record for record in self.of("incident") if "exit_code" in record]
        told = ("code", "message", "remedy", "exit_code")
        assert [last[name] for name in told] == [incident[name] for name in told]
        return incident


def _undeclared(records: list[Record]) -> set[tuple[str, str]]:
    known = [(CATALOGUE[record["event"]], record) for record in records if record.get("event") in CATALOGUE]
    return {(event.name, name) for event, record in known for name in event.undeclared(record)}


def _matches(record: Record, event: str, fields: Mapping[str, object]) -> bool:
    return record.get("event") == event and all(record.get(name) == value for name, value in fields.items())


@dataclass
class Deployment:
    """A folder with SQL files and a snapshot, and the environment that points a supervisor at them."""

    folder: Path
    environ: dict[str, str] = field(default_factory=dict)

    @classmethod
    def with_stand_in(cls, folder: Path, database: Mapping[str, str], node: Path) -> Deployment:
        """A deployment whose Directus is a stand-in that installs the least that counts as system tables."""
        directus = folder / "directus"
        shutil.copytree(STAND_IN, directus, dirs_exist_ok=True)
        deployment = cls(folder, _environment(folder, database, directus, node))
        deployment.environ["STAND_IN_PYTHON"] = sys.executable
        return deployment

    @classmethod
    def rally(
        cls, project: Path, folder: Path, database: Mapping[str, str], directus_dir: Path, node: Path
    ) -> Deployment:
        """A copy of the rally deployment with the real Directus."""
        shutil.copytree(project / "sql", folder / "sql")
        shutil.copytree(project / "snapshots", folder / "snapshots")
        deployment = cls(folder, _environment(folder, database, directus_dir, node))
        deployment.environ["SUPERVISOR_OPTIONAL_EXTENSIONS"] = "timescaledb"
        return deployment

    def without_schema(self) -> Self:
        """Leave out the snapshot and the SQL files: only Directus' own tables count."""
        shutil.rmtree(self.folder / "snapshots", ignore_errors=True)
        shutil.rmtree(self.folder / "sql", ignore_errors=True)
        return self

    @property
    def snapshot(self) -> Path:
        """The snapshot file."""
        return self.folder / "snapshots" / "schema.yaml"

    def sql(self, folder: str, name: str, text: str) -> Path:
        """Write one SQL file."""
        path = self.folder / "sql" / folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def start(self, *arguments: str, prefix: tuple[str, ...] = ()) -> Supervised:
        """Start `directus-supervisor` with these arguments."""
        argv = [*prefix, sys.executable, "-m", "supervisor", *arguments]
        return Supervised(argv, self.environ, self.folder)

    def migrate(self, status: int = 0, timeout_s: float = 280) -> Supervised:
        """Run `migrate` to its end and compare the status."""
        with self.start("migrate") as process:
            process.expect_exit(status, timeout_s)
        return process

    @property
    def url(self) -> str:
        """Where Directus listens."""
        return f"http://127.0.0.1:{self.environ['PORT']}"


def _environment(folder: Path, database: Mapping[str, str], directus: Path, node: Path) -> dict[str, str]:
    inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "XDG_CACHE_HOME") if name in os.environ}
    return {
        **inherited,
        **database,
        "PYTHONPATH": str(Path(__file__).parents[1]),
        "SUPERVISOR_DIRECTUS_DIR": str(directus),
        "SUPERVISOR_NODE": str(node),
        "SUPERVISOR_SQL_DIR": str(folder / "sql"),
        "SUPERVISOR_SNAPSHOT": str(folder / "snapshots" / "schema.yaml"),
        "SUPERVISOR_HEALTH_HOST": "127.0.0.1",
        "SUPERVISOR_HEALTH_PORT": "0",
        "SUPERVISOR_SOCKET": str(folder / "control.sock"),
        "SUPERVISOR_LOG_FORMAT": "json",
        "SUPERVISOR_LOG_LEVEL": "debug",
        "SUPERVISOR_STOP_TIMEOUT_S": "5",
        "HOST": "127.0.0.1",
        "PORT": str(free_port()),
        "SECRET": "a-secret-for-tests-of-at-least-32-characters",
        "ADMIN_EMAIL": "admin@example.com",
        "ADMIN_PASSWORD": "a-password-for-tests",
        "TELEMETRY": "false",
        "EXTENSIONS_PATH": str(folder / "extensions"),
        "STORAGE_LOCAL_ROOT": str(folder / "uploads"),
        "TEMP_PATH": str(folder / "temp"),
    }


def free_port() -> int:
    """A port that is free right now, from below those that the kernel hands out by itself (``ip(7)``)."""
    while True:
        port = random.randrange(12_000, 32_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def eventually(condition: Callable[[], bool], timeout_s: float = LIMIT_S) -> None:
    """Wait until a condition of the outside world holds, which nothing announces."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout_s:g} s")
        time.sleep(0.02)


def children(pid: int) -> list[int]:
    """Pids of the children of a process; none when it is gone."""
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def is_gone(pid: int) -> bool:
    """Whether a process has ended; a zombie has."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in {"Z", "X"}
    except OSError:
        return True
