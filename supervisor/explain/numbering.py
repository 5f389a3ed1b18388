"""The numbers of the lines of each boot: what is missing between them, and what came twice. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

MOST_BOOTS: Final = 20_000
_MOST_GAPS: Final = 100
# A greater leap is a damaged number.
_WIDEST_GAP: Final = 100_000_000
_STAMP: Final = re.compile(rb'timestamp\\?"?[:=]\\?"?([0-9TZ:.+-]{19,40})')


@dataclass(slots=True)
class Gap:
    """Numbers that did not come.

    Attributes:
        first: number that is missing.
        last: number that is missing.
        before: timestamp of the line after them, as it stands there; empty where it could not be read.
    """

    first: int
    last: int
    before: str

    @property
    def lines(self) -> int:
        """How many are missing."""
        return self.last - self.first + 1


@dataclass(slots=True)
class Numbers:
    """The numbers of one boot.

    Attributes:
        first: lowest number seen.
        last: highest number seen.
        gaps: what is missing in between, the first hundred.
        more_lost: lines missing in further gaps.
        repeated: lines that came again.
        backwards: lines that came later than one with a higher number.
    """

    first: int
    last: int
    gaps: list[Gap] = field(default_factory=list)
    more_lost: int = 0
    repeated: int = 0
    backwards: int = 0

    @property
    def lost(self) -> int:
        """How many lines are missing between the first and the last."""
        return sum(gap.lines for gap in self.gaps) + self.more_lost


class Numbering:
    """Follows the numbers of every boot."""

    def __init__(self) -> None:
        self.boots: dict[bytes, Numbers] = {}

    def saw(self, boot_id: bytes, digits: bytes | None, line: bytes) -> bool:
        """A line came; says whether it is new.

        Args:
            boot_id: of its boot.
            digits: its number; None for a line without one.
            line: itself, for its timestamp.
        """
        if digits is None:
            return True
        number = int(digits)
        numbers = self.boots.get(boot_id)
        if numbers is None:
            if len(self.boots) < MOST_BOOTS:
                self.boots[boot_id] = Numbers(number, number)
            return True
        if number == numbers.last + 1:
            numbers.last = number
            return True
        return self._out_of_turn(numbers, number, line)

    def _out_of_turn(self, numbers: Numbers, number: int, line: bytes) -> bool:
        if number > numbers.last + _WIDEST_GAP:
            return True
        if number > numbers.last:
            if len(numbers.gaps) < _MOST_GAPS:
                stamp = _STAMP.search(line[:2000])
                numbers.gaps.append(Gap(numbers.last + 1, number - 1, stamp[1].decode() if stamp else ""))
            else:
                numbers.more_lost += number - numbers.last - 1
            numbers.last = number
            return True
        if number < numbers.first:
            if number < numbers.first - 1:
                numbers.gaps.append(Gap(number + 1, numbers.first - 1, ""))
            numbers.first = number
            numbers.backwards += 1
            return True
        return self._late(numbers, number)

    def _late(self, numbers: Numbers, number: int) -> bool:
        """A number from before: one that was missing, or one that was there."""
        for index, gap in enumerate(numbers.gaps):
            if gap.first <= number <= gap.last:
                rest = [Gap(gap.first, number - 1, gap.before), Gap(number + 1, gap.last, gap.before)]
                numbers.gaps[index : index + 1] = [part for part in rest if part.lines]
                numbers.backwards += 1
                return True
        if numbers.more_lost:
            # Which ones are missing beyond the kept gaps is not known.
            return True
        numbers.repeated += 1
        return False
