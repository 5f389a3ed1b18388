"""The log of the code under test, caught before it is written."""

from __future__ import annotations

import json
from typing import Any

import pytest

from supervisor.logs.sink import LineSink


class Captured(LineSink):
    """A sink that keeps the lines."""

    def __init__(self) -> None:
        super().__init__(-1)
        self.lines: list[str] = []

    def write(self, data: bytes, lines: int = 1) -> bool:
        assert data.endswith(b"\n")
        written = data.decode("utf-8").removesuffix("\n").split("\n")
        self.lines += written if len(written) == lines else ["\n".join(written)]
        return True

    @property
    def records(self) -> list[dict[str, Any]]:
        """Every line, parsed strictly."""
        return [json.loads(line, parse_constant=lambda name: pytest.fail(f"{name} is not JSON")) for line in self.lines]

    @property
    def record(self) -> dict[str, Any]:
        """The only line."""
        (record,) = self.records
        return record

    def of(self, event: str) -> list[dict[str, Any]]:
        """The records of one event."""
        return [record for record in self.records if record["event"] == event]
