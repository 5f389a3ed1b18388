"""What an image brings to a database, by name: its snapshot, its SQL files, its Directus. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from supervisor.postgres.sqlfile import SqlTree, normalise_line_ends


@dataclass(frozen=True)
class Release:
    """Everything of an image that a boot brings to the database.

    Neither the supervisor's own version nor its settings belong to it: they change how something is applied, not what.

    Attributes:
        snapshot: sha256 of the snapshot with LF line ends, hex; empty without one.
        directus: version of Directus.
        sql: checksum of each numbered SQL file by its folder and name.
        repeatable: likewise for the repeatable ones.
    """

    snapshot: str
    directus: str
    sql: Mapping[str, str]
    repeatable: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def digest(self) -> str:
        """The same for two images that bring the same; sha256, hex."""
        facts = {"snapshot": self.snapshot, "directus": self.directus, "files": self.files}
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()

    @property
    def files(self) -> dict[str, dict[str, str]]:
        """The SQL files of both kinds, as they are kept."""
        return {"numbered": dict(self.sql), "repeatable": dict(self.repeatable)}

    @property
    def label(self) -> str:
        """For people: enough of the digest, and what can be told of it at a glance."""
        files = len(self.sql) + len(self.repeatable)
        return f"{self.digest[:12]} (Directus {self.directus}, {files} SQL file{'' if files == 1 else 's'})"


def make_release(snapshot: bytes | None, directus: str, sql: SqlTree) -> Release:
    """The release of an image.

    Args:
        snapshot: the bytes of its snapshot file; None without one.
        directus: version of its Directus.
        sql: its SQL files.
    """
    digest = hashlib.sha256(normalise_line_ends(snapshot)).hexdigest() if snapshot and snapshot.strip() else ""
    repeatable = {file.label: file.checksum for file in sql.all if file.directives.repeatable}
    numbered = {file.label: file.checksum for file in sql.all if not file.directives.repeatable}
    return Release(digest, directus, numbered, repeatable)
