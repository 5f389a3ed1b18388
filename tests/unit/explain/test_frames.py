"""The account is the same whatever is around the lines."""

from __future__ import annotations

import gzip
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from supervisor.explain.account import Account
from supervisor.explain.command import explain
from supervisor.explain.framing import unframe
from tests.unit.explain.written import FRAMES, Log, account_of, framed, json_file

STORY = Log().becomes_ready().crashes("a word of two lines\nand “quotes”").stops().text
FAILURE = Log("aaaaaaaaaaaa", began_s=100).fails().text


def without_source(account: Account) -> list[dict[str, Any]]:
    return [{**asdict(boot), "source": ""} for boot in account.boots]


@pytest.mark.parametrize("frame", FRAMES)
def test_the_account_is_the_same_in_every_frame(frame: str, tmp_path: Path) -> None:
    plain = account_of(tmp_path, STORY + FAILURE)
    found = account_of(tmp_path, framed(STORY + FAILURE, frame))
    assert without_source(found) == without_source(plain)
    assert found.verdict == plain.verdict
    assert len(plain.boots) == 2
    assert plain.boots[0].restarts[0].trouble.last_lines[-1] == "a word of two lines\nand “quotes”"


@pytest.mark.parametrize("frame", FRAMES)
def test_every_line_is_counted_for_what_it_is(frame: str, tmp_path: Path) -> None:
    read = account_of(tmp_path, framed(STORY, frame)).input
    assert (read.events, read.damaged_lines, read.unreadable_lines) == (len(STORY.splitlines()) - 2, 0, 0)


@pytest.mark.parametrize(
    ("line", "source"),
    [
        (b"directus-1  | {}", "directus-1"),
        (b"[pod/directus-7d9f-x2/directus] {}", "pod/directus-7d9f-x2/directus"),
        (b"Jan 31 03:00:00 host-1 directus[917]: {}", "host-1 directus"),
        (b'Feb  1 03:00:00.123456 host-1 directus[9]: {"timestamp":"', "host-1 directus"),
        (b"directus.1.k3j2h1xyz@node-1    | {}", "directus.1.k3j2h1xyz@node-1"),
        (b'{"log":"{}","kubernetes":{"pod_name":"directus-0"}}', "directus-0"),
        (b"2026-01-31T03:00:00.1Z stderr P {}", ""),
    ],
)
def test_the_frame_names_the_source(line: bytes, source: str) -> None:
    framed_line = unframe(line)
    assert framed_line.source == source
    assert framed_line.text.startswith("{")


def test_parts_of_two_containers_are_not_mixed_up(tmp_path: Path) -> None:
    first, second = Log("aaaaaaaaaaaa").fails(), Log("bbbbbbbbbbbb").fails(code="lock.timeout", message="held too long")
    lines: list[str] = []
    for one, other in zip(first.lines, second.lines, strict=True):
        for at in range(0, max(len(one), len(other)), 200):
            for name, line in (("one-1", one), ("two-1", other)):
                if part := line[at : at + 200]:
                    mark = "F" if at + 200 >= len(line) else "P"
                    lines.append(f"{name}  | 2026-01-31T03:00:00Z stdout {mark} {part}")
    account = account_of(tmp_path, "\n".join(lines))
    assert {boot.source: boot.failure.code for boot in account.boots if boot.failure} == {
        "one-1": "sql.failed",
        "two-1": "lock.timeout",
    }


def test_a_part_without_its_end_does_not_swallow_the_rest(tmp_path: Path) -> None:
    begun = "2026-01-31T03:00:00Z stdout P " + Log().begins().lines[0][:100]
    rest = framed(Log("bbbbbbbbbbbb").fails().text, "docker logs")
    account = account_of(tmp_path, f"{begun}\n{rest}")
    assert account.boots[-1].failure is not None


def test_what_directus_quotes_of_a_log_is_not_taken_for_an_event(tmp_path: Path) -> None:
    quoted = Log("cccccccccccc").fails().lines[-1]
    log = Log().becomes_ready().output(quoted).output(json_file(quoted))
    for frame in ("docker logs", "json-file", "containerd"):
        account = account_of(tmp_path, framed(log.text, frame))
        assert [boot.boot_id for boot in account.boots] == ["0123456789ab"]
        assert account.boots[0].outcome == "ready"


def test_the_times_that_docker_puts_within_a_long_line_are_taken_out(tmp_path: Path) -> None:
    stamp = b"2026-01-31T03:00:00.123456789Z "
    words = ["ä" * 700 for _ in range(30)]
    line = Log().fails(last_lines=words).lines[-1].encode()
    parts = [stamp + line[at : at + 16_384] for at in range(0, len(line), 16_384)]
    assert len(parts) > 2
    account = account_of(tmp_path, b"directus-1  | " + b"".join(parts))
    failure = account.boots[0].failure
    assert failure is not None
    assert set(failure.last_lines) == {"ä" * 500}
    assert account.input.damaged_lines == 0


def test_a_character_that_is_cut_in_two_by_containerd_is_whole_again(tmp_path: Path) -> None:
    stamp = b"2026-01-31T03:00:00.1Z stdout "
    line = Log().fails(message="für Müller").lines[-1].encode()
    cut = line.index("ü".encode()) + 1
    account = account_of(tmp_path, stamp + b"P " + line[:cut] + b"\n" + stamp + b"F " + line[cut:] + b"\n")
    failure = account.boots[0].failure
    assert failure is not None
    assert failure.cause == "für Müller"


def test_a_byte_order_mark_makes_no_further_replica(tmp_path: Path) -> None:
    account = account_of(tmp_path, (STORY + FAILURE).encode("utf-8-sig"))
    assert {(boot.source, boot.replica) for boot in account.boots} == {("", 1)}


def test_what_powershell_has_redirected_is_understood(tmp_path: Path) -> None:
    plain = account_of(tmp_path, STORY + FAILURE)
    for encoding in ("utf-16", "utf-16-be"):
        mark = "\ufeff" if encoding == "utf-16-be" else ""
        found = account_of(tmp_path, (mark + STORY + FAILURE).replace("\n", "\r\n").encode(encoding))
        assert found.boots == plain.boots


def test_a_compressed_log_that_breaks_off_is_told_as_far_as_it_goes(tmp_path: Path) -> None:
    path = tmp_path / "log.gz"
    path.write_bytes(gzip.compress((STORY + FAILURE).encode())[:-20])
    account, unread = explain([str(path)])
    assert unread == 1
    assert account.boots[0].outcome == "stopped"
    assert "only in part" in account.input.remarks[0]
