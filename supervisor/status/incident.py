"""What went wrong last, as the picture shows it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Incident:
    """One thing that went wrong.

    Attributes:
        at_s: when, Unix seconds.
        code: stable name, of the catalogue of failures or of that of incidents.
        message: one sentence.
        remedy: one sentence on what to do.
        process: the process concerned; None where it was no process.
    """

    at_s: float
    code: str
    message: str
    remedy: str
    process: str | None = None


def from_event(at_s: float, fields: Mapping[str, Any]) -> Incident:
    """The incident that the event of that name tells of.

    Args:
        at_s: when, Unix seconds.
        fields: what it says.
    """
    process = fields.get("process")
    return Incident(
        at_s,
        str(fields["code"]),
        str(fields["message"]),
        str(fields["remedy"]),
        None if process is None else str(process),
    )
