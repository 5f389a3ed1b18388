"""Reading the live schema through Directus' own code, for the commands `snapshot` and `diff`; changes no database."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from supervisor import errors
from supervisor.configuration import Configuration
from supervisor.directus.diff import Change, read_changes
from supervisor.errors import SupervisorError
from supervisor.postgres.created_tables import created_tables
from supervisor.postgres.sqlfile import load_tree

SCRIPT: Final = Path(__file__).with_name("export.mjs")
_LAST_LINES: Final = 20


@dataclass(frozen=True, slots=True)
class Live:
    """The live schema, beside the snapshot file.

    Attributes:
        text: the schema as the text of a snapshot; the same schema always gives the same text.
        same: whether the file says exactly this, however it is written.
        changes: what applying the file would change; None when there is no file.
    """

    text: str
    same: bool
    changes: tuple[Change, ...] | None


def read_live(configuration: Configuration, snapshot: Path) -> Live:
    """Ask Directus for the live schema; collections whose tables SQL files make are left out on both sides.

    Args:
        configuration: where everything is.
        snapshot: the file to compare with; its suffix says whether the text is YAML or JSON.

    Raises:
        SupervisorError: ``schema.snapshot_invalid``, ``schema.export_failed``.
    """
    tree = load_tree(configuration.settings.sql_dir)
    owned = created_tables(tree.all, configuration.target.main_schema)
    # Directus' own lines go to stdout, so the answer takes another way.
    answer = os.memfd_create("snapshot")
    try:
        done = _run(configuration, snapshot, owned, answer)
        said = os.pread(answer, os.fstat(answer).st_size, 0)
    finally:
        os.close(answer)
    try:
        message = json.loads(said)
    except ValueError:
        message = None
    if not isinstance(message, dict):
        lines = done.splitlines()[-_LAST_LINES:]
        last = f": {lines[-1]}" if lines else ""
        raise SupervisorError(errors.EXPORT_FAILED, f"Directus gave no account of its schema{last}", last_lines=lines)
    return _read(message, snapshot)


def _run(configuration: Configuration, snapshot: Path, owned: frozenset[str], answer: int) -> str:
    installation = configuration.installation
    paths = (str(path) for path in (installation.node, SCRIPT, installation.api, snapshot))
    argv = [*paths, json.dumps(sorted(owned)), str(answer)]
    try:
        done = subprocess.run(  # noqa: S603 - the configured Node.js and a script of ours
            argv,
            env=dict(configuration.child_environment),
            cwd=installation.directory,
            pass_fds=[answer],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=configuration.settings.step_timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise SupervisorError(errors.EXPORT_FAILED, "Directus took too long to read its schema") from None
    except OSError as error:
        raise SupervisorError(errors.EXPORT_FAILED, f"{installation.node} cannot be run: {error.strerror}") from None
    return done.stdout


def _read(message: Mapping[str, Any], snapshot: Path) -> Live:
    match message:
        case {"failure": {"message": str(reason), **place}}:
            if "line" in place:
                where = f"{snapshot}:{place['line']}:{place['column']}"
                raise SupervisorError(errors.SNAPSHOT_INVALID, f"{where}: {reason}")
            raise SupervisorError(
                errors.EXPORT_FAILED, f"Directus cannot compare {snapshot} with the database: {reason}"
            )
        case {"text": str(text), "same": bool(same), "diff": None}:
            return Live(text, same, None)
        case {"text": str(text), "same": bool(same), "diff": dict(diff)}:
            return Live(text, same, read_changes(diff))
    raise SupervisorError(errors.EXPORT_FAILED, "Directus' account of its schema has an unknown shape")
