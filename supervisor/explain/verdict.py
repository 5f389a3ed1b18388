"""What it all comes to, in one paragraph, and what to do first. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from supervisor.explain.account import Action, BootAccount, RestartAccount, TroubleAccount, Verdict
from supervisor.explain.facts import changes_of
from supervisor.explain.restart_cause import RELOAD
from supervisor.explain.spans import span

# So many restarts of one boot are worth a word although it is up.
_MANY_RESTARTS: Final = 3
_LONGEST_CAUSE: Final = 400
_SHOWN_REPLICAS: Final = 5


def verdict_of(lanes: Sequence[Sequence[BootAccount]], *, lines_lost: int, left_out: int) -> Verdict:
    """The verdict on all replicas, each of whose boots come one after the other.

    Args:
        lanes: the boots by replica; none of them is empty.
        lines_lost: lines that are missing within the log.
        left_out: boots that are not among them.
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
        text, todo = _of_lane(lane, of_many=len(lanes) > 1, left_out=left_out)
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
    well = all(_is_well(lane[-1]) for lane in lanes)
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


def _is_well(boot: BootAccount) -> bool:
    return boot.outcome in {"ready", "stopped"} and not boot.given_up and not _is_half_done(boot)


def _is_half_done(boot: BootAccount) -> bool:
    """Whether it is a migration that was stopped: a stop is what `run` is for, and not `migrate`."""
    return boot.command == "migrate" and boot.outcome == "stopped" and bool(boot.exit_code)


def _of_lane(lane: Sequence[BootAccount], *, of_many: bool, left_out: int) -> tuple[str, list[Action]]:
    last = lane[-1]
    name = f"{_who(last)}: " if of_many else ""
    if last.outcome == "failed":
        return name + _failed(lane, left_out), _after_failure(last)
    if last.outcome == "unfinished":
        text, todo = _unfinished(last)
        return name + text, todo
    text = _stopped(last) if last.outcome == "stopped" else _ready(last)
    past, todo = _past(lane)
    restarts, more = _restarted(last)
    given_up = [f"{each.place} was given up: {each.cause}" for each in last.given_up]
    todo = [*_of_troubles(last.given_up), *_again(last), *more, *todo, *_pending(last)]
    return name + " ".join(filter(None, [text, restarts, *map(_sentence, given_up), past])), todo


def _who(boot: BootAccount) -> str:
    return boot.source or (f"boot {boot.boot_id}" if boot.boot_id else "one")


def _without_names(text: str, boot: BootAccount) -> str:
    for name in (boot.source, boot.boot_id, _moment(boot.began_at), _moment(boot.last_line_at)):
        text = text.replace(name, "") if name else text
    return text


def _what(boot: BootAccount) -> str:
    return f"The {'migration' if boot.command == 'migrate' else 'boot'} of {_moment(boot.began_at)}"


def _failed(lane: Sequence[BootAccount], left_out: int) -> str:
    last, failure = lane[-1], lane[-1].failure
    if failure is None:
        return f"{_what(last)} failed after {span(last.duration_s)}; why is not in the log."
    phase = next((phase.name for phase in last.phases if phase.state == "failed"), None)
    where = f", in {phase}," if phase else ""
    status = f", exit status {failure.exit_code}" if failure.exit_code is not None else ""
    began = f"{_what(last)} failed after {span(last.duration_s)}{where}"
    words = [f"{began} with {failure.code}{status}: {_cause(failure)}"]
    alike = _in_a_row(lane)
    if alike > 1:
        least = "at least " if left_out and alike == len(lane) else ""
        since = _moment(lane[-alike].began_at)
        words.append(f"It is {least}the {_ordinal(alike)} boot in a row to fail this way, since {since}.")
    changes = changes_of(failure.details)
    if changes:
        words.append(f"Since the last good boot this has changed: {changes}.")
    elif last.changed:
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
    took = span(boot.duration_s)
    text = f"{_what(boot)} was not ready when the log ends, after {took}, {doing}."
    if boot.state == "stopping":
        text = f"{_what(boot)} was being stopped when the log ends, after {took}."
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
            what=(f"Look whether the container runs, and how it ended: {_WHERE}."),
            why="SIGKILL, the kernel's OOM killer and a lost node leave no line in a log.",
        )
    )
    return text, todo


