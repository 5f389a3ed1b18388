"""What a process is given by its parent and a Python program changes: to be put back before another program runs.

Python ignores SIGPIPE and SIGXFSZ, handles SIGINT, and in the C locale adds LC_CTYPE to the environment (PEP 538).
Imports next to nothing: it is on the path of ``exec``, which is to start fast and stay small.
"""

from __future__ import annotations

import os
import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet
    from typing import Final

EVERY_SIGNAL: Final = signal.valid_signals()

# Python ignores these two for itself, and whether they had been ignored before cannot be known any more.
_IGNORED_BY_PYTHON: Final = frozenset({signal.SIGPIPE, signal.SIGXFSZ})
_FIXED: Final = frozenset({signal.SIGKILL, signal.SIGSTOP})
_COERCED_LOCALES: Final = frozenset({"C.UTF-8", "C.utf8", "UTF-8"})


class InheritedSignals:
    """The signal mask and the ignored signals as they were given to this process.

    Attributes:
        mask: the signals that were blocked.
        ignored: the signals that were ignored.
    """

    __slots__ = ("ignored", "mask")

    def __init__(self, mask: AbstractSet[int], ignored: AbstractSet[int]) -> None:
        self.mask = mask
        self.ignored = ignored

    @classmethod
    def hold_all(cls) -> InheritedSignals:
        """Block every signal, so that whatever comes from now on waits until it is asked for.

        A blocked signal is kept even for PID 1, and even where it is ignored (``signal(7)``, ``pid_namespaces(7)``).
        """
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, EVERY_SIGNAL)
        ignored = {number for number in EVERY_SIGNAL if signal.getsignal(number) is signal.SIG_IGN}
        # A parent that ignores SIGCHLD would have the kernel throw away the status of our children.
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        return cls(mask, ignored - _IGNORED_BY_PYTHON)

    def restore(self) -> None:
        """Be as at the start: what waits and is not blocked is delivered now, with the default effect."""
        for number in EVERY_SIGNAL - _FIXED:
            signal.signal(number, signal.SIG_IGN if number in self.ignored else signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, self.mask)


def restore_environment() -> None:
    """Take back the LC_CTYPE that Python has set by itself, if it has."""
    if os.environ.get("LC_CTYPE") not in _COERCED_LOCALES:
        return
    try:
        with open("/proc/self/environ", "rb") as given:  # noqa: PTH123 - pathlib is not loaded here
            if any(entry.startswith(b"LC_CTYPE=") for entry in given.read().split(b"\0")):
                return
    except OSError:
        pass
    del os.environ["LC_CTYPE"]
