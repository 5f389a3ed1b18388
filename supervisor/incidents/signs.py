"""What the words of a failure tell of the database. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

# By what the phases of a boot fail: all of them work on the database.
_OF_THE_DATABASE: Final = ("postgres.", "lock.", "sql.", "schema.", "directus.bootstrap_failed", "step.")
# What node-postgres, knex and the server itself write of a database that is not there or does not do as it should.
_TROUBLE: Final = re.compile(
    r"\bpostgres\b|\bknex|pg-protocol|pg-pool|:5432\b|connection terminated|terminating connection|too many clients"
    r"|remaining connection slots|the database system is|server closed the connection|can't connect to the database"
    r"|no space left on device|could not extend file|canceling statement|deadlock detected|database \"[^\"]*\" "
    r"|password authentication failed",
    re.IGNORECASE,
)
_DISK_FULL: Final = re.compile(r"no space left on device|could not extend file|disk full", re.IGNORECASE)
_DISK_FULL_STATE: Final = "53100"


def concerns_database(fields: Mapping[str, Any]) -> bool:
    """Whether the state of Postgres says anything about an incident."""
    if str(fields["code"]).startswith(_OF_THE_DATABASE):
        return True
    return any(map(_TROUBLE.search, (str(fields["message"]), *fields["last_lines"])))


def of_full_disk(fields: Mapping[str, Any], more: Iterable[str] = ()) -> bool:
    """Whether anything says that the server's disk is full.

    Args:
        fields: the record of the incident.
        more: what the server answered when it was asked.
    """
    said = (str(fields["message"]), *fields["last_lines"], str(fields.get("detail", "")), *more)
    return fields.get("sqlstate") == _DISK_FULL_STATE or any(map(_DISK_FULL.search, said))
