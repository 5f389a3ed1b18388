"""The fields of log lines: the type or unit and the meaning of each, the same wherever it is used.

Where OpenTelemetry's semantic conventions have a name for the same thing, it is here, so that a collector can map it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Field:
    """One field.

    Attributes:
        kind: its type in JSON, or its unit.
        meaning: what it says.
        otel: its name in OpenTelemetry's semantic conventions; empty where they have none.
    """

    kind: str
    meaning: str
    otel: str = ""


# On every line; the last two where there is one.
COMMON: Final[dict[str, Field]] = {
    "timestamp": Field("RFC 3339", "When, in UTC, to the millisecond.", "Timestamp"),
    "level": Field("text", "debug, info, warning, error or critical.", "SeverityText"),
    "event": Field("text", "The name of the event.", "event.name"),
    "component": Field("text", "Who speaks.", "otel.scope.name"),
    "boot_id": Field("text", "Of this life of the supervisor.", "service.instance.id"),
    "seq": Field("number", "Counts the lines of this life, from 1, without gaps in what is written."),
    "pid": Field("number", "Of the process concerned; of the supervisor where it is about none other.", "process.pid"),
    "phase": Field("text", "The phase of the boot that runs."),
    "process": Field("text", "What the log calls the process.", "service.name"),
}

FIELDS: Final[dict[str, Field]] = {
    "action": Field("text", "What follows, or was asked for."),
    "address": Field("text", "Where it answers.", "url.full"),
    "after_s": Field("seconds", "From its start until it was ready."),
    "attempt": Field("number", "Tries so far, this one included."),
    "attributes": Field("object", "Of a span."),
    "backends": Field("list of numbers", "Pids of sessions in Postgres."),
    "backup": Field("text", "The folder of the copy; null: none was made.", "file.path"),
    "before": Field("text", "The state that was left."),
    "blockers": Field("text", "Who is in the way, and with what."),
    "cause": Field("text", "What went wrong, in the words of whoever met it."),
    "changed": Field("list of text", "What is changed; in an incident, since the last good boot."),
    "code": Field("text", "The failure in the catalogue and in the runbook.", "error.type"),
    "collections": Field("list of text", "Names of collections."),
    "command": Field("list of text", "Program and arguments.", "process.command_args"),
    "compressed_bytes": Field("bytes", "On disk."),
    "created": Field("list of text", "What is created."),
    "data": Field("object", "What a structured line of a process said besides level and message, under its own names."),
    "database": Field("text", "User, host, port and name of the database.", "db.namespace"),
    "delay_s": Field("seconds", "Until the next try."),
    "deleted": Field("list of text", "What is deleted."),
    "digest": Field("text", "Of the plan; it approves exactly that plan."),
    "drain_s": Field("seconds", "How long it serves on."),
    "duration_s": Field("seconds", "What it took."),
    "exception": Field("text", "Traceback of a bug.", "exception.stacktrace"),
    "exit_code": Field("number", "Status of a process that ended.", "process.exit.code"),
    "exit_status": Field("number", "Status of the process that ended.", "process.exit.code"),
    "expected": Field("boolean", "Whether it was asked to end, or is to end by itself."),
    "extension": Field("text", "Of Postgres."),
    "failed": Field("number", "How many times in a row."),
    "file": Field("text", "A SQL file, by its folder and name.", "file.path"),
    "files": Field("list of text", "SQL files."),
    "holder": Field("text", "The session that holds the lock."),
    "how": Field("text", "By what it was known."),
    "index": Field("text", "Name of an index."),
    "items": Field("list of text", "What was copied: tables, and columns as table.column."),
    "last_good_boot": Field("RFC 3339", "When the latest boot that went well was; null: none is known."),
    "last_lines": Field("list of text", "What the process wrote at its end."),
    "latest": Field("text", "The latest release that was applied to the database."),
    "left_out": Field("number", "Lines like it that were not written since the one before."),
    "limit": Field("number", "At most so many."),
    "line": Field("number", "Of the file.", "code.line.number"),
    "lines": Field("number", "How many lines."),
    "logger": Field("text", "Of the library."),
    "losses": Field("list of text", "What would be lost, or is."),
    "memory_mb": Field("megabytes", "Resident memory of the supervisor.", "process.memory.usage"),
    "message": Field("text", "A sentence; of a line of a process, what it wrote.", "Body"),
    "mode": Field("text", "What a change of the schema may do."),
    "next_delay_s": Field("seconds", "Until the next try."),
    "node": Field("text", "Path of Node.js.", "process.executable.path"),
    "objects": Field("list of text", "Names of collections, fields and relations."),
    "oom": Field("boolean", "Whether the kernel killed it for want of memory."),
    "outcome": Field("text", "changed, unchanged or skipped."),
    "parent_span_id": Field("text", "The span that a span is within; null: none."),
    "partial": Field("boolean", "The line goes on in the next one, or its writer died before its end."),
    "path": Field("text", "Of a file or folder.", "file.path"),
    "phase": Field("text", "The phase of the boot that runs; null when none does."),
    "phases": Field("list of text", "In their order."),
    "pids": Field("list of numbers", "Of several processes."),
    "port": Field("number", "Of TCP.", "server.port"),
    "postgres": Field("object", "The state of Postgres when it was asked."),
    "processes": Field("list of objects", "What is kept running, each with its state."),
    "python": Field("text", "Version of Python.", "process.runtime.version"),
    "reason": Field("text", "Why."),
    "release": Field("text", "The release of the deployment that runs.", "deployment.id"),
    "remedy": Field("text", "What to do."),
    "restart": Field("number", "The how manieth in the window."),
    "restarts": Field("number", "Restarts so far."),
    "rows": Field("number", "How many rows."),
    "runbook": Field("text", "The section of the runbook."),
    "run": Field("text", "What it is to run: `run` or `migrate`."),
    "server_version": Field("text", "Of Postgres.", "db.system.version"),
    "severity": Field("text", "As the server says it."),
    "signal": Field("text", "Name of the signal.", "process.exit.signal"),
    "since": Field("text", "When that was applied, and by whom."),
    "since_s": Field("seconds", "In this state so far."),
    "span": Field("text", "Name of a span."),
    "span_events": Field("list of text", "Names of the events of a span."),
    "span_id": Field("text", "Of a span.", "SpanId"),
    "state": Field("text", "Of the lifecycle."),
    "status": Field("text", "UNSET, OK or ERROR."),
    "step": Field("text", "Name of a step."),
    "stream": Field("text", "stdout or stderr.", "log.iostream"),
    "summary": Field("text", "What was done, in a few words."),
    "tables": Field("list of text", "Names of tables."),
    "tasks": Field("list", "What the event loop has under way."),
    "through": Field("text", "The control socket, or the address that asked.", "client.address"),
    "timeout_s": Field("seconds", "The limit."),
    "trace_id": Field("text", "Of a trace.", "TraceId"),
    "uptime_s": Field("seconds", "From its start to its end."),
    "version": Field("text", "Its version.", "service.version"),
    "waited_s": Field("seconds", "Waited so far."),
    "watch_s": Field("seconds", "How long it is watched."),
}
