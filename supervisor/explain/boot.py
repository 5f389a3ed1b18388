"""What one boot has done, as a fold over its events as they are read back from a log. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, MutableMapping
from contextlib import suppress
from typing import Any, Final

from supervisor.explain.bounded import BothEnds
from supervisor.explain.narrate import is_told, sentence
from supervisor.explain.record import Record
from supervisor.explain.restart_cause import RELOAD, cause_of, remedy_of
from supervisor.explain.trouble import Episode, Restart, Trouble, last_of, merge, trouble_of
from supervisor.incidents.causes import GIVEN_UP
from supervisor.lifecycle import State
from supervisor.logs import events
from supervisor.status.facts import DIRECTUS, Facts

_MOST_NAMES: Final = 300
_LOOKED_BACK: Final = 20
# An incident and the restart that follows from it are told at the same moment.
_SAME_MOMENT_S: Final = 10.0
_PHASE_ENDS: Final = frozenset({events.PHASE_FINISHED.name, events.PHASE_FAILED.name})


class Boot:
    """One boot; :meth:`take` is told each of its events in the order of the log.

    Args:
        boot_id: its id; None where the log does not tell one.
        source: where its lines come from.
        since_s: of what came before, restarts and episodes are only counted; Unix seconds.
    """

    def __init__(self, boot_id: str | None, source: str, at_s: float, *, dated: bool, since_s: float | None) -> None:
        self.boot_id = boot_id
        self.source = source
        self.first_s = self.last_s = at_s
        self.dated = dated
        self.began = False
        self.facts = Facts(at_s)
        self.state: State | None = None
        self.state_reason = ""
        self.versions: dict[str, str] = {}
        self.command: str | None = None
        self.episodes: BothEnds[Episode] = BothEnds(20, 40)
        self.restarts: BothEnds[Restart] = BothEnds(3, 10)
        self.restarts_of: Counter[str] = Counter()
        self.troubles: BothEnds[Trouble] = BothEnds(2, 6)
        self.failure: Trouble | None = None
        self.failed_phase: Trouble | None = None
        self.given_up: dict[str, Trouble] = {}
        self.exits: dict[str, Record] = {}
        self.signals: list[str] = []
        self.stopped_by: list[str] = []
        self.exit_code: int | None = None
        self.uptime_s: float | None = None
        self.earlier = 0
        self.strange = 0
        self._since_s = since_s
        self._guessed: set[str] = set()

    def take(self, record: Record) -> None:
        """Learn of one event."""
        at_s = record.at_s if record.at_s is not None else self.last_s
        self.first_s, self.last_s = min(self.first_s, at_s), max(self.last_s, at_s)
        fields = record.fields
        self._follow_phase(at_s, record)
        try:
            self.facts.take(record.event, at_s, self._as_today(record))
        except (KeyError, ValueError, TypeError, AttributeError):
            # A line that was cut short, or one of another version.
            self.strange += 1
        self._bound()
        fold = _FOLDS.get(record.event)
        if fold is not None:
            with suppress(KeyError):
                fold(self, at_s, record)
        level = str(fields.get("level", "info"))
        if is_told(record.event, level):
            self._tell(at_s, level, record.event, fields)

    def _as_today(self, record: Record) -> Mapping[str, Any]:
        """The fields, with what a log of an earlier version says in other words."""
        if record.event != events.PROCESS_RESTARTING.name:
            return record.fields
        return {**record.fields, "cause": cause_of(record.fields)}

    def _bound(self) -> None:
        facts = self.facts
        kept: tuple[MutableMapping[Any, Any], ...] = (
            facts.phases,
            facts.pending,
            facts.processes,
            facts.exits,
            facts.incidents,
        )
        for names in kept:
            if len(names) > _MOST_NAMES:
                names.popitem()

    def _follow_phase(self, at_s: float, record: Record) -> None:
        """A phase that speaks has begun: the line that says so is left out of a log at level info."""
        phase = self.facts.phases.get(str(record.fields.get("phase")))
        if phase is None:
            return
        if record.event in _PHASE_ENDS:
            # Its duration tells better when it began than its first word.
            if phase.name in self._guessed:
                phase.started_s = None
        elif phase.state == "waiting":
            phase.state, phase.started_s = "running", at_s
            self._guessed.add(phase.name)

    def _is_old(self, at_s: float) -> bool:
        if self._since_s is None or at_s >= self._since_s:
            return False
        self.earlier += 1
        return True

    def _tell(self, at_s: float, level: str, event: str, fields: Mapping[str, Any]) -> None:
        if self._is_old(at_s):
            return
        text = sentence(event, fields)
        for index, episode in enumerate(self.episodes.newest_first()):
            if index == _LOOKED_BACK:
                break
            if episode.event == event and episode.text == text:
                episode.count += 1
                episode.last_s = at_s
                return
        remedy = fields.get("remedy")
        self.episodes.append(Episode(at_s, level, event, text, str(remedy) if remedy else None, last_s=at_s))

    def _started(self, _at_s: float, record: Record) -> None:
        self.began = True
        for name, key in (("supervisor", "version"), ("python", "python")):
            if version := record.fields.get(key):
                self.versions[name] = version
        self.command = record.fields.get("run")

    def _found_directus(self, _at_s: float, record: Record) -> None:
        self.versions["directus"] = record.fields["version"]

    def _postgres_answered(self, _at_s: float, record: Record) -> None:
        self.versions["postgres"] = record.fields["server_version"]

    def _moved(self, _at_s: float, record: Record) -> None:
        with suppress(ValueError):
            self.state = State(record.fields["state"])
            self.state_reason = str(record.fields.get("reason", ""))

    def _signalled(self, _at_s: float, record: Record) -> None:
        name = str(record.fields["signal"])
        self.signals = [*self.signals[-9:], name]
        if str(record.fields.get("action", "")).startswith("stop") and name not in self.stopped_by:
            self.stopped_by = [*self.stopped_by[-9:], name]

    def _stopped(self, _at_s: float, record: Record) -> None:
        self.state = State.STOPPED
        self.uptime_s = record.fields.get("uptime_s")
        self.exit_code = record.fields.get("exit_code", 0)
        # What failed when it was to stop already ended nothing.
        self.failed_phase = None

    def _failed(self, at_s: float, record: Record) -> None:
        trouble = self._told_before(trouble_of(at_s, record))
        self.failure = trouble
        self.state = State.FAILED
        self.exit_code = trouble.exit_code if trouble.exit_code is not None else self.exit_code

    def _incident(self, at_s: float, record: Record) -> None:
        trouble = trouble_of(at_s, record)
        if self.failure is not None and self.failure.code == trouble.code:
            merge(self.failure, trouble)
            return
        if trouble.exit_code is not None:
            self.failure = trouble
            self.exit_code = trouble.exit_code
        restart = next(self.restarts.newest_first(), None)
        if restart is not None and not restart.trouble.of and _same(trouble, restart.trouble):
            restart.trouble = trouble
            return
        if trouble.code == GIVEN_UP.code:
            self._give_up(trouble)
            return
        if not self._is_old(at_s) or trouble is self.failure:
            self.troubles.append(trouble)

    def _told_before(self, trouble: Trouble) -> Trouble:
        """The trouble as an incident has told it already, with what is new of it; or itself."""
        if self.failure is not None and self.failure.code == trouble.code:
            # However long the end of the other processes took.
            merge(self.failure, trouble)
            return self.failure
        for earlier in self.troubles.newest_first():
            if earlier.code == trouble.code and trouble.at_s - earlier.at_s < _SAME_MOMENT_S:
                merge(earlier, trouble)
                return earlier
        return trouble

    def _phase_failed(self, at_s: float, record: Record) -> None:
        phase = str(record.fields.get("phase", "a phase"))
        self.failed_phase = Trouble(
            at_s,
            "phase.failed",
            f"The phase {phase} failed; the line that tells why is not in this log.",
            "Get the rest of the log, or run `directus-supervisor migrate` to see the failure again.",
            place=phase,
            lines=last_of(record.before),
        )

    def _exited(self, _at_s: float, record: Record) -> None:
        if record.fields.get("expected") is not True and len(self.exits) < _MOST_NAMES:
            self.exits[str(record.fields["process"])] = record
        if self.failed_phase is not None and not self.failed_phase.lines:
            self.failed_phase.lines = last_of(record.before)

    def _not_ready(self, _at_s: float, record: Record) -> None:
        if len(self.exits) < _MOST_NAMES:
            self.exits[str(record.fields["process"])] = record

    def _restarting(self, at_s: float, record: Record) -> None:
        fields = record.fields
        process, why = str(fields["process"]), str(fields["reason"])
        last = self.exits.pop(process, None)
        if self._is_old(at_s):
            return
        cause = cause_of(fields)
        trouble = Trouble(
            at_s,
            f"process.{cause}",
            f"{process} {why}.",
            remedy_of(cause),
            place=process,
            lines=last_of(last.before) if last is not None else (),
        )
        earlier = next(self.troubles.newest_first(), None)
        if earlier is not None and _same(trouble, earlier):
            earlier.lines = earlier.lines or trouble.lines
            trouble = earlier
        if cause != RELOAD and (process in self.restarts_of or len(self.restarts_of) < _MOST_NAMES):
            self.restarts_of[process] += 1
        self.restarts.append(
            Restart(
                at_s,
                process,
                why,
                trouble,
                uptime_s=last.fields.get("uptime_s") if last is not None else None,
                delay_s=fields.get("delay_s"),
                number=fields.get("restart"),
                limit=fields.get("limit"),
            )
        )

    def _ready(self, _at_s: float, record: Record) -> None:
        process = str(record.fields["process"])
        self.exits.pop(process, None)
        for restart in self.restarts.newest_first():
            if restart.process == process:
                if restart.ready_after_s is None:
                    restart.ready_after_s = record.fields.get("after_s")
                return

    def _process_started(self, _at_s: float, record: Record) -> None:
        self.exits.pop(str(record.fields["process"]), None)

    def _given_up(self, at_s: float, record: Record) -> None:
        # Without a remedy it ended as it may.
        if record.fields.get("remedy"):
            trouble = trouble_of(at_s, record)
            trouble.code = GIVEN_UP.code
            self._give_up(trouble)

    def _give_up(self, trouble: Trouble) -> None:
        """Of a process that is given up an incident tells, and an event of its own."""
        if (told := self.given_up.get(str(trouble.place))) is not None:
            merge(told, trouble)
        elif len(self.given_up) < _MOST_NAMES:
            self.given_up[str(trouble.place)] = trouble

    @property
    def reached(self) -> State:
        """The last state that the log shows, also when it does not name it."""
        if self.state is not None:
            return self.state
        directus = self.facts.processes.get(DIRECTUS)
        if directus is not None:
            if directus.state in {"ready", "running"}:
                return State.READY
            return State.RESTARTING if directus.state in {"restarting", "ended"} else State.LAUNCHING
        return State.MIGRATING if self.facts.phases else State.STARTING


def _same(trouble: Trouble, earlier: Trouble) -> bool:
    """Whether two lines tell of the same thing; a reload may follow a crash at once."""
    same = trouble.code == earlier.code and trouble.place == earlier.place
    return same and trouble.at_s - earlier.at_s < _SAME_MOMENT_S


_FOLDS: Final[dict[str, Callable[[Boot, float, Record], None]]] = {
    events.SUPERVISOR_STARTED.name: Boot._started,
    events.DIRECTUS_FOUND.name: Boot._found_directus,
    events.POSTGRES_ANSWERED.name: Boot._postgres_answered,
    events.STATE_CHANGED.name: Boot._moved,
    events.SIGNAL_RECEIVED.name: Boot._signalled,
    events.SUPERVISOR_STOPPED.name: Boot._stopped,
    events.SUPERVISOR_FAILED.name: Boot._failed,
    events.INCIDENT.name: Boot._incident,
    events.PHASE_FAILED.name: Boot._phase_failed,
    events.PROCESS_EXITED.name: Boot._exited,
    events.PROCESS_NOT_READY.name: Boot._not_ready,
    events.PROCESS_RESTARTING.name: Boot._restarting,
    events.PROCESS_READY.name: Boot._ready,
    events.PROCESS_STARTED.name: Boot._process_started,
    events.PROCESS_GIVEN_UP.name: Boot._given_up,
}
