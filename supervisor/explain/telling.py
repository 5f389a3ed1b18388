"""Makes the account of the boots that were found. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from supervisor.errors import CATALOGUE, runbook_link
from supervisor.explain.account import (
    BootAccount,
    EpisodeAccount,
    GapAccount,
    Outcome,
    PhaseAccount,
    ProcessAccount,
    RestartAccount,
    TroubleAccount,
)
from supervisor.explain.boot import Boot
from supervisor.explain.numbering import Numbers
from supervisor.explain.trouble import Episode, Restart, Trouble
from supervisor.incidents.causes import CATALOGUE as INCIDENTS
from supervisor.lifecycle import State
from supervisor.logs.timestamp import timestamp_of
from supervisor.status.facts import PhaseFacts

LAUNCH: Final = "launch"
_DAY_S: Final = 86_400.0
# A log starts with line 1, or with line 0 in a log of another version.
_FIRST: Final = 1
# Replicas log beside one another; the boots of one container come one after the other.
_OVERLAP_S: Final = 1.0


def lanes_of(boots: Sequence[Boot]) -> list[list[Boot]]:
    """The boots of each replica, one after the other: those of one source that do not run at the same time."""
    lanes: list[list[Boot]] = []
    for boot in boots:
        for lane in lanes:
            last = lane[-1]
            if last.source == boot.source and boot.first_s >= last.last_s - (0 if boot.began else _OVERLAP_S):
                lane.append(boot)
                break
        else:
            lanes.append([boot])
    return lanes


def outcome_of(boot: Boot, *, followed: bool) -> Outcome:
    """How a boot came out.

    Args:
        boot: the boot.
        followed: whether another boot of the same replica comes after it.
    """
    if boot.failure is not None or boot.failed_phase is not None or boot.reached is State.FAILED:
        return "failed"
    if boot.exit_code is not None or boot.reached is State.STOPPED:
        return "stopped"
    if followed:
        return "vanished"
    return "ready" if boot.reached is State.READY else "unfinished"


def tell(
    boot: Boot, replica: int, *, followed: bool, numbers: Numbers | None, changed: Mapping[str, tuple[str, str]]
) -> BootAccount:
    """The account of one boot.

    Args:
        boot: the boot.
        replica: which one it is of, from 1 on.
        followed: whether another boot of the same replica comes after it.
        numbers: of its lines; None for a log whose lines have none.
        changed: versions that differ from those of the last good boot.
    """
    facts = boot.facts
    failure = boot.failure or boot.failed_phase
    return BootAccount(
        boot_id=boot.boot_id,
        source=boot.source,
        replica=replica,
        outcome=outcome_of(boot, followed=followed),
        state=boot.reached.value,
        reason=boot.state_reason,
        began_at=_stamp(boot.first_s, dated=boot.dated),
        last_line_at=_stamp(boot.last_s, dated=boot.dated),
        duration_s=round(boot.last_s - boot.first_s, 3),
        command=boot.command,
        versions=dict(boot.versions),
        database=facts.database,
        exit_code=boot.exit_code,
        signals=tuple(boot.signals),
        stopped_by=tuple(boot.stopped_by),
        ready_after_s=_rounded(facts.boot_ready_after_s),
        lock_wait_s=facts.lock_wait_s,
        phases=tuple(_phases(boot)),
        applied_files=facts.applied_total,
        pending_files=dict(facts.pending),
        failure=_trouble(failure, boot) if failure is not None else None,
        troubles=tuple(_trouble(trouble, boot) for trouble in _others(boot)),
        restarts_total=boot.restarts.total,
        restarts_by_process=dict(boot.restarts_of),
        restarts=tuple(_restart(restart, boot) for restart in boot.restarts),
        given_up=tuple(_trouble(trouble, boot) for trouble in boot.given_up.values()),
        processes=tuple(
            ProcessAccount(name=each.name, state=each.state, restarts=dict(each.restarts), exits=dict(each.exits))
            for each in facts.processes.values()
        ),
        story=tuple(_episode(episode, boot) for episode in boot.episodes),
        story_left_out=boot.episodes.left_out,
        earlier=boot.earlier,
        changed=dict(changed),
        missing_at_the_beginning=max(numbers.first - _FIRST, 0) if numbers is not None else 0,
        missing=tuple(GapAccount(lines=gap.lines, before=gap.before or None) for gap in numbers.gaps)
        if numbers
        else (),
        lines_lost=numbers.lost if numbers is not None else 0,
        lines_repeated=numbers.repeated if numbers is not None else 0,
        lines_damaged=boot.strange,
    )


def _others(boot: Boot) -> list[Trouble]:
    """Troubles that are neither the failure nor told with a restart."""
    told = [restart.trouble for restart in boot.restarts]
    return [each for each in boot.troubles if each is not boot.failure and not any(each is other for other in told)]


def _phases(boot: Boot) -> list[PhaseAccount]:
    facts = boot.facts
    silent = _begun_silently(boot)
    phases = [
        _phase(replace(phase, state="running", started_s=silent[1]) if silent and phase is silent[0] else phase, boot)
        for phase in facts.phases.values()
    ]
    begun_s = facts.boot_started_s
    if begun_s is None or facts.boot_result != "finished" or facts.boot_duration_s is None:
        return phases
    offset_s = begun_s - boot.first_s + facts.boot_duration_s
    ready_s = facts.boot_ready_after_s
    if ready_s is None and not facts.processes:
        return phases
    until_s = boot.failure.at_s if boot.failure is not None else boot.last_s
    took_s = ready_s - facts.boot_duration_s if ready_s is not None else until_s - boot.first_s - offset_s
    phases.append(
        PhaseAccount(
            name=LAUNCH,
            state="finished" if ready_s is not None else _cut_off(boot),
            outcome="ready" if ready_s is not None else None,
            summary="Directus accepts requests" if ready_s is not None else "Directus was not ready",
            offset_s=round(offset_s, 3),
            duration_s=round(max(took_s, 0.0), 3),
        )
    )
    return phases


def _begun_silently(boot: Boot) -> tuple[PhaseFacts, float] | None:
    """The phase that must have begun, and when: that it did is a debug line, and the phases follow on one another."""
    facts = boot.facts
    phases = list(facts.phases.values())
    if facts.boot_result != "running" or facts.boot_started_s is None or facts.processes or facts.was_ready:
        return None
    if any(phase.state in {"running", "failed"} for phase in phases):
        return None
    ends = [(phase.started_s or 0.0) + (phase.duration_s or 0.0) for phase in phases if phase.state == "finished"]
    next_one = next((phase for phase in phases if phase.state == "waiting"), None)
    if next_one is None or (boot.failure is not None and boot.failure.place != next_one.name):
        return None
    return next_one, max([facts.boot_started_s, *ends])


def _cut_off(boot: Boot) -> str:
    """The state of what was under way when the boot, or the log of it, ended."""
    if boot.failure is not None:
        return "failed"
    return "running" if boot.exit_code is None else "stopped"


def _phase(phase: PhaseFacts, boot: Boot) -> PhaseAccount:
    state = _cut_off(boot) if phase.state == "running" else phase.state
    duration_s = phase.duration_s
    if duration_s is None and phase.started_s is not None:
        duration_s = boot.last_s - phase.started_s
    return PhaseAccount(
        name=phase.name,
        state=state,
        outcome=phase.outcome,
        summary=phase.summary,
        offset_s=_rounded(max(phase.started_s - boot.first_s, 0.0)) if phase.started_s is not None else None,
        duration_s=_rounded(duration_s),
        details=tuple(phase.details),
    )


def _trouble(trouble: Trouble, boot: Boot) -> TroubleAccount:
    return TroubleAccount(
        at=_stamp(trouble.at_s, dated=boot.dated),
        code=trouble.code,
        cause=trouble.message,
        remedy=trouble.remedy,
        runbook=trouble.runbook or runbook_of(trouble.code),
        exit_code=trouble.exit_code,
        place=trouble.place,
        details=trouble.details,
        last_lines=trouble.lines,
    )


def _restart(restart: Restart, boot: Boot) -> RestartAccount:
    return RestartAccount(
        at=_stamp(restart.at_s, dated=boot.dated),
        process=restart.process,
        trouble=_trouble(restart.trouble, boot),
        uptime_s=restart.uptime_s,
        delay_s=restart.delay_s,
        number=restart.number,
        limit=restart.limit,
        ready_after_s=restart.ready_after_s,
    )


def _episode(episode: Episode, boot: Boot) -> EpisodeAccount:
    return EpisodeAccount(
        at=_stamp(episode.at_s, dated=boot.dated),
        last_at=_stamp(episode.last_s, dated=boot.dated),
        count=episode.count,
        level=episode.level,
        event=episode.event,
        text=episode.text,
        remedy=episode.remedy,
    )


def runbook_of(code: str) -> str | None:
    """The section of the runbook on a failure; None for what has none."""
    return runbook_link(code) if code in CATALOGUE or code in INCIDENTS else None


def _stamp(at_s: float, *, dated: bool) -> str:
    if not dated:
        seconds, milliseconds = divmod(round(at_s % _DAY_S * 1000), 1000)
        return f"{seconds // 3600 % 24:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.{milliseconds:03}"
    try:
        return timestamp_of(at_s)
    except (ValueError, OverflowError, OSError):
        return "?"


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)
