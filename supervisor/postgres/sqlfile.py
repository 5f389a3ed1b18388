"""SQL files as they lie in a folder: names, numbers, checksums, statements. Reads files, touches no database."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from pathlib import Path, PurePath
from typing import Final

from supervisor import errors
from supervisor.errors import SupervisorError
from supervisor.postgres.concurrent_index import concurrent_index
from supervisor.postgres.directives import Directives, read_directives
from supervisor.postgres.file_name import is_undecoded, number_in
from supervisor.postgres.splitter import Statement, UnterminatedError, split

_SUFFIX: Final = ".sql"
_TRANSACTION_CONTROL: Final = frozenset(
    {"begin", "commit", "rollback", "end", "abort", "start transaction", "prepare transaction"}
)


@dataclass(frozen=True)
class SqlFile:
    """One SQL file. Of the hundreds that ran long ago only name, checksum and directives are wanted: the rest is lazy.

    Attributes:
        path: where it lies.
        number: its numeric prefix, which gives its place in the order.
        data: its bytes as they lie there.
        text: the script, with LF line ends and without a byte order mark.
        checksum: sha256 over the LF-normalised bytes, hex; what is recorded.
        directives: what its leading comment says about how it runs.
    """

    path: Path
    number: int
    data: bytes = field(repr=False)
    text: str = field(repr=False)
    checksum: str
    directives: Directives

    @cached_property
    def name(self) -> str:
        """The file's name, its key in `migrations_applied`."""
        return self.path.name

    @cached_property
    def folder(self) -> str:
        """The name of the folder that it lies in."""
        return self.path.parent.name

    @cached_property
    def label(self) -> str:
        """Folder and name, for messages."""
        return f"{self.folder}/{self.name}"

    @cached_property
    def accepted_checksums(self) -> frozenset[str]:
        """`checksum`, and those that other tools may have recorded for the same content.

        These are over the bytes as they are here, and as a checkout on Windows has them.
        """
        windows = normalise_line_ends(self.data).replace(b"\n", b"\r\n")
        return frozenset({self.checksum, _sha256(self.data), _sha256(windows)})

    @cached_property
    def statements(self) -> tuple[Statement, ...]:
        """The script's statements, in order.

        Raises:
            SupervisorError: ``sql.invalid_file`` where they cannot run, with the line.
        """
        statements = _split(self.path, self.text)
        _refuse_transaction_control(self.path, statements, self.directives)
        if not self.directives.transaction:
            _refuse_nameless_indexes(self.path, statements)
        return statements


@dataclass(frozen=True, slots=True)
class SqlTree:
    """The SQL files of both folders, each in the order in which they run: by number, the repeatable ones last."""

    pre_schema: tuple[SqlFile, ...]
    post_schema: tuple[SqlFile, ...]

    @property
    def all(self) -> tuple[SqlFile, ...]:
        """Every file, in the order in which they run on an empty database."""
        return self.pre_schema + self.post_schema


def load_tree(directory: Path) -> SqlTree:
    """Read ``pre-schema/`` and ``post-schema/`` under `directory`; a missing folder counts as an empty one.

    Raises:
        SupervisorError: ``sql.duplicate_number`` or ``sql.invalid_file``, before anything has run.
    """
    tree = SqlTree(_load_folder(directory / "pre-schema"), _load_folder(directory / "post-schema"))
    by_name: dict[str, SqlFile] = {}
    for file in tree.all:
        other = by_name.setdefault(file.name, file)
        if other is not file:
            raise SupervisorError(
                errors.SQL_DUPLICATE_NUMBER,
                f"{other.path} and {file.path} have the same name, under which only one can be recorded as applied",
                remedy="Rename one of them; file names must be unique over both folders.",
            )
    return tree


def _load_folder(folder: Path) -> tuple[SqlFile, ...]:
    try:
        # Of names rather than paths, which are slow to sort.
        names = sorted(name for name in os.listdir(folder) if PurePath(name).suffix.lower() == _SUFFIX)  # noqa: PTH208
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise SupervisorError(errors.SQL_INVALID_FILE, f"{folder} cannot be read: {error.strerror}") from None
    files = sorted(
        (parse_file(path, _read(path)) for path in map(folder.joinpath, names)), key=lambda file: file.number
    )
    for one, other in pairwise(files):
        if one.number == other.number:
            raise SupervisorError(
                errors.SQL_DUPLICATE_NUMBER,
                f"{one.path} and {other.path} both have the number {one.number}",
                remedy=f"Give one of them the next free number, {files[-1].number + 1:03d}.",
            )
    return tuple(sorted(files, key=lambda file: (file.directives.repeatable, file.number)))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SupervisorError(errors.SQL_INVALID_FILE, f"{path} cannot be read: {error.strerror}") from None


