"""Releases of one deployment on one database: each a folder of its own, with its SQL files, snapshot and Directus."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tests.harness import Deployment, free_port


@dataclass
class Release(Deployment):
    """A deployment with a snapshot that the stand-in understands."""

    @classmethod
    def make(cls, folder: Path, database: Mapping[str, str], node: Path, version: str = "11.0.0") -> Self:
        """An empty release.

        Args:
            folder: its own.
            database: the ``DB_*`` variables.
            node: the Node.js binary.
            version: what its Directus says of itself.
        """
        folder.mkdir(parents=True)
        made = cls.with_stand_in(folder, database, node)
        for package in folder.glob("directus/node_modules/**/package.json"):
            package.write_text(package.read_text().replace("0.0.0-stand-in", version))
        return cls(folder, made.environ)

    def schema(self, **collections: str) -> Self:
        """Write the snapshot: for each collection its fields, with blanks between them."""
        self.snapshot.parent.mkdir(exist_ok=True)
        fields = [(collection, name) for collection, names in collections.items() for name in names.split()]
        document = {
            "version": 1,
            "directus": "11.0.0",
            "vendor": "postgres",
            "collections": [{"collection": name, "meta": {}, "schema": {}} for name in collections],
            "fields": [
                {"collection": collection, "field": name, "type": "string", "meta": {}, "schema": {"data_type": "text"}}
                for collection, name in fields
            ],
            "relations": [],
        }
        self.snapshot.write_text(json.dumps(document))
        return self

    def files(self, **texts: str) -> Self:
        """Write SQL files of ``post-schema/``, by name without the suffix, which begins with an underscore."""
        for name, text in texts.items():
            self.sql("post-schema", f"{name.removeprefix('_')}.sql", text)
        return self

    def replica(self, number: int) -> Release:
        """A container of it: with ports and a control socket of its own."""
        sockets = {"PORT": str(free_port()), "SUPERVISOR_SOCKET": str(self.folder / f"{number}.sock")}
        return Release(self.folder, {**self.environ, **sockets})
