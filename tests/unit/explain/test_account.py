"""What the account says of a boot."""

from __future__ import annotations

from pathlib import Path

import pytest

from supervisor.explain.account import SCHEMA_VERSION
from tests.unit.explain.written import PHASES, Log, account_of


def test_a_good_boot_is_told_with_its_phases_and_nothing_to_do(tmp_path: Path) -> None:
    account = account_of(tmp_path, Log().becomes_ready().text)
    (boot,) = account.boots
    assert boot.outcome == "ready"
    assert boot.versions == {"supervisor": "1.0.0", "python": "3.11.7", "directus": "11.17.4"}
    assert [phase.name for phase in boot.phases] == [*PHASES, "launch"]
    assert [phase.duration_s for phase in boot.phases[:2]] == [0.5, 0.5]
    assert boot.phases[1].offset_s == pytest.approx(0.8)
    assert account.verdict.well
    assert not account.verdict.actions
    assert "It is up" in account.verdict.text
    assert "Nothing is to be done" in account.verdict.text


def test_a_failed_boot_is_told_with_cause_remedy_and_runbook(tmp_path: Path) -> None:
    account = account_of(tmp_path, Log().fails().text)
    (boot,) = account.boots
    assert (boot.outcome, boot.exit_code) == ("failed", 3)
    assert boot.failure is not None
    assert boot.failure.runbook == "docs/runbook.md#sqlfailed"
    assert boot.failure.details["excerpt"].startswith("3 | ALTER TABLE")
    assert [phase.state for phase in boot.phases] == ["finished", "failed", "waiting", "waiting", "waiting"]
    assert not account.verdict.well
    for words in ("in pre_schema", "sql.failed", "exit status 3", "vehicles", "Move the file to post-schema/."):
        assert words in account.verdict.text
    assert account.verdict.actions[0].what == "Move the file to post-schema/."


def test_a_failure_whose_last_line_is_missing_is_told_from_what_came_before(tmp_path: Path) -> None:
    log = Log().begins().phase("wait_for_postgres")
    log.say("directus.step", phase="bootstrap", step="bootstrap", pid=9)
    log.say("process.output", process="bootstrap", stream="stderr", message="error: no room left", phase="bootstrap")
    log.say("phase.failed", "error", phase="bootstrap", duration_s=1.0)
    account = account_of(tmp_path, log.text)
    failure = account.boots[0].failure
    assert failure is not None
    assert (failure.place, failure.last_lines) == ("bootstrap", ("error: no room left",))
    assert "is not in this log" in account.verdict.text


@pytest.mark.parametrize("incident_first", [True, False])
def test_an_incident_and_the_failure_that_it_is_are_told_once(tmp_path: Path, *, incident_first: bool) -> None:
    log = Log().fails()
    failure = log.lines.pop()
    incident = Log("0123456789ab", numbered=False, began_s=1.5)
    incident.say(
        "incident",
        "error",
        code="sql.failed",
        message="the same",
        remedy="the same",
        runbook="https://example.com/runbook#sqlfailed",
        phase="pre_schema",
        exit_code=3,
        changed=[{"what": "Directus", "before": "11.17.3", "after": "11.17.4"}],
    )
    lines = [*incident.lines, failure] if incident_first else [failure, *incident.lines]
    account = account_of(tmp_path, "\n".join([*log.lines, *lines]))
    (boot,) = account.boots
    assert boot.failure is not None
    assert boot.failure.code == "sql.failed"
    assert boot.failure.runbook == "https://example.com/runbook#sqlfailed"
    assert boot.failure.details["changed"][0]["after"] == "11.17.4"
    assert "excerpt" in boot.failure.details
    assert not boot.troubles


def test_a_restart_is_told_with_its_last_words_and_how_it_came_back(tmp_path: Path) -> None:
    account = account_of(tmp_path, Log().becomes_ready().crashes("ENOSPC: no space left on device").text)
    (restart,) = account.boots[0].restarts
    assert restart.trouble.last_lines[-1] == "ENOSPC: no space left on device"
    assert (restart.uptime_s, restart.number, restart.limit) == (60.0, 1, 5)
    assert "directus was restarted once" in account.verdict.text


