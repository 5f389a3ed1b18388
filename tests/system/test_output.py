"""What a child writes reaches the log: every line, once, in order, however badly it is written or read."""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness import Deployment, Record, Supervised, eventually, free_port, is_gone

BAD_WRITER = Path(__file__).parents[1] / "programs" / "bad_writer.py"
INTO_A_FILE = ("sh", "-c", 'exec "$@" >"$0"')
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def with_habit(deployment: Deployment, habit: str, *arguments: object) -> None:
    """Run the bad writer in Directus' place; when it has ended, so has the supervisor."""
    deployment.environ |= {
        "SUPERVISOR_COMMAND": " ".join([sys.executable, str(BAD_WRITER), habit, *map(str, arguments)]),
        "SUPERVISOR_RESTART_NEVER_STATUSES": "0",
        "SUPERVISOR_LOG_LEVEL": "info",
    }


def lines_of(records: list[Record], process: str = "directus") -> list[Record]:
    return [record for record in records if record["event"] == "process.output" and record["process"] == process]


def output_of(deployment: Deployment, habit: str, *arguments: object) -> list[Record]:
    with_habit(deployment, habit, *arguments)
    with deployment.start("run") as process:
        process.expect_exit(0)
    return lines_of(process.records)


def test_half_a_line_at_the_end_is_there_and_marked(deployment: Deployment) -> None:
    lines = output_of(deployment, "half-a-line")
    assert {(line["message"], line.get("partial")) for line in lines} == {
        ("a whole line", None),
        ("and half a li", True),
    }


def test_bytes_that_are_no_text_are_still_told(deployment: Deployment) -> None:
    lines = output_of(deployment, "no-text")
    assert [line["message"] for line in lines] == [
        r"caf\xe9 \xff\xfe",
        "before\0after",
        r'{"level":30,"msg":"caf\xe9\u0000"}',
        "\x1b[31mred\x1b[0m",
    ]


def test_lines_of_megabytes_come_in_marked_parts_that_join_to_the_whole(deployment: Deployment) -> None:
    # The three bytes of the sign fall on every possible place of a cut; so does a carriage return now and then.
    one, five, last = "€\r7" * 210_000, "é€😀" * 560_000, "the end"
    path = deployment.folder / "lines"
    path.write_bytes(f"{one}\n{five}\n{last}".encode())
    lines = output_of(deployment, "long-lines", path)
    out = [line for line in lines if line["stream"] == "stdout"]
    err = [line for line in lines if line["stream"] == "stderr"]
    assert "".join(line["message"] for line in out[:-1]) == one
    assert out[-1]["message"] == last
    assert "".join(line["message"] for line in err) == five
    assert [line.get("partial") for line in out] == [True] * (len(out) - 2) + [None, None]
    assert [line.get("partial") for line in err] == [True] * (len(err) - 1) + [None]
    assert len(err) > 15


def test_lines_of_both_streams_keep_the_order_in_which_they_were_written(deployment: Deployment) -> None:
    lines = output_of(deployment, "both-streams", 400)
    assert [line["message"] for line in lines] == [f"line {number}" for number in range(400)]
    assert [line["stream"] for line in lines[:4]] == ["stdout", "stderr", "stdout", "stderr"]


def test_a_flood_arrives_once_and_in_order(deployment: Deployment) -> None:
    lines = output_of(deployment, "flood", 200_000)
    assert [int(line["message"]) for line in lines] == list(range(200_000))


def test_all_that_was_written_right_before_a_death_is_there(deployment: Deployment) -> None:
    lines = output_of(deployment, "burst-and-die", 6000)
    assert [int(line["message"]) for line in lines] == list(range(6000))


def test_an_orphan_that_holds_the_pipe_delays_nothing_and_hides_nothing(deployment: Deployment) -> None:
    pid_file = deployment.folder / "pid"
    lines = output_of(deployment, "leave-an-orphan", pid_file)
    assert {line["message"] for line in lines} == {"last words", "and half a li"}
    assert is_gone(int(pid_file.read_text(encoding="ascii")))