def parse_file(path: Path, data: bytes) -> SqlFile:
    """Read one SQL file, its statements left aside: :attr:`SqlFile.statements`. Pure.

    Args:
        path: its name gives the number.
        data: its content.

    Raises:
        SupervisorError: ``sql.invalid_file``, with the line where there is one.
    """
    number = number_in(path.name)
    if number is None:
        raise SupervisorError(
            errors.SQL_INVALID_FILE,
            f"{path} has no number: SQL files are called NNN_name.sql",
            remedy="Rename it with the next free number, or move it out of the folder.",
        )
    if is_undecoded(path.name):
        raise SupervisorError(
            errors.SQL_INVALID_FILE,
            f"the name of {path.parent}/{path.name!a} is not UTF-8, as the record of it must be",
            remedy="Rename it.",
        )
    normalised = normalise_line_ends(data)
    text = _decode(path, normalised)
    return SqlFile(
        path=path,
        number=number,
        data=data,
        text=text,
        checksum=_sha256(normalised),
        directives=_directives(path, text),
    )


def normalise_line_ends(data: bytes) -> bytes:
    """`data` with every CRLF turned into LF, so that a Windows checkout has the same checksum."""
    return data.replace(b"\r\n", b"\n")


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _decode(path: Path, data: bytes) -> str:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # The positions of the error are those after a byte order mark.
        line = error.object.count(b"\n", 0, error.start) + 1
        raise SupervisorError(
            errors.SQL_INVALID_FILE,
            f"{path}:{line}: the byte 0x{error.object[error.start]:02x} is not UTF-8",
            remedy="Save the file as UTF-8.",
        ) from None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise SupervisorError(
            errors.SQL_INVALID_FILE,
            f"{path}:{line}: there is a NUL character",
            remedy="Save the file as UTF-8 (UTF-16 has NUL bytes); PostgreSQL takes no NUL.",
        )
    return text


def _split(path: Path, text: str) -> tuple[Statement, ...]:
    try:
        return tuple(split(text))
    except UnterminatedError as error:
        line = text.count("\n", 0, error.offset) + 1
        raise SupervisorError(
            errors.SQL_INVALID_FILE,
            f"{path}:{line}: a {error.what} begins here and never ends",
            remedy=f"Close the {error.what}.",
        ) from None


def _refuse_nameless_indexes(path: Path, statements: tuple[Statement, ...]) -> None:
    for statement in statements:
        index = concurrent_index(statement)
        if index is not None and index.name is None:
            raise SupervisorError(
                errors.SQL_INVALID_FILE,
                f"{path}:{statement.line}: the index has no name, by which to find what a failed build leaves",
                remedy="Give it a name: CREATE INDEX CONCURRENTLY IF NOT EXISTS name ON …",
            )


def _refuse_transaction_control(path: Path, statements: tuple[Statement, ...], directives: Directives) -> None:
    where, remedy = (
        "in one transaction",
        "Take BEGIN and COMMIT out: each file and its record are one transaction already.",
    )
    if not directives.transaction:
        where = "statement by statement, without a transaction"
        remedy = "Put what belongs into one transaction into a file of its own, without the directive no-transaction."
    for statement in statements:
        first, two = " ".join(statement.words[:1]), " ".join(statement.words[:2])
        # Going back to a savepoint stays within the transaction.
        if first == "rollback" and "to" in statement.words[1:3]:
            continue
        if first in _TRANSACTION_CONTROL or two in _TRANSACTION_CONTROL:
            raise SupervisorError(
                errors.SQL_INVALID_FILE,
                f"{path}:{statement.line}: {statement.words[0].upper()} in a file that runs {where}",
                remedy=remedy,
            )


def _directives(path: Path, text: str) -> Directives:
    directives, problems = read_directives(text)
    for problem in problems:
        raise SupervisorError(
            errors.SQL_INVALID_FILE,
            f"{path}:{problem.line}:{problem.column}: {problem.message}",
            remedy=problem.remedy,
            problems=[f"{each.line}:{each.column}: {each.message}" for each in problems],
        )
    return directives