def test_the_words_of_an_earlier_life_are_not_the_last_words(tmp_path: Path) -> None:
    log = Log().becomes_ready().crashes("first words")
    log.say("process.exited", process="directus", pid=18, signal="SIGSEGV", uptime_s=1.0, expected=False)
    log.say("process.restarting", "warning", process="directus", reason="ended with signal SIGSEGV", delay_s=1.0)
    _, second = account_of(tmp_path, log.text).boots[0].restarts
    assert second.trouble.last_lines == ()
    assert second.trouble.code == "process.signal"


def test_the_reason_at_the_beginning_of_a_long_dump_is_kept(tmp_path: Path) -> None:
    log = Log().becomes_ready().output("Error: no such file")
    for number in range(20):
        log.output(f"    at function{number} (file.js:1:1)")
    log.say("process.exited", process="directus", pid=17, exit_code=1, uptime_s=1.0, expected=False)
    log.say("process.restarting", "warning", process="directus", reason="ended with status 1", delay_s=1.0)
    lines = account_of(tmp_path, log.text).boots[0].restarts[0].trouble.last_lines
    assert len(lines) == 12
    assert lines[0] == "Error: no such file"


def test_an_oom_kill_is_named_with_the_memory_limit(tmp_path: Path) -> None:
    log = Log().becomes_ready()
    log.say("process.exited", process="directus", pid=17, signal="SIGKILL", uptime_s=60.0, expected=False)
    log.say("process.restarting", "warning", process="directus", reason="ended with signal SIGKILL", oom=True)
    account = account_of(tmp_path, log.text)
    assert account.boots[0].restarts[0].trouble.code == "process.out_of_memory"
    assert "memory limit" in account.verdict.actions[0].what


def test_a_boot_that_ends_without_a_word_is_told_as_killed(tmp_path: Path) -> None:
    first, second = Log("aaaaaaaaaaaa").becomes_ready(), Log("bbbbbbbbbbbb", began_s=60).becomes_ready()
    account = account_of(tmp_path, first.text + second.text)
    assert [boot.outcome for boot in account.boots] == ["vanished", "ready"]
    assert "without a word" in account.verdict.text
    assert "OOMKilled" in account.verdict.actions[0].what


def test_a_log_that_ends_while_postgres_is_waited_for_says_so(tmp_path: Path) -> None:
    log = Log().begins()
    for attempt in range(1, 38):
        log.say(
            "postgres.waiting",
            "warning",
            phase="wait_for_postgres",
            attempt=attempt,
            cause="connection refused by db:5432",
            next_delay_s=1.0,
        )
    account = account_of(tmp_path, log.text)
    (boot,) = account.boots
    assert boot.outcome == "unfinished"
    assert [(episode.count, episode.event) for episode in boot.story] == [(37, "postgres.waiting")]
    assert "in wait_for_postgres" in account.verdict.text
    assert "connection refused by db:5432 (37 times" in account.verdict.text
    assert "DB_HOST" in account.verdict.actions[0].what


def test_the_same_failure_in_a_row_is_counted_and_what_changed_before_is_named(tmp_path: Path) -> None:
    good = Log("aaaaaaaaaaaa").becomes_ready().stops()
    good.lines = [line.replace("11.17.4", "11.17.3") for line in good.lines]
    bad = [Log(f"b{number:011}", began_s=60 * (number + 1)).fails() for number in range(7)]
    account = account_of(tmp_path, good.text + "".join(log.text for log in bad))
    assert "7th boot in a row" in account.verdict.text
    assert "directus 11.17.3 → 11.17.4" in account.verdict.text


def test_a_recovered_replica_is_well(tmp_path: Path) -> None:
    account = account_of(tmp_path, Log("aaaaaaaaaaaa").fails().text + Log("b" * 12, began_s=60).becomes_ready().text)
    assert account.verdict.well
    assert "It has recovered" in account.verdict.text


def test_replicas_are_told_apart_and_counted(tmp_path: Path) -> None:
    logs = {name: Log(name[-1] * 12).becomes_ready() for name in ("web-a", "web-b", "web-c")}
    logs["web-b"] = Log("b" * 12).fails()
    lines = [f"{name}  | {line}" for group in zip(*(log.lines for log in logs.values()), strict=False) for name, line in
             zip(logs, group, strict=True)]  # fmt: skip
    lines += [f"{name}  | {line}" for name, log in logs.items() for line in log.lines[len(logs["web-b"].lines) :]]
    account = account_of(tmp_path, "\n".join(lines))
    assert {boot.source: boot.outcome for boot in account.boots} == {
        "web-a": "ready",
        "web-b": "failed",
        "web-c": "ready",
    }
    assert len({boot.replica for boot in account.boots}) == 3
    assert account.verdict.text.startswith("3 replicas: 1 failed, 2 up when the log ends.")


