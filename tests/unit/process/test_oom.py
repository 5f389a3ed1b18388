"""The counters of both versions of control groups."""

from __future__ import annotations

from pathlib import Path

from supervisor.process.oom import OomCounter


def counter(tmp_path: Path, own: str, files: dict[str, str]) -> OomCounter:
    for name, text in files.items():
        path = tmp_path / "cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    (tmp_path / "own").write_text(own, encoding="utf-8")
    return OomCounter(tmp_path / "cgroup", tmp_path / "own")


V2_EVENTS = "low 0\nhigh 0\nmax 4\noom 3\noom_kill 2\noom_group_kill 0\n"
V1_CONTROL = "oom_kill_disable 0\nunder_oom 0\noom_kill 5\n"


def test_version_2_is_read_from_the_own_group(tmp_path: Path) -> None:
    files = {"pod/memory.events": V2_EVENTS, "memory.events": V2_EVENTS.replace("oom_kill 2", "oom_kill 9")}
    assert counter(tmp_path, "0::/pod\n", files).read() == 2


def test_version_2_in_a_container_is_read_from_the_root(tmp_path: Path) -> None:
    assert counter(tmp_path, "0::/\n", {"memory.events": V2_EVENTS}).read() == 2


def test_version_1_in_a_container_is_read_from_the_root_of_the_mount(tmp_path: Path) -> None:
    files = {"memory/memory.oom_control": V1_CONTROL}
    assert counter(tmp_path, "4:memory:/docker/abc\n0::/\n", files).read() == 5


def test_version_1_is_read_from_the_own_group_where_it_can_be_seen(tmp_path: Path) -> None:
    own = "memory/docker/abc/memory.oom_control"
    files = {own: V1_CONTROL, "memory/memory.oom_control": V1_CONTROL.replace("oom_kill 5", "oom_kill 9")}
    assert counter(tmp_path, "4:cpu,memory:/docker/abc\n0::/\n", files).read() == 5


def test_both_versions_at_once_are_read_where_memory_is_counted(tmp_path: Path) -> None:
    (tmp_path / "cgroup" / "unified").mkdir(parents=True)
    assert counter(tmp_path, "0::/pod\n4:memory:/\n", {"memory/memory.oom_control": V1_CONTROL}).read() == 5


def test_a_kernel_of_version_1_that_does_not_count_gives_none(tmp_path: Path) -> None:
    files = {"memory/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\n"}
    assert counter(tmp_path, "4:memory:/\n", files).read() is None


def test_the_count_is_read_anew_each_time(tmp_path: Path) -> None:
    kills = counter(tmp_path, "0::/\n", {"memory.events": V2_EVENTS})
    assert kills.read() == 2
    (tmp_path / "cgroup" / "memory.events").write_text("oom_kill 3\n", encoding="utf-8")
    assert kills.read() == 3


def test_a_kernel_that_does_not_tell_gives_none(tmp_path: Path) -> None:
    assert counter(tmp_path, "0::/\n", {"memory.events": "low 0\n"}).read() is None
    assert OomCounter(tmp_path, tmp_path / "absent").read() is None
