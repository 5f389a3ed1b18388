"""Rows for people: columns as wide as they must be. Pure."""

from __future__ import annotations

from collections.abc import Sequence


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The rows below their header, the columns aligned; the last one may be of any length."""
    everything = [header, *rows]
    widths = [max(len(row[column]) for row in everything) for column in range(len(header) - 1)]
    lines = [
        "  ".join([*(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=False)), row[-1]]).rstrip()
        for row in everything
    ]
    return "\n".join(lines)
