"""Logs as a supervisor writes them, and in the frames that others put around them."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from supervisor.explain.account import Account
from supervisor.explain.command import explain

BEGAN = datetime(2026, 1, 31, 3, 0, tzinfo=UTC)
PHASES = ["wait_for_postgres", "pre_schema", "bootstrap", "schema_apply", "post_schema"]


class Log:
    """Writes the lines of one boot.

    Args:
        boot_id: of the boot.
        numbered: whether its lines have numbers.
        began_s: when it begins, seconds after the beginning of all.
    """

    def __init__(self, boot_id: str = "0123456789ab", *, numbered: bool = True, began_s: float = 0.0) -> None:
        self.lines: list[str] = []
        self._boot_id = boot_id
        self._numbered = numbered
        self._at = BEGAN + timedelta(seconds=began_s)
        self._seq = 0

    def say(self, event: str, level: str = "info", after_s: float = 0.1, **fields: Any) -> Log:  # noqa: ANN401
        self._at += timedelta(seconds=after_s)
        self._seq += 1
        record = {
            "timestamp": self._at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": level,
            "event": event,
            "component": "supervisor",
            "boot_id": self._boot_id,
            **({"seq": self._seq} if self._numbered else {}),
            **fields,
        }
        self.lines.append(json.dumps(record, ensure_ascii=False, separators=(",", ":")))
        return self

    def begins(self) -> Log:
        self.say("supervisor.started", version="1.0.0", pid=1, python="3.11.7", run="run")
        self.say("directus.found", version="11.17.4", path="/directus", node="/usr/bin/node")
        self.say("state.changed", before="starting", state="migrating", reason="the phases run")
        return self.say("boot.started", database="directus@db:5432/directus", phases=PHASES)

    def phase(self, name: str, outcome: str = "unchanged", summary: str = "as it was", took_s: float = 0.5) -> Log:
        return self.say(
            "phase.finished", after_s=took_s, phase=name, outcome=outcome, summary=summary, duration_s=took_s
        )

    def becomes_ready(self) -> Log:
        self.begins()
        for name in PHASES:
            self.phase(name)
        self.say("boot.finished", duration_s=2.5)
        self.say("state.changed", before="migrating", state="launching", reason="directus is starting")
        self.say("process.started", process="directus", pid=17, command=["node", "run.js", "start"])
        self.output("Server started at http://0.0.0.0:8055")
        self.say("process.ready", after_s=2.0, process="directus", pid=17, after=2.0, how="message")
        return self.say("state.changed", before="launching", state="ready", reason="directus is ready")

    def output(self, message: str, level: str = "info", process: str = "directus") -> Log:
        return self.say("process.output", level, 0.01, process=process, stream="stdout", message=message)

    def crashes(self, last_words: str = "out of luck") -> Log:
        self.output(last_words, "error")
        self.say("process.exited", process="directus", pid=17, exit_code=1, uptime_s=60.0, expected=False)
        self.say(
            "process.restarting",
            "warning",
            process="directus",
            reason="ended with status 1",
            oom=False,
            delay_s=0.5,
            restart=1,
            limit=5,
        )
        self.say("process.started", process="directus", pid=18, command=["node", "run.js", "start"])
        return self.say("process.ready", process="directus", pid=18, after_s_=2.0, how="message")

    def fails(self, **fields: Any) -> Log:  # noqa: ANN401 - further fields of the failure
        self.begins().phase("wait_for_postgres")
        self.say("phase.failed", "error", phase="pre_schema", duration_s=0.03)
        self.say("state.changed", before="migrating", state="failed", reason="a failure ended the run")
        failure = {
            "code": "sql.failed",
            "message": 'pre-schema/002_a.sql:3: relation "vehicles" does not exist (SQLSTATE 42P01)',
            "remedy": "Move the file to post-schema/.",
            "exit_code": 3,
            "excerpt": "3 | ALTER TABLE vehicles\n  |             ^",
        }
        return self.say("supervisor.failed", "error", **{**failure, **fields})

    def stops(self) -> Log:
        self.say("signal.received", signal="SIGTERM", action="stop")
        self.say("state.changed", before="ready", state="stopping", reason="SIGTERM")
        return self.say("supervisor.stopped", exit_code=0, uptime_s=12.0)

    @property
    def text(self) -> str:
        return "".join(f"{line}\n" for line in self.lines)


def json_file(line: str) -> str:
    return json.dumps({"log": line + "\n", "stream": "stdout", "time": "2026-01-31T03:00:00.123456789Z"})


def containerd(line: str) -> str:
    """Cut into parts, as containerd does with what is longer than its buffer."""
    stamp = "2026-01-31T03:00:00.123456789Z stdout"
    parts = [line[at : at + 300] for at in range(0, len(line), 300)]
    return "\n".join([*(f"{stamp} P {part}" for part in parts[:-1]), f"{stamp} F {parts[-1]}"])


def json_file_in_parts(line: str) -> str:
    """Cut into parts, as Docker does with what is longer than 16 KiB."""
    parts = [line[at : at + 300] for at in range(0, len(line), 300)]
    ends = [""] * (len(parts) - 1) + ["\n"]
    return "\n".join(
        json.dumps({"log": part + end, "stream": "stdout", "time": "2026-01-31T03:00:00.1Z"})
        for part, end in zip(parts, ends, strict=True)
    )


FRAMES: dict[str, Callable[[str], str]] = {
    "docker logs": lambda line: line,
    "a terminal's line ends": lambda line: f"{line}\r",
    "docker logs -t": lambda line: f"2026-01-31T03:00:00.123456789Z {line}",
    "docker compose logs": lambda line: f"directus-1  | {line}",
    "docker compose logs in colour": lambda line: f"\x1b[36mdirectus-1  | \x1b[0m{line}",
    "docker compose logs -t": lambda line: f"directus-1  | 2026-01-31T03:00:00.123456789Z {line}",
    "json-file": json_file,
    "json-file in parts": json_file_in_parts,
    "kubectl logs --prefix": lambda line: f"[pod/directus-0/directus] {line}",
    "kubectl logs --prefix --timestamps": lambda line: f"[pod/directus-0/directus] 2026-01-31T03:00:00.1Z {line}",
    "containerd": lambda line: f"2026-01-31T03:00:00.123456789+01:00 stdout F {line}",
    "containerd in parts": containerd,
    "journald": lambda line: f"Jan 31 03:00:00 host-1 directus[917]: {line}",
    "journald iso": lambda line: f"2026-01-31T03:00:00+0000 host-1 directus[917]: {line}",
    "journald json": lambda line: json.dumps({"MESSAGE": line, "_HOSTNAME": "host-1", "PRIORITY": "6"}),
    "journald precise": lambda line: f"Jan 31 03:00:00.123456 host-1 directus[917]: {line}",
    "journald full": lambda line: f"Sat 2026-01-31 03:00:00 UTC host-1 directus[917]: {line}",
    "docker service logs": lambda line: f"directus.1.k3j2h1xyz@node-1    | {line}",
    "syslog": lambda line: f"<30>1 2026-01-31T03:00:00.123Z host-1 directus 917 directus - {line}",
    "Loki": lambda line: f'2026-01-31T03:00:00Z {{app="directus"}} {line}',
    "Fluent Bit": lambda line: json.dumps({"date": 1.5, "log": line, "kubernetes": {"pod_name": "directus-0"}}),
    "Vector": lambda line: json.dumps({"timestamp": "2026-01-31T03:00:00Z", "message": line, "host": "host-1"}),
    "something else": lambda line: f"pod-7 2026/01/31 stdout: {line}",
}


def framed(text: str, frame: str) -> str:
    return "".join(f"{FRAMES[frame](line)}\n" for line in text.splitlines())


def account_of(folder: Path, text: str | bytes, **options: Any) -> Account:  # noqa: ANN401 - as `explain` takes them
    path = folder / "container.log"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    account, unread = explain([str(path)], **options)
    assert not unread
    return account
