"""What it all comes to, in one paragraph, and what to do first. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from supervisor.explain.account import Action, BootAccount, RestartAccount, TroubleAccount, Verdict
from supervisor.explain.spans import span

# So many restarts of one boot are worth a word although it is up.
_MANY_RESTARTS: Final = 3
_LONGEST_CAUSE: Final = 400
_SHOWN_REPLICAS: Final = 5


def verdict_of(lanes: Sequence[Sequence[BootAccount]], lines_lost: int) -> Verdict:
    """The verdict on all replicas, each of whose boots come one after the other.

    Args:
        lanes: the boots by replica; none of them is empty.
        lines_lost: lines that are missing within the log.
    """
    worst_first = sorted(lanes, key=lambda lane: _RANKS[lane[-1].outcome])
    actions: list[Action] = []
    sentences: list[str] = []
    if len(lanes) > 1:
        counts = {word: sum(lane[-1].outcome == word for lane in lanes) for word in _RANKS}
        found = ", ".join(f"{count} {_WORDS[word]}" for word, count in counts.items() if count)
        sentences.append(f"{len(lanes)} replicas: {found}.")
    said: set[str] = set()
    for lane in worst_first:
        text, todo = _of_lane(lane, of_many=len(lanes) > 1)
        actions += [action for action in todo if action not in actions]
        # Replicas that come out alike are told once.
        key = _without_names(text, lane[-1])
        if key not in said and len(said) < _SHOWN_REPLICAS:
            sentences.append(text)
        said.add(key)
    if lines_lost:
        sentences.append(f"{lines_lost} lines are missing within the log, so that something may be untold.")
        actions.append(
            Action(
                what="Get the log again from where it is kept whole.",
                why=f"{lines_lost} lines are missing: the log driver was overrun, or somebody has filtered the log.",
            )
        )
    well = all(lane[-1].outcome in {"ready", "stopped"} and not lane[-1].given_up for lane in lanes)
    if not actions:
        sentences.append("Nothing is to be done.")
    return Verdict(well=well, text=" ".join(sentences), actions=tuple(actions))


_RANKS: Final = {"failed": 0, "vanished": 1, "unfinished": 2, "stopped": 3, "ready": 4}
_WORDS: Final = {
    "failed": "failed",
    "vanished": "ended without a word",
    "unfinished": "not ready when the log ends",
    "stopped": "stopped as asked",
    "ready": "up when the log ends",
}


def _of_lane(lane: Sequence[BootAccount], *, of_many: bool) -> tuple[str, list[Action]]:
    last = lane[-1]
    name = f"{_who(last)}: " if of_many else ""
    if last.outcome == "failed":
        return name + _failed(lane), _after_failure(last)
    if last.outcome == "unfinished":
        text, todo = _unfinished(last)
        return name + text, todo
    text = _stopped(last) if last.outcome == "stopped" else _ready(last)
    past, todo = _past(lane)
    restarts, more = _restarted(last)
    given_up = [f"{each.place} was given up: {each.cause}" for each in last.given_up]
    todo = [*_of_troubles(last.given_up), *more, *todo, *_pending(last)]
    return name + " ".join(filter(None, [text, restarts, *map(_sentence, given_up), past])), todo


def _who(boot: BootAccount) -> str:
    return boot.source or (f"boot {boot.boot_id}" if boot.boot_id else "one")


def _without_names(text: str, boot: BootAccount) -> str:
    for name in (boot.source, boot.boot_id, _moment(boot.began_at), _moment(boot.last_line_at)):
        text = text.replace(name, "") if name else text
    return text


def _failed(lane: Sequence[BootAccount]) -> str:
    last, failure = lane[-1], lane[-1].failure
    if failure is None:
        return f"The boot of {_moment(last.began_at)} failed after {span(last.duration_s)}; why is not in the log."
    phase = next((phase.name for phase in last.phases if phase.state == "failed"), None)
    where = f", in {phase}," if phase else ""
    status = f", exit status {failure.exit_code}" if failure.exit_code is not None else ""
    began = f"The boot of {_moment(last.began_at)} failed after {span(last.duration_s)}{where}"
    words = [f"{began} with {failure.code}{status}: {_cause(failure)}"]
    alike = _in_a_row(lane)
    if alike > 1:
        words.append(
            f"It is the {_ordinal(alike)} boot in a row to fail this way, since {_moment(lane[-alike].began_at)}."
        )
    if last.changed:
        changes = ", ".join(f"{name} {old} → {new}" for name, (old, new) in last.changed.items())
        words.append(f"Since the last good boot in this log this has changed: {changes}.")
    words.append(f"What to do: {_sentence(failure.remedy)}")
    return " ".join(words)


def _in_a_row(lane: Sequence[BootAccount]) -> int:
    """How many boots at the end have failed as the last one has."""
    last = lane[-1].failure
    count = 0
    for boot in reversed(lane):
        if last is None or boot.failure is None or boot.failure.code != last.code:
            break
        count += 1
    return count


def _after_failure(boot: BootAccount) -> list[Action]:
    troubles = [boot.failure] if boot.failure is not None else []
    return [*_of_troubles(troubles), *_pending(boot)]


def _of_troubles(troubles: Sequence[TroubleAccount]) -> list[Action]:
    return [
        Action(what=_sentence(each.remedy), why=f"{each.code}: {_cause(each)}", runbook=each.runbook)
        for each in troubles
    ]


def _pending(boot: BootAccount) -> list[Action]:
    if not boot.pending_files:
        return []
    names = ", ".join(sorted(set(boot.pending_files.values())))
    return [
        Action(
            what=f"Install on the server, when you want what needs it: {names}.",
            why=f"{len(boot.pending_files)} SQL files stay pending without it.",
        )
    ]


def _unfinished(boot: BootAccount) -> tuple[str, list[Action]]:
    running = next((phase.name for phase in boot.phases if phase.state == "running"), None)
    doing = f"in {running}" if running else f"in state {boot.state}"
    waits = [episode for episode in boot.story if episode.event in _WAITS]
    text = (
        f"The boot of {_moment(boot.began_at)} was not ready when the log ends, after {span(boot.duration_s)}, {doing}."
    )
    if boot.state == "stopping":
        text = (
            f"The boot of {_moment(boot.began_at)} was being stopped when the log ends, after {span(boot.duration_s)}."
        )
    todo: list[Action] = []
    if waits:
        last = waits[-1]
        times = f" ({last.count} times, last at {last.last_at})" if last.count > 1 else ""
        text += f" Last it said: {_sentence(last.text)[:-1]}{times}."
        todo.append(Action(what=_WAITS[last.event], why=last.text))
    restarts, more = _restarted(boot)
    text = f"{text} {restarts}".rstrip()
    text += " No line tells of an end: it is still at it, or it was killed, or the rest of the log is missing."
    todo += more
    todo.append(
        Action(
            what=(
                "Look whether the container runs, and how it ended: `docker inspect` (OOMKilled, ExitCode) or "
                "`kubectl describe pod` (Last State)."
            ),
            why="SIGKILL, the kernel's OOM killer and a lost node leave no line in a log.",
        )
    )
    return text, todo


_WAITS: Final = {
    "postgres.waiting": "Check that the server runs, and that DB_HOST and DB_PORT reach it from this container.",
    "lock.waiting": "Look at the session that holds the migration lock: another replica may be migrating.",
    "sql.waiting": "Look at the sessions that are in the way, and end them if nobody needs them.",
    "sql.retrying": "Look at the sessions that are in the way, and end them if nobody needs them.",
}


def _ready(boot: BootAccount) -> str:
    took = f", ready {span(boot.ready_after_s)} after its phases began" if boot.ready_after_s is not None else ""
    return (
        f"It is up: the boot of {_moment(boot.began_at)}{took}, serves when the log ends "
        f"({_moment(boot.last_line_at)})."
    )


def _stopped(boot: BootAccount) -> str:
    by = f" ({', '.join(dict.fromkeys(boot.signals))})" if boot.signals else ""
    status = f", exit status {boot.exit_code}" if boot.exit_code is not None else ""
    if boot.command == "migrate" and not boot.signals:
        return f"The migration of {_moment(boot.began_at)} is done after {span(boot.duration_s)}{status}."
    return f"The boot of {_moment(boot.began_at)} was stopped as asked{by} after {span(boot.duration_s)}{status}."


def _restarted(boot: BootAccount) -> tuple[str, list[Action]]:
    if not boot.restarts_total:
        return "", []
    last = boot.restarts[-1]
    times = "once" if boot.restarts_total == 1 else f"{boot.restarts_total} times"
    text = f"{last.process} was restarted {times}, last at {_moment(last.at)}: {_cause(last.trouble)}"
    worth = boot.restarts_total >= _MANY_RESTARTS or last.trouble.code not in _PASSING or not _came_back(last)
    return text, _of_troubles([last.trouble]) if worth else []


_PASSING: Final = frozenset({"process.exit", "process.reload"})


def _came_back(restart: RestartAccount) -> bool:
    return restart.ready_after_s is not None


def _past(lane: Sequence[BootAccount]) -> tuple[str, list[Action]]:
    """What the boots before the last one say, when the last one is well."""
    bad = [boot for boot in lane[:-1] if boot.outcome in {"failed", "vanished"}]
    if not bad:
        return "", []
    last = bad[-1]
    text = f"Before it, {len(bad)} of {len(lane) - 1} boots did not end well"
    if last.outcome == "vanished":
        todo = Action(
            what="Look how the container ended: OOMKilled in `docker inspect`, Last State in `kubectl describe pod`.",
            why=f"The boot of {_moment(last.began_at)} ended without a word at about {_moment(last.last_line_at)}.",
        )
        return f"{text}: the last of them ended without a word, as by SIGKILL or an OOM kill of the container.", [todo]
    cause = f"{last.failure.code}: {_cause(last.failure)}" if last.failure is not None else "for an unknown reason."
    return f"{text}, the last of them with {cause} It has recovered since.", []


def _cause(trouble: TroubleAccount) -> str:
    first = " ".join(trouble.cause.split())
    return _sentence(first if len(first) <= _LONGEST_CAUSE else first[:_LONGEST_CAUSE] + " …")


def _sentence(text: str) -> str:
    text = text.strip()
    return text if text.endswith((".", "!", "?", "…")) else text + "."


def _moment(stamp: str) -> str:
    """A timestamp to the second."""
    return f"{stamp[:19]}Z" if "T" in stamp else stamp[:8]


def _ordinal(number: int) -> str:
    suffix = "th" if number % 100 in {11, 12, 13} else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{suffix}"