_WHERE: Final = "`docker inspect` (OOMKilled, ExitCode) or `kubectl describe pod` (Last State)"
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
    after = f"after {span(boot.duration_s)}"
    status = f", exit status {boot.exit_code}" if boot.exit_code is not None else ""
    if ended_by_itself(boot):
        if boot.command == "migrate":
            return f"{_what(boot)} is done {after}{status}."
        return f"{_what(boot)} ended by itself {after}{status}: {_sentence(boot.reason)}"
    by = f" ({', '.join(boot.stopped_by)})" if boot.stopped_by else ""
    phase = _interrupted(boot)
    where = f", in {phase}" if phase else ""
    done = " It is not done." if _is_half_done(boot) else ""
    return f"{_what(boot)} was stopped as asked{by} {after}{where}{status}.{done}"


def ended_by_itself(boot: BootAccount) -> bool:
    """Whether one that ended without a failure was not asked to."""
    if boot.outcome != "stopped" or boot.stopped_by:
        return False
    if boot.command == "migrate":
        return not boot.exit_code
    # The line of the signal may be missing, and that of the move be there.
    return bool(boot.reason) and not boot.reason.endswith("was received")


def _interrupted(boot: BootAccount) -> str | None:
    return next((phase.name for phase in boot.phases if phase.state == "stopped"), None)


def _again(boot: BootAccount) -> list[Action]:
    if not _is_half_done(boot):
        return []
    where = _interrupted(boot)
    return [
        Action(what="Run `migrate` again.", why=f"It was stopped{f' in {where}' if where else ''}, and is not done.")
    ]


def _restarted(boot: BootAccount) -> tuple[str, list[Action]]:
    unasked = [each for each in boot.restarts if each.trouble.code != f"process.{RELOAD}"]
    if not unasked or not boot.restarts_by_process:
        return "", []
    last = unasked[-1]
    most, *others = sorted(boot.restarts_by_process.items(), key=lambda item: -item[1])
    counts = ", ".join([f"{most[0]} was restarted {_times(most[1])}", *(f"{name} {_times(n)}" for name, n in others)])
    which = f"; the last time {last.process}," if others else ", last"
    text = f"{counts}{which} at {_moment(last.at)}: {_cause(last.trouble)}"
    if any(each.place == last.process for each in boot.given_up):
        # What to do about that says it all.
        return text, []
    worth = most[1] >= _MANY_RESTARTS or last.trouble.code not in _PASSING or not _came_back(last)
    return text, _of_troubles([last.trouble]) if worth else []


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


_PASSING: Final = frozenset({"process.exit"})


def _came_back(restart: RestartAccount) -> bool:
    return restart.ready_after_s is not None


def _past(lane: Sequence[BootAccount]) -> tuple[str, list[Action]]:
    """What the boots before the last one say, when the last one is well."""
    vanished = [boot for boot in lane[:-1] if boot.outcome == "vanished"]
    failed = [boot for boot in lane[:-1] if boot.outcome == "failed"]
    bad = len(vanished) + len(failed)
    if not bad:
        return "", []
    kinds: list[str] = []
    todo: list[Action] = []
    if vanished:
        last = vanished[-1]
        kinds.append(f"{_count(vanished)} ended without a word, as by SIGKILL or an OOM kill of the container")
        todo.append(
            Action(
                what=f"Look how the container ended: {_WHERE}.",
                why=f"{_what(last)} ended without a word at about {_moment(last.last_line_at)}.",
            )
        )
    if failed:
        failure = failed[-1].failure
        which = ", the last one" if len(failed) > 1 else ","
        with_what = f"with {failure.code}: {_cause(failure)}" if failure is not None else "for an unknown reason"
        kinds.append(f"{_count(failed)} failed{which} {with_what}")
    text = f"Before it, {bad} of {len(lane) - 1} boots did not end well: {_sentence('; '.join(kinds))}"
    return f"{text} It has recovered since." if _was_up(lane[-1]) else text, todo


def _count(boots: Sequence[BootAccount]) -> str:
    return "one" if len(boots) == 1 else str(len(boots))


def _was_up(boot: BootAccount) -> bool:
    return boot.outcome == "ready" or boot.ready_after_s is not None or (boot.command == "migrate" and _is_well(boot))


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
