"""`check`: read the files, let the rules judge them, print what they find."""

from __future__ import annotations

import io
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

from supervisor.directus.environment import read_environment
from supervisor.errors import CHECK_TOOL_MISSING, CONFIG_INVALID, SNAPSHOT_INVALID, SQL_INVALID_FILE, SupervisorError
from supervisor.settings import load_settings

if TYPE_CHECKING:
    from supervisor.check.project import File

FOUND: Final = 1
_FOLDERS: Final = ("pre-schema", "post-schema")
# They name the files of the deployment that the command line does not speak of.
_PATHS: Final = ("SUPERVISOR_SQL_DIR", "SUPERVISOR_SNAPSHOT")


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says.

    Attributes:
        directory: the deployment's folder, or its folder of SQL files; None for the working directory.
        output: "text", "json" or "github".
        strict: whether warnings count.
        lint: whether squawk is asked, too.
        assumed: relations that something else creates.
    """

    directory: Path | None = None
    output: str = "text"
    strict: bool = False
    lint: bool = False
    assumed: Sequence[str] = ()


def run_check(environ: Mapping[str, str], cwd: Path, options: Options) -> int:
    """Check the files of a deployment and print the findings.

    Returns:
        0 when there is no error (with ``--strict``: nothing at all), else 1; 78 when it cannot be checked.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Names and lines of files may hold what the terminal's encoding does not.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        return _check(environ, cwd, options)
    except SupervisorError as error:
        print(f"{error.failure.code}: {error.message}\n  remedy: {error.remedy}", file=sys.stderr)  # noqa: T201
        return error.exit_code


def _check(environ: Mapping[str, str], cwd: Path, options: Options) -> int:
    if find_spec("pglast") is None:
        raise SupervisorError(
            CHECK_TOOL_MISSING, "check reads SQL by PostgreSQL's own grammar, and pglast is not installed"
        )
    from supervisor.check import report  # noqa: PLC0415 - needs pglast, as does all that follows
    from supervisor.check.finding import Severity  # noqa: PLC0415
    from supervisor.check.lint import find_squawk, lint  # noqa: PLC0415
    from supervisor.check.names import from_text  # noqa: PLC0415
    from supervisor.check.project import check  # noqa: PLC0415

    squawk = find_squawk() if options.lint else None
    sql_dir, snapshot, schemas = _deployment(environ, cwd, options.directory)
    assumed = [relation for text in options.assumed if (relation := from_text(text)) is not None]
    paths = _paths(sql_dir)
    files = [_file(path, cwd) for path in paths]
    checked = check(files, _snapshot(snapshot, cwd), search_path=schemas, assumed=assumed)
    findings = list(checked.findings)
    if squawk is not None:
        findings += lint(squawk, {_label(path, cwd): path for path in paths}, checked.sources)
        findings.sort(key=lambda each: (each.file, each.line, each.column, each.code))
    match options.output:
        case "json":
            print(report.as_json(findings, len(files)))  # noqa: T201
        case "github":
            print(report.as_github(findings, len(files)))  # noqa: T201
        case _:
            print(report.as_text(findings, checked.sources, len(files)))  # noqa: T201
    counted = [each for each in findings if options.strict or each.severity is Severity.ERROR]
    return FOUND if counted else 0


def _deployment(environ: Mapping[str, str], cwd: Path, directory: Path | None) -> tuple[Path, Path, list[str]]:
    """The folder of SQL files, the snapshot, and the schemas in which names are looked for."""
    own = dict(environ)
    folder = cwd
    is_sql_dir = False
    if directory is not None:
        folder = cwd / directory
        if not folder.is_dir():
            raise SupervisorError(
                CONFIG_INVALID, f"{directory} is no folder", remedy="Name the folder of a deployment."
            )
        is_sql_dir = any((folder / name).is_dir() for name in _FOLDERS)
        own = {name: value for name, value in environ.items() if name not in _PATHS}
    home = folder.absolute().parent if is_sql_dir else folder
    loaded = load_settings(own, home)
    if loaded.problems:
        raise SupervisorError(CONFIG_INVALID, "; ".join(loaded.problems))
    settings = loaded.settings
    path: object = None
    with suppress(SupervisorError):
        path = read_environment(own, settings.directus_dir or home).value("DB_SEARCH_PATH")
    names = path if isinstance(path, list | tuple) else [path]
    schemas = [name for name in names if isinstance(name, str) and name] or ["public"]
    return folder if is_sql_dir else settings.sql_dir, settings.snapshot, schemas


def _paths(sql_dir: Path) -> list[Path]:
    paths: list[Path] = []
    for name in _FOLDERS:
        try:
            paths += sorted(path for path in (sql_dir / name).iterdir() if path.suffix.lower() == ".sql")
        except FileNotFoundError:
            continue
        except OSError as error:
            raise SupervisorError(SQL_INVALID_FILE, f"{sql_dir / name} cannot be read: {error.strerror}") from None
    return paths


def _file(path: Path, cwd: Path) -> File:
    from supervisor.check.project import File  # noqa: PLC0415 - needs pglast

    data, unread = b"", ""
    try:
        data = path.read_bytes()
    except OSError as error:
        unread = error.strerror or str(error)
    return File(path.name, _label(path, cwd), path.parent.name == _FOLDERS[0], data, unread)


def _snapshot(path: Path, cwd: Path) -> tuple[str, bytes] | None:
    try:
        return _label(path, cwd), path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SupervisorError(SNAPSHOT_INVALID, f"{path} cannot be read: {error.strerror}") from None


def _label(path: Path, cwd: Path) -> str:
    """As an editor opens it from the working directory."""
    return str(path.relative_to(cwd)) if path.is_relative_to(cwd) else str(path)
