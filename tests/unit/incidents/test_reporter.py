"""The reporter: one record, logged and kept, secrets masked, and nothing that it does stops anything."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from supervisor import errors
from supervisor.errors import SupervisorError
from supervisor.incidents import beside, record, store, termination
from supervisor.incidents.reporter import Reporter
from supervisor.logs import setup
from supervisor.process.child import ExitStatus
from supervisor.process.ending import Ending, trouble_of
from supervisor.settings import Settings
from tests.unit.captured import Captured

DEATH = Ending(
    process="directus",
    trouble=trouble_of(ExitStatus(1, None), oom=False),
    status=ExitStatus(1, None),
    uptime_s=1.0,
    restarts=0,
    last_lines=("the password is open-sesame",),
)


def reporter(incident_dir: Path | None = None, termination_log: Path | None = None) -> Reporter:
    return Reporter(Settings(incident_dir=incident_dir, termination_log=termination_log), time.monotonic())


def test_a_failure_is_told_once_however_often_it_is_met(captured: Captured, tmp_path: Path) -> None:
    first, second = SupervisorError(errors.SQL_FAILED, "first"), SupervisorError(errors.USAGE, "second")
    telling = reporter(incident_dir=tmp_path / "in")
    assert telling.ended_by(first) is first
    assert telling.ended_by(second) is first, "what fails after it does not take its place"
    telling.close()
    (incident,) = captured.of("incident")
    assert (incident["code"], incident["level"], incident["exit_code"]) == ("sql.failed", "error", 3)
    assert incident["changed"] is None
    assert len(store.stored(tmp_path / "in")) == 1


def test_secrets_are_masked_in_log_file_and_termination_message(captured: Captured, tmp_path: Path) -> None:
    setup.redactor.know(["open-sesame", "directus.crash_loop"])
    log = tmp_path / "log"
    telling = reporter(incident_dir=tmp_path / "in", termination_log=log)
    telling.died(DEATH)
    error = SupervisorError(errors.CRASH_LOOP, "it is open-sesame", remedy="open-sesame!", last_lines=["open-sesame"])
    error.facts["losses"] = [{"open-sesame": "postgres://u:open-sesame@h/d"}]
    telling.ended_by(error)
    telling.close()
    files = "".join(path.read_text() for path in [*(tmp_path / "in").iterdir(), log])
    assert "open-sesame" not in files + "".join(captured.lines)
    assert "[redacted]" in log.read_text()
    assert "Code: directus.crash_loop, exit 7" in log.read_text(), "our own words are not masked"
    newest = store.stored(tmp_path / "in")[0].document
    assert newest is not None
    assert newest["boot_id"] == setup.boot_id


@pytest.mark.parametrize("kind", ["a file", "a folder without rights", "the folder of a device"])
def test_a_folder_that_cannot_be_used_is_a_warning_and_nothing_else(
    kind: str, captured: Captured, tmp_path: Path
) -> None:
    if kind == "a file":
        (tmp_path / "in").write_text("")
    folder = {
        "a file": tmp_path / "in",
        "a folder without rights": Path("/proc/1"),
        "the folder of a device": Path("/sys/x"),
    }[kind]
    telling = reporter(incident_dir=folder, termination_log=Path("/proc/none"))
    telling.ended_by(SupervisorError(errors.SQL_FAILED, "m"))
    telling.close()
    assert len(captured.of("incident")) == 1
    assert {record["level"] for record in captured.of("incident.not_kept")} == {"warning"}
    assert len(captured.of("incident.not_kept")) == 2


def test_a_full_disk_is_a_warning_and_nothing_else(captured: Captured) -> None:
    telling = reporter(termination_log=Path("/dev/full"))
    telling.ended_by(SupervisorError(errors.SQL_FAILED, "m"))
    telling.close()
    (warning,) = captured.of("incident.not_kept")
    assert "No space left on device" in warning["message"]


def test_a_volume_that_hangs_holds_up_nothing(
    captured: Captured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hanging = threading.Event()
    monkeypatch.setattr(store, "write_whole", lambda *_: hanging.wait(30))
    telling = reporter(incident_dir=tmp_path)
    began = time.monotonic()
    for _ in range(10):
        telling.died(DEATH)
    assert time.monotonic() - began < 1
    assert len(captured.of("incident")) == 10
    assert len(captured.of("incident.not_kept")) == 6, "only so many threads wait for it"
    telling._beside.finish(0.05)
    hanging.set()
    assert "could not be written within 0.05 s" in captured.of("incident.not_kept")[-1]["message"]


def test_a_bug_in_the_telling_does_not_take_the_place_of_the_failure(
    captured: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    telling = reporter()
    monkeypatch.setattr(telling, "_compared", lambda _last: 1 / 0)
    error = SupervisorError(errors.SQL_FAILED, "m")
    assert telling.ended_by(error) is error
    telling.died(DEATH)
    assert len(captured.of("incident.not_kept")) == 2


def test_the_default_place_of_the_termination_message_counts_where_it_is_a_file(tmp_path: Path) -> None:
    there, chosen = tmp_path / "there", tmp_path / "chosen"
    assert termination.place_of(None, there) is None
    there.write_text("")
    assert termination.place_of(None, there) == there
    assert termination.place_of(chosen, there) == chosen


def test_the_termination_message_is_written_in_place(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("what was there before was longer")
    number = path.stat().st_ino
    termination.write(path, b"short")
    assert (path.read_text(), path.stat().st_ino) == ("short", number)


def test_work_beside_that_fails_is_told_at_the_end() -> None:
    told: list[str] = []

    def fail() -> None:
        raise OSError(30, "Read-only file system")

    working = beside.Beside(told.append)
    working.do("It could not be kept", fail)
    working.finish(5)
    assert told == ["It could not be kept: [Errno 30] Read-only file system"]


def test_a_secret_that_a_cut_would_tear_in_two_is_masked_before_it(captured: Captured, tmp_path: Path) -> None:
    setup.redactor.know(["open-sesame"])
    telling = reporter(incident_dir=tmp_path / "in", termination_log=tmp_path / "log")
    line = "x" * (record.LONGEST_LINE - 5) + " open-sesame"
    text = "x" * (record.LONGEST_TEXT - 5) + " open-sesame"
    error = SupervisorError(errors.CRASH_LOOP, text, remedy=text, last_lines=[line])
    telling.ended_by(error)
    telling.close()
    files = "".join(path.read_text() for path in [*(tmp_path / "in").iterdir(), tmp_path / "log"])
    assert "open" not in files + "".join(captured.lines)


def test_the_half_of_a_secret_at_the_beginning_of_a_long_traceback_is_masked(captured: Captured) -> None:
    setup.redactor.know(["open-sesame"])
    telling = reporter()
    for rest in range(record.LONGEST_TEXT - 60, record.LONGEST_TEXT):
        telling._told = None
        telling.ended_by(ValueError("open-sesame" + "x" * rest))
    assert len(captured.lines) == 60
    assert "sesame" not in "".join(captured.lines)
