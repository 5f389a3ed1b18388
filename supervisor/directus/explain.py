"""Known last words of a Directus that cannot start, and what they mean. Pure.

Directus ends with status 1 for all of these, and would at every restart (directus#20348).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why Directus cannot start, and what to do."""

    cause: str
    remedy: str


_KNOWN: Final = (
    (
        r'"(?P<name>[A-Z0-9_]+)" Environment Variable is missing',
        "the variable {name} is not set",
        "Set {name} for the container.",
    ),
    (
        r"password authentication failed for user \"(?P<name>[^\"]+)\"",
        "Postgres refuses the password of user {name}",
        "Correct DB_USER and DB_PASSWORD.",
    ),
    (
        r"database \"(?P<name>[^\"]+)\" does not exist",
        "there is no database {name}",
        "Create it, or correct DB_DATABASE.",
    ),
    (
        r"(?P<name>Port \d+|\S+) is already in use",
        "{name} is already in use",
        "Set PORT to a free port, or stop the process that holds it.",
    ),
    (
        r"Database doesn't have Directus tables installed",
        "the database has no Directus tables",
        "Check DB_SEARCH_PATH, and that the bootstrap used the same database.",
    ),
    (
        r"Migration keys collide",
        "two of Directus' migrations have the same number",
        "Rename one of the files in MIGRATIONS_PATH.",
    ),
    (
        r"Failed to read value from file \"(?P<name>[^\"]+)\"",
        "the file {name} cannot be read",
        "Mount the file, readable for the container's user.",
    ),
    (
        r"(?:Cannot find (?:module|package)) '(?P<name>[^']+)'",
        "the package {name} is not installed",
        "Install Directus' dependencies again; the image is incomplete.",
    ),
    (
        r"self[- ]signed certificate|unable to verify the first certificate|unable to get local issuer certificate",
        "Postgres' certificate cannot be verified",
        "Set DB_SSL__CA or DB_SSL__CA_FILE to the authority that signed it.",
    ),
)
_PATTERNS: Final = tuple((re.compile(pattern), cause, remedy) for pattern, cause, remedy in _KNOWN)


def explain(lines: Iterable[str]) -> Explanation | None:
    """Find the cause in the last lines of a Directus that died before it was ready; the last known one counts."""
    for line in reversed(list(lines)):
        for pattern, cause, remedy in _PATTERNS:
            match = pattern.search(line)
            if match is not None:
                names = {name: text for name, text in match.groupdict().items() if text is not None}
                return Explanation(cause.format(**names), remedy.format(**names))
    return None
