"""What the account says of a boot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from supervisor.explain.account import SCHEMA_VERSION
from supervisor.explain.text import Style, account_text
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


def test_a_reload_right_after_a_crash_is_told_as_a_reload(tmp_path: Path) -> None:
    log = Log().becomes_ready()
    log.say(
        "incident", "error", code="process.signal", message="directus ended with signal SIGSEGV.", process="directus"
    )
    log.say("process.restarting", "warning", process="directus", reason="ended with signal SIGSEGV", cause="signal")
    log.say("process.restarting", process="directus", reason="is reloaded", cause="reload", delay_s=0.0)
    account = account_of(tmp_path, log.text)
    crash, reload = account.boots[0].restarts
    assert (crash.trouble.code, reload.trouble.code) == ("process.signal", "process.reload")
    assert (
        "directus was restarted once, last at 2026-01-31T03:00:05Z: directus ended with signal" in account.verdict.text
    )
    assert not account.boots[0].troubles


def test_a_failure_that_takes_long_to_end_is_told_once_with_all_that_is_known(tmp_path: Path) -> None:
    log = Log().becomes_ready()
    failure: dict[str, Any] = {"code": "directus.crash_loop", "message": "too often", "remedy": "Look.", "exit_code": 7}
    log.say("incident", "error", **failure, process="directus", last_lines=["out of luck"])
    log.say("supervisor.failed", "error", after_s=30.0, **failure)
    (boot,) = account_of(tmp_path, log.text).boots
    assert boot.failure is not None
    assert boot.failure.last_lines == ("out of luck",)
    assert boot.failure.at == "2026-01-31T03:00:05.410Z"
    assert not boot.troubles


def test_a_process_that_was_given_up_is_told_once(tmp_path: Path) -> None:
    log = Log().becomes_ready()
    told: dict[str, Any] = {"message": "worker ended 3 times", "remedy": "Read its last lines."}
    log.say("incident", "error", code="process.given_up", process="worker", exit_status=3, last_lines=["sunk"], **told)
    log.say("process.given_up", "error", process="worker", **told)
    account = account_of(tmp_path, log.text)
    (boot,) = account.boots
    (given_up,) = boot.given_up
    assert (given_up.details["exit_status"], given_up.last_lines) == (3, ("sunk",))
    assert not boot.troubles
    assert not account.verdict.well


def test_a_phase_failure_that_a_stop_outran_is_a_stop(tmp_path: Path) -> None:
    log = Log().begins().phase("wait_for_postgres")
    log.say("signal.received", signal="SIGTERM", action="stop")
    log.say("phase.failed", "error", phase="pre_schema", duration_s=0.1)
    log.say("stop.outran_failure", "warning", code="postgres.connection_lost", message="it was lost")
    log.say("supervisor.stopped", exit_code=0, uptime_s=3.0)
    (boot,) = account_of(tmp_path, log.text).boots
    assert (boot.outcome, boot.failure) == ("stopped", None)


def test_the_phase_that_a_stop_interrupted_is_named_also_where_the_log_has_no_debug_lines(tmp_path: Path) -> None:
    log = Log().begins().phase("wait_for_postgres")
    log.say("signal.received", after_s=60.0, signal="SIGTERM", action="stop")
    log.say("state.changed", before="migrating", state="stopping", reason="SIGTERM was received")
    log.say("supervisor.stopped", exit_code=0, uptime_s=3.0)
    account = account_of(tmp_path, log.text)
    _, interrupted, after, *_ = account.boots[0].phases
    assert (interrupted.name, interrupted.state) == ("pre_schema", "stopped")
    assert interrupted.duration_s == pytest.approx(60.2)
    assert after.state == "waiting"
    assert "in pre_schema" in account.verdict.text


def test_the_phase_in_which_the_log_ends_is_named_also_where_it_has_no_debug_lines(tmp_path: Path) -> None:
    log = Log().begins().phase("wait_for_postgres").phase("pre_schema")
    account = account_of(tmp_path, log.text)
    assert [phase.state for phase in account.boots[0].phases[:4]] == ["finished", "finished", "running", "waiting"]
    assert "in bootstrap" in account.verdict.text


def test_only_the_signals_that_ask_for_a_stop_are_said_to_have_stopped_it(tmp_path: Path) -> None:
    log = Log().becomes_ready()
    log.say("signal.received", signal="SIGHUP", action="reload: directus is restarted in good order")
    log.say("signal.received", signal="SIGUSR1", action="the state is logged")
    account = account_of(tmp_path, log.stops().text)
    assert "stopped as asked (SIGTERM)" in account.verdict.text
    assert account.boots[0].signals == ("SIGHUP", "SIGUSR1", "SIGTERM")


def test_an_end_that_nobody_asked_for_is_not_said_to_have_been_asked_for(tmp_path: Path) -> None:
    log = Log().becomes_ready()
    reason = "directus ended with status 9, which is not restarted"
    log.say("state.changed", before="restarting", state="stopping", reason=reason)
    log.say("supervisor.stopped", exit_code=9, uptime_s=12.0)
    account = account_of(tmp_path, log.text)
    assert account.boots[0].outcome == "stopped"
    assert reason in account.verdict.text
    assert "as asked" not in account.verdict.text


def test_a_migration_that_was_stopped_is_said_not_to_be_done(tmp_path: Path) -> None:
    log = Log().begins()
    log.lines = [line.replace('"run":"run"', '"run":"migrate"') for line in log.lines]
    log.say("signal.received", signal="SIGTERM", action="stop")
    log.say("supervisor.stopped", exit_code=143, uptime_s=3.0)
    account = account_of(tmp_path, log.text)
    assert "The migration" in account.verdict.text
    assert "is not done" in account.verdict.text
    assert not account.verdict.well


def test_what_went_wrong_before_is_told_of_each_kind(tmp_path: Path) -> None:
    killed = Log("a" * 12).becomes_ready()
    failed = Log("b" * 12, began_s=60).fails()
    account = account_of(tmp_path, killed.text + failed.text + Log("c" * 12, began_s=90).becomes_ready().text)
    assert "one ended without a word" in account.verdict.text
    assert "one failed, with sql.failed" in account.verdict.text
    assert any("OOMKilled" in action.what for action in account.verdict.actions)


def test_a_boot_that_was_stopped_before_it_was_ready_is_not_the_last_good_one(tmp_path: Path) -> None:
    good, stopped, bad = (
        Log("a" * 12).becomes_ready().stops(),
        Log("b" * 12, began_s=60).begins().stops(),
        Log("c" * 12, began_s=90).fails(),
    )
    good.lines = [line.replace("11.17.4", "11.17.3") for line in good.lines]
    account = account_of(tmp_path, good.text + stopped.text + bad.text)
    assert account.boots[-1].changed == {"directus": ("11.17.3", "11.17.4")}


def test_a_boot_with_hundreds_of_pending_files_is_followed_to_its_end(tmp_path: Path) -> None:
    log = Log().begins()
    for number in range(150):
        log.say("sql.pending", "warning", file=f"pre-schema/{number}.sql", extension="timescaledb", phase="pre_schema")
    ready = Log().becomes_ready()
    text = log.text + "".join(f"{line}\n" for line in ready.lines[4:])
    (boot,) = account_of(tmp_path, text.replace(',"seq":', ',"was":')).boots
    assert [phase.state for phase in boot.phases] == ["finished"] * 6
    assert len(boot.pending_files) == 150


def test_a_quiet_replica_is_not_forgotten_for_another_that_crashes_all_the_time(tmp_path: Path) -> None:
    quiet = Log("q" * 12).becomes_ready()
    lines = [f"[pod/a/directus] {line}" for line in quiet.lines]
    for number in range(100):
        lines += [f"[pod/b/directus] {line}" for line in Log(f"{number:012}", began_s=number * 10 + 60).fails().lines]
    account = account_of(tmp_path, "\n".join(lines))
    assert account.verdict.text.startswith("2 replicas: 1 failed, 1 up when the log ends.")


def test_the_restarts_of_each_process_are_counted_by_themselves(tmp_path: Path) -> None:
    log = Log().becomes_ready().crashes().crashes()
    log.say("process.restarting", "warning", process="worker", reason="ended with status 3", cause="exit")
    account = account_of(tmp_path, log.text)
    assert account.boots[0].restarts_by_process == {"directus": 2, "worker": 1}
    assert "directus was restarted 2 times, worker once; the last time worker" in account.verdict.text


def test_what_has_changed_since_the_last_good_boot_is_told_by_name(tmp_path: Path) -> None:
    log = Log().fails()
    failed = log.lines.pop()
    log.say(
        "incident",
        "error",
        code="sql.failed",
        message="m",
        remedy="r",
        exit_code=3,
        last_good_boot="2026-01-30T03:00:00.000Z",
        changed=[
            {"what": "sql_files", "before": 1, "after": 2, "added": ["002_a.sql"], "edited": [], "removed": []},
            {"what": "settings", "name": "SUPERVISOR_LOCK_TIMEOUT_S", "before": None, "after": "77"},
        ],
    )
    told = "SQL files (added 002_a.sql), the setting SUPERVISOR_LOCK_TIMEOUT_S unset → 77"
    account = account_of(tmp_path, log.text + failed)
    assert f"Since the last good boot this has changed: {told}." in account.verdict.text
    shown = " ".join(account_text(account, Style(100, colour=False, unicode=True)).split())
    assert f"since the last good boot (2026-01-30T03:00:00.000Z): {told}" in shown


def test_that_nothing_has_changed_since_the_last_good_boot_is_told(tmp_path: Path) -> None:
    log = Log().begins()
    log.say("incident", "error", code="sql.failed", message="m", remedy="r", exit_code=3, changed=[])
    shown = account_text(account_of(tmp_path, log.text), Style(100, colour=False, unicode=True))
    assert "since the last good boot: nothing" in shown


def test_a_crash_loop_is_short_to_read(tmp_path: Path) -> None:
    log = Log().becomes_ready()
    for _ in range(5):
        log.crashes("Error: the disk is gone")
    shown = account_text(account_of(tmp_path, log.text), Style(100, colour=False, unicode=True))
    assert shown.count("Error: the disk is gone") == 2, "once after the words of the start, once alone"
    assert shown.count("RESTART") == 5
    assert shown.count("a restart mends it only when") == 2, "once where it happened, once in what is to be done"


def test_why_something_is_to_be_done_is_said_unless_the_verdict_says_it(tmp_path: Path) -> None:
    log = Log("a" * 12).becomes_ready().text + Log("b" * 12, began_s=60).becomes_ready().text
    shown = account_text(account_of(tmp_path, log), Style(100, colour=False, unicode=True))
    assert "because The boot of 2026-01-31T03:00:00Z ended without a word" in shown
    shown = account_text(account_of(tmp_path, Log().fails().text), Style(100, colour=False, unicode=True))
    assert "because" not in shown
