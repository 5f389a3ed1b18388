"""One event as a sentence for a person. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from supervisor.logs import events

Fields = Mapping[str, Any]
_LONGEST: Final = 600
_NAMED: Final = 8
# Told elsewhere in the account, or of no use after the fact.
_ELSEWHERE: Final = frozenset(
    event.name
    for event in (
        events.SUPERVISOR_STARTED,
        events.SUPERVISOR_STOPPED,
        events.SUPERVISOR_FAILED,
        events.STATE_CHANGED,
        events.BOOT_STARTED,
        events.BOOT_FINISHED,
        events.PHASE_STARTED,
        events.PHASE_FINISHED,
        events.PHASE_FAILED,
        events.PROCESS_STARTED,
        events.PROCESS_READY,
        events.PROCESS_EXITED,
        events.PROCESS_RESTARTING,
        events.PROCESS_GIVEN_UP,
        events.INCIDENT,
    )
)
# Of interest although their level is low.
_TOLD: Final = frozenset(
    event.name
    for event in (
        events.SIGNAL_RECEIVED,
        events.DRAINING,
        events.LOCK_WAITING,
        events.SQL_ORPHAN_ROWS,
        events.BACKUP_WRITTEN,
        events.CONTROL_USED,
        events.DIRECTUS_UNFINISHED,
    )
)
_GRAVE: Final = frozenset({"warning", "error", "critical"})


def is_told(event: str, level: str) -> bool:
    """Whether an event belongs to the story of a boot."""
    return event not in _ELSEWHERE and (event in _TOLD or level in _GRAVE)


def sentence(event: str, fields: Fields) -> str:
    """What an event says."""
    tell = _SENTENCES.get(event)
    text = tell(fields) if tell is not None else ""
    return (text or _plain(event, fields))[:_LONGEST]


def _plain(event: str, fields: Fields) -> str:
    if message := fields.get("message"):
        return str(message)
    hidden = {"timestamp", "level", "event", "component", "boot_id", "seq", "pid", "phase", "remedy"}
    said = ", ".join(f"{name} {_listed(value)}" for name, value in fields.items() if name not in hidden)
    return f"{event}: {said}" if said else event


def _listed(value: Any) -> str:  # noqa: ANN401 - whatever a field holds
    if not isinstance(value, list):
        return str(value)
    shown = ", ".join(map(str, value[:_NAMED]))
    return f"{shown} and {len(value) - _NAMED} more" if len(value) > _NAMED else shown


def _template(text: str) -> Callable[[Fields], str]:
    def tell(fields: Fields) -> str:
        try:
            return text.format_map({name: _listed(value) for name, value in fields.items()})
        except KeyError:
            # A line that was cut short: what is left of it is told as it is.
            return ""

    return tell


_SENTENCES: Final[dict[str, Callable[[Fields], str]]] = {
    events.SIGNAL_RECEIVED.name: _template("{signal} came: {action}"),
    events.DRAINING.name: _template("not ready any more; Directus serves on for {drain_s} s before it is stopped"),
    events.LINES_DROPPED.name: _template(
        "{lines} lines of the log were not written, as nobody read the standard output; what they told is lost"
    ),
    events.RELEASE_SUPERSEDED.name: _template(
        "release {release} is older than {latest}, which this database has ({reason}): SQL files and schema were left "
        "as they are"
    ),
    events.RELEASE_DIVERGED.name: _template(
        "release {release} and {latest}, which this database has, have parted ({reason}); this one was applied"
    ),
    events.RELEASE_DOWNGRADED.name: _template(
        "release {release} was applied although {latest}, which this database has, is newer ({reason})"
    ),
    events.STOP_OUTRAN_FAILURE.name: _template("a failure came when a stop was asked for already: {message}"),
    events.POSTGRES_WAITING.name: _template("Postgres cannot be used yet: {cause}"),
    events.LOCK_WAITING.name: _template("waited for the migration lock, held by {holder}"),
    events.SQL_RETRYING.name: _template(
        "{file} is tried again, {cause} at line {line}; in the way: {blockers} (try {attempt} of {limit})"
    ),
    events.SQL_WAITING.name: _template("{file} waits at line {line} for what {blockers} hold"),
    events.SQL_INVALID_INDEX.name: _template("the invalid index {index} was dropped; {file} builds it anew"),
    events.SQL_PENDING.name: _template("{file} stays pending: the server does not offer the extension {extension}"),
    events.SQL_ORPHAN_ROWS.name: _template(
        "migrations_applied names files that are not there any more, which is harmless: {files}"
    ),
    events.SQL_NOTICE.name: _template("{file}, line {line}: {message}"),
    events.DIRECTUS_STARTED_OVER.name: _template(
        "a first bootstrap had been interrupted; its empty tables were dropped, and all began anew"
    ),
    events.DIRECTUS_UNFINISHED.name: _template(
        "the bootstrap of Directus is not complete, and other sessions are there: somebody else may be at it"
    ),
    events.DIRECTUS_STRAY_STEP.name: _template(
        "a supervisor that is gone had left a Directus step behind; its sessions were ended"
    ),
    events.DIRECTUS_NO_ADMIN.name: _template("Directus has no user: nobody can log in"),
    events.SCHEMA_LEFT_OUT.name: _template("left out, as data would be lost or rows are in the way: {losses}"),
    events.SCHEMA_LOSS.name: _template("data was given up, as approved or forced: {losses}; its copy: {backup}"),
    events.SCHEMA_GHOSTS.name: _template(
        "the snapshot holds collections whose tables SQL files have made; they were left alone: {collections}"
    ),
    events.SCHEMA_RESIDUE.name: _template("Directus still sees differences after the apply: {objects}"),
    events.BACKUP_WRITTEN.name: _template("{rows} rows were copied out to {path}"),
    events.PROCESS_NOT_READY.name: _template("{process} was not ready within {timeout_s} s and was stopped"),
    events.PROCESS_SILENT.name: _template("{process} did not answer a look at it ({failed} in a row, of {limit})"),
    events.PROCESS_STUCK.name: _template("processes are still there after SIGKILL, and were left behind: {pids}"),
    events.PROCESS_KILLED.name: _template("processes of {process} got SIGKILL ({reason}): {pids}"),
    events.CONTROL_USED.name: _template("{action}, asked for through {through}"),
    events.CONTROL_UNAVAILABLE.name: _template("there is no control socket at {path}: {reason}"),
}
