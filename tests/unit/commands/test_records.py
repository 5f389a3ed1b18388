"""What the commands on records decide and show, from a plan alone."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from supervisor.commands import baseline, repair
from supervisor.commands.history import as_text as history_as_text
from supervisor.commands.plan import Account, as_document, as_text
from supervisor.errors import SupervisorError
from supervisor.postgres.history import PastBoot, PastPhase, boot_record
from supervisor.postgres.plan import Plan, make_plan
from supervisor.postgres.sqlfile import SqlFile, parse_file


def file(name: str, text: str = "SELECT 1;", folder: str = "pre-schema") -> SqlFile:
    return parse_file(Path("/sql") / folder / name, text.encode())


FIRST, SECOND, THIRD = file("001_a.sql"), file("002_b.sql"), file("003_c.sql")
NEEDS = file("004_d.sql", "-- supervisor: requires-extension none\nSELECT 1;")
VIEW = file("001_v.sql", "-- supervisor: repeatable\nSELECT 1;", "post-schema")


def planned() -> Plan:
    recorded = {"001_a.sql": "0" * 64, "003_c.sql": THIRD.checksum, "000_gone.sql": "x", "00_old.sql": None}
    return make_plan([FIRST, SECOND, THIRD, NEEDS, VIEW], recorded, set(), set())


def account() -> Account:
    return Account("app@db:5432/x", planned(), {"003_c.sql": "2026-01-02 03:04:05.6+00"}, None)


def test_a_plan_reads_as_one_row_a_file() -> None:
    assert as_text(account()).splitlines() == [
        "state       file                   note",
        "changed     pre-schema/001_a.sql   edited after it ran; `repair` accepts that",
        "to apply    pre-schema/002_b.sql   out of order: a file after it has run",
        "applied     pre-schema/003_c.sql   2026-01-02 03:04:05",
        "impossible  pre-schema/004_d.sql   needs the extension none, which this server does not offer",
        "to apply    post-schema/001_v.sql  repeatable",
        "no file     000_gone.sql           recorded, and not among the files",
        "no file     00_old.sql             recorded, and not among the files",
        "app@db:5432/x: 1 changed, 2 to apply, 1 applied, 1 impossible, 2 no file",
    ]


def test_a_plan_without_files_says_so() -> None:
    assert as_text(Account("app@db:5432/x", make_plan([], {}, set(), set()), {}, None)) == "app@db:5432/x: no SQL files"


def test_a_plan_as_json_has_both_checksums() -> None:
    document = json.loads(as_document(account()))
    assert document["files"][0]["checksum"] == FIRST.checksum
    assert document["files"][0]["recorded_checksum"] == "0" * 64
    assert document["to_apply"] == ["pre-schema/002_b.sql", "post-schema/001_v.sql"]


def test_a_repair_takes_what_was_edited_and_nothing_else() -> None:
    change = repair.decide(planned(), (), drop_orphans=False)
    assert (change.to_accept, change.to_forget, change.to_record) == ((FIRST,), (), ())
    assert change.lines == (f"accept  pre-schema/001_a.sql  recorded 000000000000, found {FIRST.checksum[:12]}",)


def test_a_repair_drops_orphans_when_asked() -> None:
    assert repair.decide(planned(), (), drop_orphans=True).to_forget == ("000_gone.sql", "00_old.sql")
    chosen = repair.decide(planned(), ("00_old.sql",), drop_orphans=True)
    assert (chosen.to_accept, chosen.to_forget) == ((), ("00_old.sql",))


@pytest.mark.parametrize("name", ["002_b.sql", "000_gone.sql", "nothing"])
def test_a_name_that_cannot_be_repaired_is_refused(name: str) -> None:
    with pytest.raises(SupervisorError, match=name) as caught:
        repair.decide(planned(), ("001_a.sql", name), drop_orphans=False)
    assert caught.value.failure.code == "usage"


@pytest.mark.parametrize(("to", "files"), [(None, (SECOND,)), (2, (SECOND,)), (1, ())])
def test_a_baseline_takes_files_without_a_row_up_to_the_number(to: int | None, files: tuple[SqlFile, ...]) -> None:
    assert baseline.decide(planned(), to).to_record == files


def test_a_baseline_leaves_out_what_a_server_without_the_extension_cannot_have() -> None:
    assert baseline.decide(planned(), 3).left_out == ()
    assert baseline.decide(planned(), None).left_out == (
        "pre-schema/004_d.sql is left out: this server has no none, so nothing that the file makes",
    )
    offered = make_plan([NEEDS], {}, {"none"}, set())
    assert baseline.decide(offered, None).to_record == (NEEDS,)


def test_a_history_reads_as_one_row_a_boot() -> None:
    at = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    quiet = PastPhase("bootstrap", "unchanged", "no Directus migration is pending", 0.1)
    boots = [
        PastBoot(at, 1.234, "web-1", "1.0", "11.1", None, (quiet, PastPhase("pre_schema", "changed", "1 applied", 1))),
        PastBoot(at, 0.1, "web-10", "1.0", "11.1", None, (quiet,)),
        PastBoot(at, 0.1, "web-1", "1.0", "11.1", "sql.failed", (PastPhase("pre_schema", "failed", "no", 1),)),
    ]
    assert history_as_text(boots).splitlines() == [
        "started (UTC)        host    supervisor  directus  seconds  result",
        "2026-01-02 03:04:05  web-1   1.0         11.1      1.23     changed: pre_schema: 1 applied",
        "2026-01-02 03:04:05  web-10  1.0         11.1      0.10     unchanged",
        "2026-01-02 03:04:05  web-1   1.0         11.1      0.10     sql.failed: pre_schema: no",
    ]


def test_a_boot_is_kept_without_nul_characters() -> None:
    record = boot_record(datetime.now(UTC), 1, "11.1", None, [PastPhase("a", "failed", "x\0y", 0)])
    assert json.loads(record.phases)[0]["summary"] == "xy"
