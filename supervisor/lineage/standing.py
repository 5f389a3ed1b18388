"""Whether a release is the one that the database has, a newer or an older one; and what follows from it. Pure.

The age of a release is the place at which a database met it first. For one that it never met there are only hints: its
Directus, its SQL files, and its snapshot, each held against what came last. See docs/replicas.md.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from supervisor.lineage.release import Release

# Where two releases never run at once, going back needs no further word.
ALWAYS: Final = "always"
_NUMBERS: Final = re.compile(r"[0-9]+")
_FILE: Final = re.compile(r"(?P<folder>.*)/(?P<name>(?P<number>[0-9]+)_.*)", re.DOTALL)


class Order(StrEnum):
    """How one side of a release compares with that of another."""

    SAME = "same"
    NEWER = "newer"
    OLDER = "older"
    UNLIKE = "unlike"


class Kind(StrEnum):
    """What a release is to a database."""

    FIRST = "first"
    CURRENT = "current"
    NEWER = "newer"
    DIVERGED = "diverged"
    OLDER = "older"


@dataclass(frozen=True, slots=True)
class Latest:
    """The release that came last.

    Attributes:
        position: its place in the order in which the database met its releases.
        release: what it brings.
        finished: whether a boot of it went through all phases.
        since: when it came, and by whom, in a few words.
    """

    position: int
    release: Release
    finished: bool
    since: str = ""


@dataclass(frozen=True, slots=True)
class Record:
    """What a database has on record that concerns one release.

    Attributes:
        latest: the release that came last; None when none has come.
        position: the place of the release in question; None when the database never met it.
        finished: whether a boot of it ever went through all phases.
        snapshot_seen: whether a release before the latest one had the same snapshot.
    """

    latest: Latest | None = None
    position: int | None = None
    finished: bool = False
    snapshot_seen: bool = False


@dataclass(frozen=True, slots=True)
class Standing:
    """What a release is to a database, and what follows.

    Attributes:
        kind: what it is.
        held: whether it leaves the SQL files and the schema alone, since a newer one has brought them on.
        claims: whether it becomes the latest one.
        reason: half a sentence on why.
        approval: what ``SUPERVISOR_ALLOW_DOWNGRADE`` has to say for an older one to be applied, this once.
    """

    kind: Kind
    held: bool = False
    claims: bool = False
    reason: str = ""
    approval: str = ""


def judge(mine: Release, record: Record, allowed: str = "") -> Standing:
    """Decide what a release may do.

    An older one is held only when the database has had either of the two as a whole: else nobody has brought it to
    where Directus can run, and somebody has to.

    Args:
        mine: the release that boots.
        record: what the database has on record.
        allowed: what ``SUPERVISOR_ALLOW_DOWNGRADE`` says.
    """
    latest = record.latest
    if latest is None:
        return Standing(Kind.FIRST, claims=True, reason="no release is on record")
    if latest.release.digest == mine.digest:
        return Standing(Kind.CURRENT, reason="it is the release that came last")
    kind, reason = _compare(mine, record, latest)
    if kind is not Kind.OLDER:
        return Standing(kind, claims=True, reason=reason)
    approval = approval_of(latest, mine)
    if allowed in {approval, ALWAYS}:
        return Standing(kind, claims=True, reason=reason, approval=approval)
    return Standing(kind, held=record.finished or latest.finished, reason=reason, approval=approval)


def approval_of(latest: Latest, mine: Release) -> str:
    """Names going back from one to the other, this once: the next time the latest one has another place."""
    return hashlib.sha256(f"{latest.position}:{latest.release.digest}:{mine.digest}".encode()).hexdigest()[:16]


def _compare(mine: Release, record: Record, latest: Latest) -> tuple[Kind, str]:
    if record.position is not None:
        return Kind.OLDER, "the database met it before the release that came last"
    sides = {
        "Directus": compare_versions(mine.directus, latest.release.directus),
        "the SQL files": compare_sql(mine, latest.release),
        "the snapshot": _compare_snapshots(mine, record, latest.release),
    }
    older = [name for name, order in sides.items() if order is Order.OLDER]
    further = [name for name, order in sides.items() if order in {Order.NEWER, Order.UNLIKE}]
    if older and further:
        return Kind.DIVERGED, f"older by {' and '.join(older)}, not by {' and '.join(further)}"
    if older:
        return Kind.OLDER, f"it is older by {' and '.join(older)}"
    return Kind.NEWER, "it brings something that the database never had"


def compare_versions(mine: str, other: str) -> Order:
    """Order two versions by their numbers; what stands beside the numbers does not count."""
    if mine == other:
        return Order.SAME
    left, right = (tuple(int(number) for number in _NUMBERS.findall(text.partition("-")[0])) for text in (mine, other))
    if not left or not right or left == right:
        return Order.UNLIKE
    return Order.NEWER if left > right else Order.OLDER


def compare_sql(mine: Release, other: Release) -> Order:
    """Order two sets of SQL files: the one with further files is the newer one.

    A file that is gone makes no release older, for files are retired, too; one above all numbers of its folder does.
    Repeatable files have no order.
    """
    ours, theirs = _by_name(mine.sql), _by_name(other.sql)
    ours_too, theirs_too = _by_name(mine.repeatable), _by_name(other.repeatable)
    added = set(ours) - set(theirs) - set(theirs_too)
    gone = set(theirs) - set(ours) - set(ours_too)
    edited = any(ours[name][2] != theirs[name][2] for name in set(ours) & set(theirs))
    # One that was numbered and is repeatable now, or the other way round.
    edited = edited or bool(set(ours) & set(theirs_too) or set(theirs) & set(ours_too))
    if not added and not gone:
        return Order.UNLIKE if edited else Order.SAME
    if added:
        return Order.UNLIKE if gone else Order.NEWER
    highest: dict[str, int] = {}
    for folder, number, _ in ours.values():
        highest[folder] = max(number, highest.get(folder, -1))
    above = any(theirs[name][1] > highest.get(theirs[name][0], -1) for name in gone)
    return Order.OLDER if above and not edited else Order.UNLIKE


def _by_name(labels: Mapping[str, str]) -> dict[str, tuple[str, int, str]]:
    # By its name alone, as in the guard table: a file may move to the other folder.
    files = {}
    for label, checksum in labels.items():
        if match := _FILE.fullmatch(label):
            files[match["name"]] = (match["folder"], int(match["number"]), checksum)
    return files


def _compare_snapshots(mine: Release, record: Record, other: Release) -> Order:
    # One that the database never had says nothing about its age.
    return Order.OLDER if mine.snapshot and mine.snapshot != other.snapshot and record.snapshot_seen else Order.SAME
