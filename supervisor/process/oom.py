"""Telling the kernel's out-of-memory kill from any other SIGKILL, by the counters of the control group.

cgroup v2 counts in ``memory.events`` (kernel documentation, admin-guide/cgroup-v2.rst), v1 in ``memory.oom_control``
(since Linux 4.13): a SIGKILL during which the counter rose was the kernel's.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

CGROUP_ROOT: Final = Path("/sys/fs/cgroup")
OWN_CGROUPS: Final = Path("/proc/self/cgroup")


class OomCounter:
    """The number of out-of-memory kills in this process' control group.

    Args:
        root: where the control groups are mounted.
        own: the file that names this process' control groups.
    """

    def __init__(self, root: Path = CGROUP_ROOT, own: Path = OWN_CGROUPS) -> None:
        self._files = _counter_files(root, own)

    def read(self) -> int | None:
        """The number of kills so far; None where the kernel does not tell."""
        for file in self._files:
            count = _oom_kills(file)
            if count is not None:
                return count
        return None


def _counter_files(root: Path, own: Path) -> tuple[Path, ...]:
    try:
        lines = own.read_text(encoding="utf-8").splitlines()
    except OSError:
        return ()
    files: list[Path] = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        inside = path.lstrip("/")
        if controllers == "":
            names = (root / inside, root / "unified" / inside, root)
            files += [folder / "memory.events" for folder in names]
        elif "memory" in controllers.split(","):
            # In a container the path is the host's, while the mount shows the container's own group as its root.
            files += [folder / "memory.oom_control" for folder in (root / "memory" / inside, root / "memory")]
    return tuple(files)


def _oom_kills(file: Path) -> int | None:
    try:
        text = file.read_text(encoding="utf-8")
    except OSError:
        return None
    for line in text.splitlines():
        name, _, value = line.partition(" ")
        if name == "oom_kill" and value.strip().isdecimal():
            return int(value)
    return None
