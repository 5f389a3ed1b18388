"""What an incident adds to its cause, in words for a person. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from supervisor.explain.account import TroubleAccount
from supervisor.explain.spans import span

_WHAT: Final = {
    "supervisor": "supervisor",
    "directus": "Directus",
    "snapshot": "the snapshot",
    "node": "Node.js",
    "sql_files": "SQL files",
    "settings": "the setting",
}
_NAMED: Final = 4


def facts_of(trouble: TroubleAccount) -> list[str]:
    """How the process ended, how long it had lived, and how Postgres was: half a sentence each."""
    details = trouble.details
    facts: list[str] = []
    if "exit_status" in details:
        facts.append(f"exit status {details['exit_status']}")
    if "signal" in details:
        facts.append(f"ended by {details['signal']}")
    if details.get("oom") is True:
        facts.append("killed by the kernel for want of memory")
    if facts or trouble.code.startswith("process."):
        if isinstance(uptime_s := details.get("uptime_s"), int | float):
            facts.append(f"it lived {span(uptime_s)}")
        if restarts := details.get("restarts"):
            facts.append(f"restarts before: {restarts}")
    if isinstance(postgres := details.get("postgres"), Mapping):
        facts.append(_postgres(postgres))
    return facts


def _postgres(state: Mapping[str, Any]) -> str:
    full = "; its disk is full" if state.get("disk_full") is True else ""
    if not state.get("reachable"):
        return f"Postgres, asked afterwards, could not be used: {state.get('reason') or 'it did not answer'}{full}"
    sentence = f"Postgres {state.get('version', '')}".rstrip() + " answered afterwards"
    if state.get("max_connections"):
        sentence += f", {state.get('connections', '?')} of {state['max_connections']} connections in use"
    recovery = ", in recovery" if state.get("in_recovery") is True else ""
    return f"{sentence}{recovery}{full}"


def changes_of(details: Mapping[str, Any]) -> str | None:
    """What was different from the last good boot, as a list of few words; empty: nothing, None: not known."""
    changed = details.get("changed")
    if not isinstance(changed, list):
        return None
    return ", ".join(_change(change) for change in changed if isinstance(change, Mapping))


def _change(change: Mapping[str, Any]) -> str:
    what = str(change.get("what", "something"))
    name = f" {change['name']}" if change.get("name") else ""
    files = "; ".join(_files(change))
    moved = f"{_value(change.get('before'))} → {_value(change.get('after'))}"
    return f"{_WHAT.get(what, what)}{name} {f'({files})' if files else moved}"


def _files(change: Mapping[str, Any]) -> Iterator[str]:
    for kind in ("added", "edited", "removed"):
        names = change.get(kind)
        if isinstance(names, list) and names:
            more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
            yield f"{kind} {', '.join(map(str, names[:_NAMED]))}{more}"


def _value(value: object) -> str:
    return "unset" if value is None else str(value)
