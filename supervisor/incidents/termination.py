"""The termination message: why the container ended, where its platform looks for it.

Kubernetes mounts a file at the path that a container's ``terminationMessagePath`` names (``/dev/termination-log``
unless told otherwise) and shows at most 4096 bytes of it in the container's last state; see
https://kubernetes.io/docs/tasks/debug/debug-application/determine-reason-pod-failure/.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

DEFAULT: Final = Path("/dev/termination-log")
MOST_BYTES: Final = 4096
# So much is for the message, however long the remedy is; and the other way round.
_LONGEST_SENTENCE: Final = 1200


def place_of(configured: Path | None, default: Path = DEFAULT) -> Path | None:
    """Where the message goes.

    Args:
        configured: ``SUPERVISOR_TERMINATION_LOG``, which is made when it is not there.
        default: what is used, where nothing was configured, when it is there.
    """
    if configured is not None:
        return configured
    # Where nobody may look into its folder, `Path.is_file` raises.
    return default if os.path.isfile(default) else None  # noqa: PTH113


def message_of(fields: Mapping[str, Any]) -> bytes:
    """The message: cause, remedy, code, runbook, and as many of the last lines as go in. Pure."""
    text = "\n".join(
        (
            _sentence(fields["message"]),
            f"What to do: {_sentence(fields['remedy'])}",
            f"Code: {fields['code']}, exit {fields.get('exit_code')}; runbook: {fields['runbook']}",
        )
    )
    lines = list(fields["last_lines"])
    shown: list[str] = []
    room = MOST_BYTES - len(_encoded(text)) - len("\nLast lines:\n")
    while lines and (room := room - len(_encoded(lines[-1])) - 1) >= 0:
        shown.append(lines.pop())
    if shown:
        text = "\n".join((text, "Last lines:", *reversed(shown)))
    return _encoded(text)[:MOST_BYTES].decode("utf-8", "ignore").encode()


def write(path: Path, message: bytes) -> None:
    """Write the message in place, since the file is a mount and cannot be replaced.

    Raises:
        OSError: it could not be written.
    """
    # A pipe that nobody reads must not hold us up.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
    with open(descriptor, "wb") as file:  # noqa: PTH123 - it is open already
        file.write(message)


def _sentence(text: str) -> str:
    return text if len(text) <= _LONGEST_SENTENCE else text[:_LONGEST_SENTENCE] + "…"


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "backslashreplace")
