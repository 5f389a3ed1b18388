"""What a task group adds to an error, taken off again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from supervisor.errors import SupervisorError


@contextmanager
def one_error() -> Iterator[None]:
    """Let the error that ended a task group out as itself.

    A task group wraps even a single error in an ExceptionGroup; callers want to catch what was raised. Of several
    errors an understood one goes first.
    """
    try:
        yield
    except BaseExceptionGroup as group:
        leaves = _leaves(group)
        chosen = next((error for error in leaves if isinstance(error, SupervisorError)), leaves[0])
        raise chosen from chosen.__cause__


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    leaves: list[BaseException] = []
    for error in group.exceptions:
        leaves += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return leaves
