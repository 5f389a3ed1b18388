"""Lengths of time for a person. Pure."""

from __future__ import annotations


def span(seconds: float) -> str:
    """Seconds in the unit that reads best: ``0.03 s``, ``12.5 s``, ``4 min 10 s``, ``3 h 20 min``, ``2 d 4 h``."""
    if seconds < 10:
        return f"{seconds:.2f} s"
    if seconds < 60:
        return f"{seconds:.1f} s"
    for name, size, lower, below in (("min", 60, "s", 1), ("h", 3600, "min", 60), ("d", 86_400, "h", 3600)):
        if seconds < size * 60 or name == "d" or (name == "h" and seconds < 86_400):
            count, rest = divmod(round(seconds), size)
            return f"{count} {name} {rest // below} {lower}"
    return f"{seconds:.0f} s"