class Stalled:
    """A supervisor whose log nobody reads until it is asked for."""

    def __init__(self, deployment: Deployment) -> None:
        path = deployment.folder / "log"
        os.mkfifo(path)
        self.port = free_port()
        deployment.environ["SUPERVISOR_HEALTH_PORT"] = str(self.port)
        self._descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        self.process = deployment.start("run", prefix=(*INTO_A_FILE, str(path)))

    def read(self, size: int = 1 << 20, pause_s: float = 0) -> Iterator[bytes]:
        """What was written, until the writer has ended; slower with a pause after each read of so many bytes."""
        while True:
            readable, _, _ = select.select([self._descriptor], [], [], 60)
            assert readable, "nothing came for a minute"
            data = os.read(self._descriptor, size)
            if not data:
                return
            yield data
            time.sleep(pause_s)

    def read_until(self, text: bytes) -> None:
        """Read until this was written."""
        data = b""
        for chunk in self.read():
            data += chunk
            if text in data:
                return
        raise AssertionError(f"it ended without {text!r}")

    def close(self) -> None:
        """Go away."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1

    @property
    def resident_mb(self) -> float:
        statm = Path(f"/proc/{self.process.process.pid}/statm").read_text(encoding="ascii")
        return int(statm.split()[1]) * PAGE_BYTES / 1e6


@pytest.fixture
def stalled(deployment: Deployment) -> Iterator[list[Stalled]]:
    started: list[Stalled] = []
    yield started
    for one in started:
        one.close()
        one.process.end()


def status_of(url: str) -> int | None:
    """The HTTP status; None when nobody answers."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return None


def held_back(path: Path) -> int:
    """Wait until the writer gets no further; how many lines it has written."""
    seen = [-1]

    def stands_still() -> bool:
        count = int(path.read_text(encoding="ascii") or 0) if path.exists() else 0
        time.sleep(0.3)
        seen.append(count)
        return 0 < seen[-1] == seen[-2]

    eventually(stands_still)
    return seen[-1]


def records_in(data: bytes) -> list[Record]:
    return [json.loads(line) for line in data.splitlines()]


def test_a_log_that_nobody_reads_holds_the_child_back_and_loses_no_line(
    deployment: Deployment, stalled: list[Stalled]
) -> None:
    written = deployment.folder / "written"
    with_habit(deployment, "count-up", 30_000, written)
    one = Stalled(deployment)
    stalled.append(one)
    count = held_back(written)
    before_mb = one.resident_mb
    assert count < 10_000
    assert before_mb < 120
    assert status_of(f"http://127.0.0.1:{one.port}/livez") == 200
    lines = lines_of(records_in(b"".join(one.read())))
    assert [int(line["message"].split()[0]) for line in lines] == list(range(30_000))
    one.process.expect_exit(0)


def test_a_stop_ends_in_bounded_time_although_nobody_reads_the_log(
    deployment: Deployment, stalled: list[Stalled]
) -> None:
    written = deployment.folder / "written"
    with_habit(deployment, "count-up", 1_000_000, written)
    one = Stalled(deployment)
    stalled.append(one)
    held_back(written)
    one.process.signal(signal.SIGTERM)
    one.process.expect_exit(0, timeout_s=10)


def test_a_slow_reader_gets_the_last_lines_of_the_dead(deployment: Deployment, stalled: list[Stalled]) -> None:
    with_habit(deployment, "burst-and-die", 6000)
    one = Stalled(deployment)
    stalled.append(one)
    data = b"".join(one.read(size=4096, pause_s=0.008))
    records = records_in(data)
    assert [int(line["message"]) for line in lines_of(records)] == list(range(6000))
    assert records[-1]["event"] == "supervisor.stopped"
    one.process.expect_exit(0)


def test_a_reader_of_the_log_that_goes_away_stops_nothing(deployment: Deployment, stalled: list[Stalled]) -> None:
    one = Stalled(deployment)
    stalled.append(one)
    one.read_until(b'"process.ready"')
    one.close()
    # The state is written, which finds the reader gone.
    one.process.signal(signal.SIGUSR1)
    still_serves_and_stops(deployment, one.process, one.port)


@pytest.mark.parametrize("redirection", [">/dev/full", ">&-", ">&- 2>&- <&-"])
def test_a_log_that_cannot_be_written_stops_nothing(deployment: Deployment, redirection: str) -> None:
    port = free_port()
    deployment.environ["SUPERVISOR_HEALTH_PORT"] = str(port)
    with deployment.start("run", prefix=("sh", "-c", f'exec "$@" {redirection}', "sh")) as process:
        eventually(lambda: status_of(f"http://127.0.0.1:{port}/readyz") == 200)
        # No socket or file that was opened later may get the log.
        assert str(Path(f"/proc/{process.process.pid}/fd/1").readlink()) in {"/dev/full", "/dev/null"}
        still_serves_and_stops(deployment, process, port)


def still_serves_and_stops(deployment: Deployment, process: Supervised, port: int) -> None:
    assert status_of(f"http://127.0.0.1:{port}/readyz") == 200
    assert status_of(f"{deployment.url}/server/ping") == 200
    process.signal(signal.SIGTERM)
    process.expect_exit(0, timeout_s=15)
