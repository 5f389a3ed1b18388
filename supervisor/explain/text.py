"""The account as text for a terminal, as wide as it is. Pure."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from supervisor.explain.account import (
    Account,
    BootAccount,
    EpisodeAccount,
    PhaseAccount,
    RestartAccount,
    TroubleAccount,
)
from supervisor.explain.facts import changes_of, facts_of
from supervisor.explain.restart_cause import RELOAD
from supervisor.explain.spans import span
from supervisor.explain.verdict import ended_by_itself

NARROWEST: Final = 60
_BAR: Final = 24
_FULL_BOOTS: Final = 5
_SHOWN_DETAILS: Final = 8
_COLOURS: Final = {"good": "32", "bad": "31", "warn": "33", "soft": "2", "bold": "1"}
_OUTCOMES: Final = {"ready": "good", "stopped": "soft", "failed": "bad", "vanished": "bad", "unfinished": "warn"}
_WORDS: Final = {
    "ready": "UP when the log ends",
    "stopped": "STOPPED as asked",
    "failed": "FAILED",
    "vanished": "ENDED WITHOUT A WORD",
    "unfinished": "NOT READY when the log ends",
}
# What a terminal would take for a command, and halves of characters, which cannot be written.
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Style:
    """How it is to look.

    Attributes:
        width: columns.
        colour: whether colours are wanted.
        unicode: whether the terminal shows more than ASCII.
    """

    width: int
    colour: bool
    unicode: bool

    def paint(self, text: str, kind: str) -> str:
        """The text in the colour of its kind."""
        return f"\x1b[{_COLOURS[kind]}m{text}\x1b[0m" if self.colour and kind in _COLOURS else text

    def wrapped(self, text: str, indent: str, first: str | None = None) -> str:
        """A text as lines that fit; its own newlines are kept."""
        lead = indent if first is None else first
        lines: list[str] = []
        for line in _clean(text).split("\n"):
            lines += textwrap.wrap(
                line,
                max(self.width, NARROWEST),
                initial_indent=lead,
                subsequent_indent=indent,
                break_on_hyphens=False,
            ) or [lead.rstrip()]
            lead = indent
        return "\n".join(lines)


def account_text(account: Account, style: Style) -> str:
    """The whole account; the verdict and what to do stand at the end, where a terminal shows them."""
    sections = [_read(account, style)]
    boots = account.boots
    brief = max(len(boots) - _FULL_BOOTS, 0)
    if account.boots_left_out:
        sections.append(f"{account.boots_left_out} earlier boots are left out.")
    if brief:
        sections.append("\n".join(_one_line(boot, style) for boot in boots[:brief]))
    sections += [_boot(boot, style) for boot in boots[brief:]]
    sections += [_todo(account, style), _verdict(account, style)]
    text = "\n\n".join(filter(None, sections)) + "\n"
    return text if style.unicode else text.translate(_ASCII).encode("ascii", "replace").decode()


_ASCII: Final = str.maketrans({"█": "#", "░": ".", "▕": "|", "▏": "|", "→": "->", "…": "..."})


def _read(account: Account, style: Style) -> str:
    read = account.input
    counts = [f"{read.lines:,} lines", f"{read.output_lines:,} of them written by processes"]
    for count, words in (
        (read.foreign_lines, "of others"),
        (read.damaged_lines, "cut short or damaged, read as far as they go"),
        (read.unreadable_lines, "of ours that cannot be read"),
        (read.unknown_events, "events of another version, left alone"),
        (read.cut_lines, "longer than 1 MB, read in part"),
    ):
        if count:
            counts.append(f"{count:,} {words}")
    lines = [style.wrapped(f"Read {', '.join(read.files)}: {', '.join(counts)}.", "  ", "")]
    lines += [style.paint(style.wrapped(remark, "  ", "! "), "warn") for remark in read.remarks]
    return "\n".join(lines)


def _one_line(boot: BootAccount, style: Style) -> str:
    why = f"  {boot.failure.code}: {boot.failure.cause}" if boot.failure is not None else ""
    head = f"{boot.began_at}  {boot.boot_id or '-'}  "
    text = _clean(f"{head}{_word(boot)} after {span(boot.duration_s)}{why}".replace("\n", " "))
    return style.paint(text if len(text) <= style.width else text[: style.width - 1] + "…", "soft")


def _boot(boot: BootAccount, style: Style) -> str:
    title = f"BOOT {boot.boot_id or ''}".rstrip() + (f"  {boot.source}" if boot.source else "")
    kind = _OUTCOMES[boot.outcome]
    status = f" (exit status {boot.exit_code})" if boot.exit_code is not None else ""
    lines = [
        f"{style.paint(_clean(title), 'bold')}  {style.paint(_word(boot) + status, kind)}",
        f"  {boot.began_at} to {boot.last_line_at}  ({span(boot.duration_s)})",
    ]
    versions = [f"{_NAMES.get(name, name)} {version}" for name, version in boot.versions.items()]
    command = [f"command {boot.command}"] if boot.command else []
    facts = [*versions, *command, *([f"database {boot.database}"] if boot.database else [])]
    if facts:
        lines.append(style.wrapped(", ".join(facts), "  "))
    if boot.changed:
        changes = ", ".join(f"{_NAMES.get(name, name)} {old} → {new}" for name, (old, new) in boot.changed.items())
        lines.append(style.wrapped(f"changed since the last good boot: {changes}", "  "))
    lines += _holes(boot, style)
    lines += _phases(boot, style)
    lines += _happenings(boot, style)
    if boot.failure is not None:
        lines += ["", *_trouble(boot.failure, style, "FAILED", "bad")]
    return "\n".join(lines)


def _word(boot: BootAccount) -> str:
    if boot.outcome == "vanished":
        return f"{_WORDS[boot.outcome]}, while {boot.state}"
    if ended_by_itself(boot):
        return "DONE" if boot.command == "migrate" else "ENDED by itself"
    return _WORDS[boot.outcome]


_NAMES: Final = {"supervisor": "supervisor", "python": "Python", "directus": "Directus", "postgres": "PostgreSQL"}


def _holes(boot: BootAccount, style: Style) -> Iterator[str]:
    if boot.missing_at_the_beginning:
        text = f"the log begins within this boot: its first {boot.missing_at_the_beginning} lines are not there"
        yield style.paint(style.wrapped(text, "    ", "  ! "), "warn")
    if boot.lines_lost:
        places = ", ".join(f"{gap.lines} before {gap.before or 'an unknown time'}" for gap in boot.missing[:3])
        yield style.paint(style.wrapped(f"{boot.lines_lost} lines are missing: {places}", "    ", "  ! "), "warn")


def _phases(boot: BootAccount, style: Style) -> Iterator[str]:
    if not boot.phases:
        return
    yield ""
    whole_s = max(((phase.offset_s or 0.0) + (phase.duration_s or 0.0) for phase in boot.phases), default=0.0)
    width = max(len(phase.name) for phase in boot.phases)
    for phase in boot.phases:
        word = phase.outcome or _STATES.get(phase.state, phase.state)
        kind = {"failed": "bad", "running": "warn", "waiting": "soft"}.get(phase.state, "good")
        took = span(phase.duration_s) if phase.duration_s is not None else ""
        head = f"  {_clean(phase.name):<{width}}  {style.paint(f'{word:<9}', kind)} {_bar(phase, whole_s)} {took:>10}  "
        bare = 2 + width + 2 + 9 + 1 + _BAR + 2 + 1 + 10 + 2
        texts = [text for text in (phase.summary, *phase.details[:_SHOWN_DETAILS]) if text]
        if len(phase.details) > _SHOWN_DETAILS:
            texts.append(f"and {len(phase.details) - _SHOWN_DETAILS} more")
        told = _clean("; ".join(texts))
        if len(told) <= style.width - bare:
            yield f"{head}{told}".rstrip()
        else:
            yield head.rstrip()
            yield from (style.wrapped(text, "        ", "      ") for text in texts)


_STATES: Final = {"waiting": "not begun", "running": "running", "failed": "FAILED"}


def _bar(phase: PhaseAccount, whole_s: float) -> str:
    if phase.offset_s is None or phase.duration_s is None or whole_s <= 0:
        return f"▕{'░' * _BAR}▏"
    begin = min(int(phase.offset_s / whole_s * _BAR), _BAR - 1)
    length = max(round(phase.duration_s / whole_s * _BAR), 1)
    length = min(length, _BAR - begin)
    return f"▕{'░' * begin}{'█' * length}{'░' * (_BAR - begin - length)}▏"


def _happenings(boot: BootAccount, style: Style) -> list[str]:
    told: list[tuple[str, list[str]]] = [(each.at, [_episode(each, style)]) for each in boot.story]
    said: set[tuple[str, ...]] = set()
    told += [(each.at, list(_restart(each, style, said))) for each in boot.restarts]
    told += [(each.at, list(_trouble(each, style, _time(each.at), "bad"))) for each in (*boot.troubles, *boot.given_up)]
    told.sort(key=lambda pair: pair[0])
    lines = ["", *(line for _, group in told for line in group)] if told else []
    hidden = boot.restarts_total - len(boot.restarts)
    if hidden:
        lines.append(f"  … {hidden} more restarts between the first {min(len(boot.restarts), 3)} and the last ones")
    if boot.story_left_out:
        lines.append(f"  … {boot.story_left_out} more lines of this kind")
    if boot.earlier:
        lines.append(f"  … {boot.earlier} earlier ones, from before --since")
    return lines


def _episode(episode: EpisodeAccount, style: Style) -> str:
    times = f" ({episode.count} times until {_time(episode.last_at)})" if episode.count > 1 else ""
    kind = {"warning": "warn", "error": "bad", "critical": "bad"}.get(episode.level, "plain")
    lines = [style.paint(style.wrapped(episode.text + times, " " * 16, f"  {_time(episode.at)}  "), kind)]
    if episode.remedy:
        lines.append(style.wrapped(f"to do: {episode.remedy}", " " * 23, " " * 16))
    return "\n".join(lines)


def _restart(restart: RestartAccount, style: Style, said: set[tuple[str, ...]]) -> Iterator[str]:
    """One restart; the words and the remedy of one after the other that is like it are not said again."""
    uptime = f" after {span(restart.uptime_s)}" if restart.uptime_s is not None else ""
    delay = f", started again in {span(restart.delay_s)}" if restart.delay_s is not None else ""
    of = f" (restart {restart.number} of {restart.limit})" if restart.number and restart.limit else ""
    back = f"; ready again {span(restart.ready_after_s)} later" if restart.ready_after_s is not None else ""
    cause = restart.trouble.cause.rstrip(".")
    text = f"RESTART  {cause}{uptime}{delay}{of}{back}"
    yield style.paint(style.wrapped(text, " " * 16, f"  {_time(restart.at)}  "), "warn")
    words, remedy = restart.trouble.last_lines, restart.trouble.remedy
    if words and (restart.process, *words) in said:
        yield style.paint(" " * 16 + "| the same last lines as before", "soft")
    else:
        yield from _words(words, style, " " * 16)
    if (restart.process, remedy) not in said and restart.trouble.code != f"process.{RELOAD}":
        yield style.wrapped(f"to do: {remedy}", " " * 23, " " * 16)
    said |= {(restart.process, *words), (restart.process, remedy)}


def _trouble(trouble: TroubleAccount, style: Style, title: str, kind: str) -> Iterator[str]:
    yield style.paint(style.wrapped(f"{title}  {trouble.code}", "  "), kind)
    yield style.wrapped(f"why    {trouble.cause}", " " * 11, "    ")
    if excerpt := trouble.details.get("excerpt"):
        yield "\n".join(f"           {_clean(line)}" for line in str(excerpt).split("\n"))
    if facts := facts_of(trouble):
        yield style.wrapped(f"facts  {'; '.join(facts)}", " " * 11, "    ")
    if (changes := changes_of(trouble.details)) is not None:
        when = f" ({trouble.details['last_good_boot']})" if "last_good_boot" in trouble.details else ""
        yield style.wrapped(f"new    since the last good boot{when}: {changes or 'nothing'}", " " * 11, "    ")
    yield from _words(trouble.last_lines, style, " " * 11)
    yield style.paint(style.wrapped(f"to do  {trouble.remedy}", " " * 11, "    "), "bold")
    if trouble.runbook:
        yield f"    more   {_clean(trouble.runbook)}"


def _words(lines: Sequence[str], style: Style, indent: str) -> Iterator[str]:
    room = max(style.width, NARROWEST) - len(indent) - 2
    for line in lines:
        text = _clean(line).rstrip()
        yield style.paint(f"{indent}| {text if len(text) <= room else text[: room - 1] + '…'}", "soft")


def _todo(account: Account, style: Style) -> str:
    actions = account.verdict.actions
    if not actions:
        return ""
    lines = [style.paint("WHAT TO DO, the first thing first", "bold")]
    for number, action in enumerate(actions, 1):
        lines.append(style.wrapped(action.what, "     ", f"  {number}. "))
        # What the verdict says a few lines below need not be said twice.
        cause = action.why.partition(": ")[2] or action.why
        if cause not in account.verdict.text:
            lines.append(style.paint(style.wrapped(f"because {action.why}", "     "), "soft"))
        if action.runbook:
            lines.append(style.paint(f"     see {_clean(action.runbook)}", "soft"))
    return "\n".join(lines)


def _verdict(account: Account, style: Style) -> str:
    kind = "good" if account.verdict.well else "bad"
    return f"{style.paint('VERDICT', kind)}\n{style.wrapped(account.verdict.text, '  ')}"


def _time(stamp: str) -> str:
    return stamp[11:23] if "T" in stamp else stamp


def _clean(text: str) -> str:
    return _CONTROL.sub("�", text.replace("\t", "    "))
