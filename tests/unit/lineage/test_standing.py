"""Whether a release is older than the last one: the database's own order first, hints only where it never met it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.lineage.release import Release, make_release
from supervisor.lineage.standing import (
    ALWAYS,
    Kind,
    Latest,
    Order,
    Record,
    Standing,
    compare_sql,
    compare_versions,
    judge,
)
from supervisor.postgres.sqlfile import SqlTree

BASE = Release("a", "11.17.4", {"pre-schema/001_one.sql": "1", "post-schema/001_two.sql": "2"})


def with_files(release: Release, **files: str) -> Release:
    return replace(release, sql={**release.sql, **{f"pre-schema/{name}.sql": text for name, text in files.items()}})


NEXT = with_files(replace(BASE, snapshot="b"), **{"002_three": "3"})


@dataclass
class Database:
    """What a database would have on record, kept as the ledger keeps it."""

    rows: dict[str, tuple[int, Release, bool]] = field(default_factory=dict)
    applied: list[str] = field(default_factory=list)

    def standing(self, mine: Release, allowed: str = "") -> Standing:
        return judge(mine, self.record(mine), allowed)

    def record(self, mine: Release) -> Record:
        if not self.rows:
            return Record()
        position, release, finished = max(self.rows.values(), key=lambda row: row[0])
        own = self.rows.get(mine.digest)
        return Record(
            Latest(position, release, finished),
            own[0] if own else None,
            bool(own and own[2]),
            any(other.snapshot == mine.snapshot and place < position for place, other, _ in self.rows.values()),
        )

    def boot(self, mine: Release, *, killed: bool = False, allowed: str = "") -> Standing:
        standing = self.standing(mine, allowed)
        if standing.claims:
            place = 1 + max((row[0] for row in self.rows.values()), default=0)
            self.rows[mine.digest] = (place, mine, False)
        if not standing.held:
            self.applied.append(mine.digest)
            if not killed and mine.digest in self.rows:
                place, _, _ = self.rows[mine.digest]
                self.rows[mine.digest] = (place, mine, True)
        return standing


def test_without_a_record_a_boot_goes_on_as_ever() -> None:
    assert judge(BASE, Record()) == Standing(Kind.FIRST, claims=True, reason="no release is on record")


def test_the_release_that_came_last_is_never_held() -> None:
    database = Database()
    database.boot(BASE, killed=True)
    assert database.boot(BASE) == Standing(Kind.CURRENT, reason="it is the release that came last")


def test_an_older_one_that_comes_back_leaves_everything_as_it_is() -> None:
    database = Database()
    database.boot(BASE)
    database.boot(NEXT)
    standing = database.boot(BASE)
    assert (standing.kind, standing.held, standing.claims) == (Kind.OLDER, True, False)
    assert database.boot(NEXT).kind is Kind.CURRENT


def test_an_older_one_leaves_alone_what_a_newer_one_has_only_begun() -> None:
    database = Database()
    database.boot(BASE)
    database.boot(NEXT, killed=True)
    assert database.boot(BASE).held
    assert database.boot(NEXT).kind is Kind.CURRENT


def test_when_neither_was_ever_applied_as_a_whole_the_older_one_makes_a_database_that_runs() -> None:
    database = Database()
    database.boot(BASE, killed=True)
    database.boot(NEXT, killed=True)
    standing = database.boot(BASE)
    assert (standing.kind, standing.held, standing.claims) == (Kind.OLDER, False, False)
    assert database.boot(NEXT).kind is Kind.CURRENT


def test_going_back_takes_a_word_that_counts_once() -> None:
    database = Database()
    database.boot(BASE)
    database.boot(NEXT)
    word = database.boot(BASE).approval
    assert not database.boot(BASE, allowed=word).held
    assert database.boot(NEXT).held
    back = database.boot(NEXT).approval
    assert database.boot(NEXT, allowed=back).claims
    # The word of the first time still stands in the environment of the old image.
    assert database.boot(BASE, allowed=word).held
    assert not database.boot(BASE, allowed=ALWAYS).held


@pytest.mark.parametrize(
    ("mine", "latest", "kind"),
    [
        pytest.param(with_files(NEXT, **{"003_four": "4"}), NEXT, Kind.NEWER, id="a further file"),
        pytest.param(replace(NEXT, snapshot="never seen"), NEXT, Kind.NEWER, id="another snapshot"),
        pytest.param(replace(NEXT, directus="11.18.0"), NEXT, Kind.NEWER, id="a newer Directus"),
        pytest.param(replace(NEXT, directus="11.9.9"), NEXT, Kind.OLDER, id="an older Directus"),
        pytest.param(replace(BASE, snapshot="never seen"), NEXT, Kind.OLDER, id="the last file is not known here"),
        pytest.param(with_files(BASE, **{"002_mine": "x"}), NEXT, Kind.NEWER, id="two branches"),
        pytest.param(
            replace(with_files(NEXT, **{"003_four": "4"}), directus="11.9.9"), NEXT, Kind.DIVERGED, id="newer and older"
        ),
        pytest.param(with_files(NEXT, **{"002_three": "edited"}), NEXT, Kind.NEWER, id="an edited file"),
        pytest.param(
            replace(NEXT, sql=BASE.sql, repeatable={"pre-schema/002_three.sql": "3"}),
            NEXT,
            Kind.NEWER,
            id="the last file became repeatable",
        ),
        pytest.param(replace(NEXT, repeatable={"post-schema/9_view.sql": "v"}), NEXT, Kind.NEWER, id="another view"),
        pytest.param(
            replace(BASE, repeatable={"post-schema/9_view.sql": "v"}), NEXT, Kind.OLDER, id="a view says nothing of age"
        ),
        pytest.param(
            replace(NEXT, sql={name: text for name, text in NEXT.sql.items() if "001_one" not in name}),
            NEXT,
            Kind.NEWER,
            id="an old file was retired",
        ),
    ],
)
def test_one_that_the_database_never_met_is_judged_by_what_it_brings(
    mine: Release, latest: Release, kind: Kind
) -> None:
    standing = judge(mine, Record(Latest(1, latest, finished=True)))
    assert standing.kind is kind
    assert standing.held == (kind is Kind.OLDER)


def test_an_earlier_snapshot_alone_is_old_and_with_something_new_beside_it_a_branch() -> None:
    record = Record(Latest(2, NEXT, finished=True), snapshot_seen=True)
    old = replace(NEXT, snapshot="a")
    assert judge(old, record).kind is Kind.OLDER
    assert judge(with_files(old, **{"003_four": "4"}), record).kind is Kind.DIVERGED


@pytest.mark.parametrize(
    ("mine", "other", "order"),
    [
        ("11.17.4", "11.17.4", Order.SAME),
        ("11.9.0", "11.17.4", Order.OLDER),
        ("12.0.0", "11.17.4", Order.NEWER),
        ("11.17.4-rc.1", "11.17.4", Order.UNLIKE),
        ("main", "11.17.4", Order.UNLIKE),
    ],
)
def test_versions_go_by_their_numbers(mine: str, other: str, order: Order) -> None:
    assert compare_versions(mine, other) is order


def test_a_file_that_moved_to_the_other_folder_is_the_same_file() -> None:
    moved = replace(BASE, sql={"post-schema/001_one.sql": "1", "post-schema/001_two.sql": "2"})
    assert compare_sql(moved, BASE) is Order.SAME


def test_line_ends_make_no_other_release() -> None:
    tree = SqlTree((), ())
    assert make_release(b"a\r\nb\r\n", "1", tree) == make_release(b"a\nb\n", "1", tree)
    assert make_release(b" \n", "1", tree) == make_release(None, "1", tree)


@st.composite
def rollouts(draw: st.DrawFn) -> list[Release]:
    """Releases of one line, each with something new."""
    release = Release("s0", "11.0.0", {})
    line = [release]
    for number in range(1, draw(st.integers(1, 5)) + 1):
        what = draw(st.sets(st.sampled_from(["snapshot", "sql", "directus"]), min_size=1))
        release = replace(
            release,
            snapshot=f"s{number}" if "snapshot" in what else release.snapshot,
            directus=f"11.{number}.0" if "directus" in what else release.directus,
        )
        release = with_files(release, **{f"{number:03d}_file": "x"}) if "sql" in what else release
        line.append(release)
    return line


@given(st.data())
def test_in_no_order_of_boots_and_kills_does_an_older_release_undo_a_newer_one(data: st.DataObject) -> None:
    line = data.draw(rollouts())
    database = Database()
    newest, finished = -1, set[int]()
    for _ in range(data.draw(st.integers(1, 25))):
        number = data.draw(st.integers(0, min(newest + 1, len(line) - 1)))
        killed = data.draw(st.booleans())
        standing = database.boot(line[number], killed=killed)
        if number < newest:
            whole = number in finished or newest in finished
            assert standing.held == whole
            assert not standing.claims
        else:
            assert not standing.held
        newest = max(newest, number)
        if not killed and not standing.held:
            finished.add(number)


@given(st.data())
def test_what_is_newest_always_gets_applied(data: st.DataObject) -> None:
    line = data.draw(rollouts())
    database = Database()
    for number in data.draw(st.lists(st.integers(0, len(line) - 2), max_size=10)):
        database.boot(line[number], killed=data.draw(st.booleans()))
    last = line[-1]
    if last.digest not in {release.digest for release in line[:-1]}:
        assert not database.boot(last).held
        assert database.boot(last).kind is Kind.CURRENT
