"""The one-shot steps of the configuration, run before or after the phase that each names."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

import anyio

from supervisor import errors
from supervisor.configuration import Configuration
from supervisor.directus.commands import OutputLog
from supervisor.errors import SupervisorError
from supervisor.logs import events
from supervisor.logs.setup import get_log
from supervisor.phase import Boot, Outcome, Phase
from supervisor.process.child import ChildSpec, running
from supervisor.process.last_words import last_words
from supervisor.programs import Step

_log = get_log("step")
_PREFIX: Final = "step:"


def is_step(phase: str) -> bool:
    """Whether this is the name of a step among the phases."""
    return phase.startswith(_PREFIX)


def with_steps(phases: Sequence[Phase], steps: Sequence[Step]) -> tuple[Phase, ...]:
    """The phases with the steps put where they belong, in the order of the file. Pure.

    A step is a phase of its own, called ``step:NAME``, and shares the lock with the phase beside which it runs.
    """
    everything: list[Phase] = []
    for phase in phases:
        beside = [step for step in steps if step.phase == phase.name]
        everything += [_as_phase(step, phase) for step in beside if step.before]
        everything.append(phase)
        everything += [_as_phase(step, phase) for step in beside if not step.before]
    return tuple(everything)


def _as_phase(step: Step, phase: Phase) -> Phase:
    async def run(boot: Boot) -> Outcome:
        if not phase.locked:
            return await _run(step, boot)
        async with boot.lock.guarding(f"the step {step.name}"):
            return await _run(step, boot)

    return Phase(f"{_PREFIX}{step.name}", run, locked=phase.locked)


async def _run(step: Step, boot: Boot) -> Outcome:
    configuration: Configuration = boot.configuration
    output = OutputLog(step.name, "step")
    directory = configuration.installation.directory
    spec = ChildSpec(
        name=step.name,
        argv=step.command,
        environment={**configuration.child_environment, **step.environment},
        cwd=directory / step.directory if step.directory else directory,
        stop_timeout_s=configuration.settings.stop_timeout_s,
        consume=output.consume,
        ends=True,
    )
    started = time.monotonic()
    status = None
    async with running(spec, boot.init) as child:
        _log.emit(events.STEP_STARTED, step=step.name, pid=child.pid, command=list(step.command))
        with anyio.move_on_after(step.timeout_s):
            status = await child.wait()
    if status is None or status.shell_code:
        ending = f"ended with {status}" if status is not None else f"took longer than {step.timeout_s:g} s"
        words = last_words(tuple(output.last_lines))
        raise SupervisorError(
            errors.STEP_FAILED,
            f"The step {step.name} ({step.where}) {ending}" + (f"; its last words: {words}" if words else ""),
            step=step.name,
            process=step.name,
            last_lines=list(output.last_lines),
            **(status.as_childs if status is not None else {}),
        )
    _log.emit(events.STEP_FINISHED, step=step.name, duration_s=round(time.monotonic() - started, 3))
    return Outcome("changed", f"{step.command[0]} succeeded")
