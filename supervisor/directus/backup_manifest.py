"""Reading a backup, and believing nothing of it that was not checked."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from supervisor import errors
from supervisor.directus.backup_files import FORMAT, MANIFEST, sum_of
from supervisor.directus.ddl import Column, Definition
from supervisor.directus.history import History
from supervisor.errors import SupervisorError


@dataclass(frozen=True, slots=True)
class Item:
    """One table, or one column of a table, as it was copied out.

    Attributes:
        name: as in "entries.race_number".
        schema: of the table.
        collection: name of the table.
        field: name of the column; None for a whole table.
        why: what was to become of it.
        rows: how many were copied.
        file: the compressed values, in the text format of COPY.
        definition: how it was made.
        directus: what Directus knew of it: rows, as JSON, by the name of their table.
        history: what Directus had written down about its rows.
    """

    name: str
    schema: str
    collection: str
    field: str | None
    why: str
    rows: int
    file: Path
    definition: Definition
    directus: dict[str, list[str]]
    history: tuple[History, ...]


@dataclass(frozen=True, slots=True)
class Backup:
    """A whole backup.

    Attributes:
        folder: where it lies.
        digest: of the plan before which it was made.
        database: host, port and name.
        created_at: RFC 3339.
        versions: of Directus and of PostgreSQL.
        items: what it holds.
    """

    folder: Path
    digest: str
    database: str
    created_at: str
    versions: str
    items: tuple[Item, ...]


def read_backup(folder: Path) -> Backup:
    """Read a backup and compare each of its files with its sum.

    Raises:
        SupervisorError: ``backup.unusable``.
    """
    manifest = folder / MANIFEST
    try:
        document = json.loads(manifest.read_text(encoding="utf-8"))
        if document["format"] != FORMAT:
            raise SupervisorError(
                errors.BACKUP_UNUSABLE, f"{manifest} has format {document['format']}, this version reads {FORMAT}"
            )
        items = tuple(_read_item(folder, item) for item in document["items"])
        return Backup(
            folder,
            str(document["digest"]),
            str(document["database"]),
            str(document["created_at"]),
            f"Directus {document['directus_version']}, PostgreSQL {document['postgres_version']}",
            items,
        )
    except OSError as error:
        raise SupervisorError(errors.BACKUP_UNUSABLE, f"{error.filename or manifest}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SupervisorError(errors.BACKUP_UNUSABLE, f"{manifest} is not one of ours: {error!r}") from error


def _read_item(folder: Path, item: dict[str, Any]) -> Item:
    file = _whole_file(folder, item)
    definition = item["definition"]
    return Item(
        str(item["name"]),
        str(item["schema"]),
        str(item["collection"]),
        item["field"],
        str(item["why"]),
        int(item["rows"]),
        file,
        Definition(
            tuple(Column(column["name"], column["type"]) for column in definition["columns"]),
            tuple(definition["key"]),
            tuple(definition["create"]),
            tuple(definition["finish"]),
            tuple(definition["foreign"]),
        ),
        {str(table): [str(row) for row in rows] for table, rows in item["directus"].items()},
        tuple(
            History(
                str(part["table"]),
                tuple(str(name) for name in part["columns"]),
                int(part["rows"]),
                _whole_file(folder, part),
            )
            # Backups of earlier versions have none.
            for part in item.get("history", [])
        ),
    )


def _whole_file(folder: Path, entry: dict[str, Any]) -> Path:
    file = folder / Path(str(entry["file"])).name
    if sum_of(file) != entry["sha256"]:
        raise SupervisorError(errors.BACKUP_UNUSABLE, f"{file} is not as it was written: its sha256 differs")
    return file
