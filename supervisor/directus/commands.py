"""Running Directus' own commands, their lines in the log, their last lines kept for the account of a failure."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any, Final

import anyio
import structlog

from supervisor.configuration import Configuration
from supervisor.directus.node import told_ahead, with_ahead
from supervisor.directus.pino import parse_lines
from supervisor.directus.strays import STEP_APPLICATION_NAME
from supervisor.logs import events
from supervisor.logs.lines import OutputLines
from supervisor.logs.setup import get_log
from supervisor.process.child import ChildSpec, ExitStatus, Stream, running
from supervisor.process.init import Init
from supervisor.process.last_words import last_words
from supervisor.process.output import Batch

# An error of Node.js with its stack and properties takes thirty lines and more.
KEPT_LINES: Final = 60


class OutputLog:
    """Turns the lines of one process into log events and keeps the last ones.

    Args:
        process: what the log calls the process.
        component: whose lines they are in the log.

    Attributes:
        last_lines: the end of all that it wrote.
        last_errors: the same without what it called less than an error itself; a line without a level may be one.
    """

    def __init__(self, process: str, component: str) -> None:
        self._component = component
        self._lines = OutputLines(component, process)
        self.last_lines: deque[str] = deque(maxlen=KEPT_LINES)
        self.last_errors: deque[str] = deque(maxlen=KEPT_LINES)

    def consume(self, stream: Stream, pid: int, batch: Batch) -> None:
        """Take lines, in the order in which they were written."""
        plain_level = "info" if stream == "stdout" else "error"
        # A structured line has quotes, which JSON would have to escape; where the first one is, the others are, too.
        plain = not batch.partial and batch.lines[0][:1] != b"{"
        if plain and self._lines.write_verbatim(stream, pid, plain_level, batch.lines):
            last = [line.decode() for line in [line for line in batch.lines if line][-KEPT_LINES:]]
            self.last_lines.extend(last)
            self.last_errors.extend(last)
            return
        entries = parse_lines(batch.lines, plain_level=plain_level, partial=batch.partial)
        self.last_lines.extend([entry.message for entry in entries if entry.message])
        self.last_errors.extend(
            [entry.message for entry in entries if (entry.level == "error" or not entry.structured) and entry.message]
        )
        self._lines.write(stream, pid, entries, partial=batch.partial)

    def begin(self, process: str) -> None:
        """What comes from now on is another one's; let go of the lines kept so far."""
        # Its lines are read by tasks that were begun in another phase.
        self._lines = OutputLines(self._component, process, structlog.contextvars.get_contextvars())
        self.forget()

    def forget(self) -> None:
        """Let go of the lines kept so far."""
        self.last_lines.clear()
        self.last_errors.clear()


@dataclass(frozen=True, slots=True)
class StepResult:
    """How a Directus step ended.

    Attributes:
        step: its name.
        status: of its process; None when it took too long and was stopped.
        last_lines: what it wrote at the end.
    """

    step: str
    status: ExitStatus | None
    last_lines: tuple[str, ...]

    @property
    def facts(self) -> dict[str, Any]:
        """What the record of its failure says of it."""
        status = self.status.as_childs if self.status is not None else {}
        return {"process": self.step, **status, "last_lines": list(self.last_lines)}

    @property
    def account(self) -> str:
        """How it ended, and its last words, as half a sentence."""
        ending = f"ended with {self.status}" if self.status is not None else "took too long and was stopped"
        words = last_words(self.last_lines)
        return f"{ending}; its last words: {words}" if words else f"{ending}, without a word"


async def run_command(configuration: Configuration, init: Init, *command: str) -> StepResult:
    """Run one command of Directus to its end, at most ``SUPERVISOR_STEP_TIMEOUT_S``; a cancellation ends it.

    Args:
        configuration: environment, folder, limits.
        init: starts and reaps it.
        command: the command and its arguments; the first word is its name for the log.

    Raises:
        SupervisorError: when the program cannot be started.
    """
    log = get_log("directus")
    step = command[0]
    output = OutputLog(step, "directus")
    environment = {**configuration.step_environment, "PGAPPNAME": STEP_APPLICATION_NAME}
    spec = ChildSpec(
        name=step,
        argv=with_ahead(configuration.installation.command(*command)),
        environment=told_ahead(configuration, environment, leash=True),
        cwd=configuration.installation.directory,
        stop_timeout_s=configuration.settings.stop_timeout_s,
        consume=output.consume,
        # It says nothing, but learns of our end by the channel.
        on_message=lambda _message: None,
        ends=True,
    )
    status = None
    async with running(spec, init) as child:
        log.emit(events.DIRECTUS_STEP, step=step, pid=child.pid)
        with anyio.move_on_after(configuration.settings.step_timeout_s):
            status = await child.wait()
    return StepResult(step, status, tuple(output.last_lines))
