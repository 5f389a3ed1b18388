"""A list that keeps its beginning and its end, and counts what it leaves out between them. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Generic, TypeVar

Item = TypeVar("Item")


class BothEnds(Generic[Item]):
    """The first and the last items.

    Args:
        first: how many of the first are kept.
        last: how many of the last.
    """

    def __init__(self, first: int, last: int) -> None:
        self._most = first
        self._first: list[Item] = []
        self._last: deque[Item] = deque(maxlen=last)
        self.total = 0

    def append(self, item: Item) -> None:
        """Add one at the end."""
        self.total += 1
        (self._first if len(self._first) < self._most else self._last).append(item)

    def __iter__(self) -> Iterator[Item]:
        yield from self._first
        yield from self._last

    def newest_first(self) -> Iterator[Item]:
        """The kept items, from the last to the first."""
        yield from reversed(self._last)
        yield from reversed(self._first)

    @property
    def left_out(self) -> int:
        """How many are not kept."""
        return self.total - len(self._first) - len(self._last)