def test_missing_lines_are_said(tmp_path: Path) -> None:
    log = Log().becomes_ready()
    lines = log.lines[:6] + log.lines[9:]
    account = account_of(tmp_path, "\n".join(lines))
    (boot,) = account.boots
    assert boot.lines_lost == 3
    assert [(gap.lines, gap.before) for gap in boot.missing] == [(3, "2026-01-31T03:00:03.000Z")]
    assert "3 lines are missing within the log" in account.verdict.text


def test_a_log_cut_at_the_beginning_says_how_much_is_not_there(tmp_path: Path) -> None:
    log = Log().becomes_ready().crashes()
    account = account_of(tmp_path, log.text[len(log.lines[0]) + 40 :])
    (boot,) = account.boots
    assert boot.missing_at_the_beginning == 2
    assert (boot.outcome, boot.lines_lost) == ("ready", 0)


def test_a_line_cut_at_the_end_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    text = Log().fails().text
    account = account_of(tmp_path, text[: text.index(" does not exist")])
    failure = account.boots[0].failure
    assert failure is not None
    assert (failure.code, failure.cause) == ("sql.failed", 'pre-schema/002_a.sql:3: relation "vehicles"')
    assert "Correct the statement" in failure.remedy
    assert account.input.damaged_lines == 1


def test_the_same_file_twice_counts_once(tmp_path: Path) -> None:
    text = Log().becomes_ready().crashes().text
    once, twice = account_of(tmp_path, text), account_of(tmp_path, text * 2)
    assert twice.boots[0].restarts == once.boots[0].restarts
    assert twice.boots[0].lines_repeated == len(text.splitlines())


def test_lines_of_others_do_not_matter(tmp_path: Path) -> None:
    plain = Log().becomes_ready().crashes().text
    noise = [
        "2026-01-31 03:00:00.000 UTC [17] LOG:  checkpoint starting: time",
        '{"level":30,"msg":"x"}',
        "",
        "at x (y)",
    ]
    mixed = "\n".join(f"{line}\n{noise[index % 4]}" for index, line in enumerate(plain.splitlines()))
    assert account_of(tmp_path, mixed).boots == account_of(tmp_path, plain).boots


def test_only_what_is_asked_for_is_told(tmp_path: Path) -> None:
    text = Log("aaaaaaaaaaaa").becomes_ready().stops().text + Log("bbbbbbbbbbbb", began_s=3600).becomes_ready().text
    assert len(account_of(tmp_path, text).boots) == 2
    for options in ({"last": True}, {"boot": "bbb"}, {"since_s": 1_769_830_200.0}):
        account = account_of(tmp_path, text, **options)
        assert [boot.boot_id for boot in account.boots] == ["bbbbbbbbbbbb"]
        assert account.boots_left_out == 1


def test_what_happened_before_since_is_counted_only(tmp_path: Path) -> None:
    log = Log().becomes_ready().crashes()
    log.say("state.report", after_s=7200.0)
    log.crashes()
    account = account_of(tmp_path, log.text, since_s=1_769_832_000.0)
    (boot,) = account.boots
    assert (boot.restarts_total, boot.earlier) == (1, 1)
    assert len(boot.phases) == len(PHASES) + 1


def test_thousands_of_boots_are_counted_and_the_last_ones_kept(tmp_path: Path) -> None:
    text = "".join(Log(f"{number:012}", began_s=number * 10).fails().text for number in range(300))
    account = account_of(tmp_path, text)
    assert account.boots_left_out + len(account.boots) == 300
    assert account.boots[-1].boot_id == "000000000299"
    assert account.boots[-1].failure is not None


def test_thousands_of_restarts_are_counted_and_the_ends_kept(tmp_path: Path) -> None:
    log = Log().becomes_ready()
    for _ in range(200):
        log.crashes()
    (boot,) = account_of(tmp_path, log.text).boots
    assert boot.restarts_total == 200
    assert len(boot.restarts) == 13


def test_the_schema_has_a_version(tmp_path: Path) -> None:
    assert account_of(tmp_path, Log().fails().text).schema_version == SCHEMA_VERSION == 1
