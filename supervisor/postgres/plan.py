"""What is to be done about each SQL file, decided from the files, their record and the server's extensions. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from supervisor import errors
from supervisor.errors import SupervisorError
from supervisor.postgres.sqlfile import SqlFile

_COPY_OVER_THE_WIRE: Final = re.compile(r"\b(?:FROM\s+STDIN|TO\s+STDOUT)\b", re.IGNORECASE)


class State(StrEnum):
    """What one file is to this database."""

    APPLIED = "applied"
    CHANGED = "changed"
    TO_APPLY = "to apply"
    PENDING = "pending"
    IMPOSSIBLE = "impossible"


@dataclass(frozen=True, slots=True)
class PlannedFile:
    """One file, and what is to be done about it.

    Attributes:
        file: the file.
        state: applied: nothing; changed: it was edited after it ran, which stops the boot; to apply: it runs; pending:
            it waits for an optional extension; impossible: it needs an extension that may not be missing.
        recorded: whether the guard table has a row of it.
        out_of_order: whether it has yet to run, although a numbered file after it in its folder has.
        missing_extension: the first one that the server does not offer; one that may not be missing goes first.
    """

    file: SqlFile
    state: State
    recorded: bool = False
    out_of_order: bool = False
    missing_extension: str | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run over some files amounts to.

    Attributes:
        files: every file, in the order in which they run.
        rows_without_file: names that the guard table has, and that are none of these files.
        recorded: checksum by file name, as the guard table has them.
    """

    files: tuple[PlannedFile, ...]
    rows_without_file: tuple[str, ...]
    recorded: Mapping[str, str | None]

    def of(self, *states: State) -> tuple[SqlFile, ...]:
        """The files in any of these states."""
        return tuple(planned.file for planned in self.files if planned.state in states)

    @property
    def to_apply(self) -> tuple[SqlFile, ...]:
        """The files that run, in order."""
        return self.of(State.TO_APPLY)


def make_plan(
    files: Iterable[SqlFile],
    recorded: Mapping[str, str | None],
    available_extensions: Collection[str],
    optional_extensions: Collection[str],
) -> Plan:
    """Decide what is to be done about each file.

    Args:
        files: the files, in the order in which they run.
        recorded: checksum by file name, as the guard table has them; one recorded without counts as unedited.
        available_extensions: extensions that the server offers.
        optional_extensions: extensions that the deployment allows to be missing.
    """
    files = tuple(files)
    last: dict[str, int] = {}
    for file in files:
        if file.name in recorded and not file.directives.repeatable:
            last[file.folder] = max(file.number, last.get(file.folder, 0))
    planned: list[PlannedFile] = []
    for file in files:
        missing = [one for one in file.directives.extensions if one.name not in available_extensions]
        state = _state_by_record(file, recorded)
        required = [one for one in missing if not (one.optional or one.name in optional_extensions)]
        if state is State.TO_APPLY and missing:
            state = State.IMPOSSIBLE if required else State.PENDING
        planned.append(
            PlannedFile(
                file,
                state,
                recorded=file.name in recorded,
                out_of_order=state not in {State.APPLIED, State.CHANGED}
                and not file.directives.repeatable
                and file.number < last.get(file.folder, 0),
                missing_extension=next((one.name for one in [*required, *missing]), None),
            )
        )
    return Plan(tuple(planned), tuple(sorted(set(recorded) - {file.name for file in files})), recorded)


def _state_by_record(file: SqlFile, recorded: Mapping[str, str | None]) -> State:
    if file.name not in recorded:
        return State.TO_APPLY
    checksum = recorded[file.name]
    if checksum is not None and checksum.strip().lower() in file.accepted_checksums:
        return State.APPLIED
    if file.directives.repeatable:
        return State.TO_APPLY
    return State.APPLIED if checksum is None else State.CHANGED


def refuse(plan: Plan) -> None:
    """Stop where a run would go wrong: at edited files, missing extensions, or what cannot run in any of the files.

    Files that ran already are not read for their statements.

    Raises:
        SupervisorError: ``sql.checksum_mismatch``, naming every such file; ``sql.extension_missing``;
            ``sql.invalid_file``.
    """
    _refuse_edited(plan)
    for planned in plan.files:
        if planned.state is State.IMPOSSIBLE:
            raise SupervisorError(
                errors.SQL_EXTENSION_MISSING,
                f"{planned.file.label} requires the extension {planned.missing_extension!r}, "
                "which this server does not offer",
                file=planned.file.label,
                extension=planned.missing_extension,
            )
    _refuse_copy_over_the_wire(plan.of(State.TO_APPLY, State.PENDING))


def _refuse_edited(plan: Plan) -> None:
    edited = plan.of(State.CHANGED)
    if edited:
        names = ", ".join(file.label for file in edited)
        verb = "differs from what was applied" if len(edited) == 1 else "differ from what was applied"
        raise SupervisorError(
            errors.SQL_CHECKSUM_MISMATCH,
            f"{names} {verb} to this database",
            files=[file.label for file in edited],
            checksums={file.label: {"recorded": plan.recorded[file.name], "found": file.checksum} for file in edited},
        )


def _refuse_copy_over_the_wire(files: Iterable[SqlFile]) -> None:
    """Nobody is there to send or to take the rows, where psql would be."""
    for file in files:
        for statement in file.statements:
            if statement.words[:1] == ("copy",) and (match := _COPY_OVER_THE_WIRE.search(statement.text)):
                raise SupervisorError(
                    errors.SQL_INVALID_FILE,
                    f"{file.label}:{statement.line}: COPY … {' '.join(match.group().upper().split())} needs psql",
                    remedy="Write the rows as INSERT statements.",
                    file=file.label,
                    line=statement.line,
                )
