"""`plan`: what a boot would do with the SQL files, and what has run; it reads the database and changes nothing."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import anyio

from supervisor.commands.place import Place, find_place, say, session, tell, told
from supervisor.commands.release import ReleaseAccount, read_release
from supervisor.commands.table import table
from supervisor.errors import ExitCode, SupervisorError
from supervisor.postgres.apply import read_plan
from supervisor.postgres.guard_table import read_applied_at
from supervisor.postgres.plan import Plan, PlannedFile, State, refuse
from supervisor.postgres.sqlfile import SqlFile, load_tree

_TO_DO: Final = 1
HELD: Final = "held"
_NOTES: Final[Mapping[State, str]] = {
    State.CHANGED: "edited after it ran; `repair` accepts that",
    State.PENDING: "waits for the extension {extension}",
    State.IMPOSSIBLE: "needs the extension {extension}, which this server does not offer",
}


@dataclass(frozen=True, slots=True)
class Account:
    """A plan, with what a reader wants beside it.

    Attributes:
        database: its label.
        plan: what is to be done about each file.
        applied_at: when each recorded file has run, by name, as the database writes it.
        problem: what would stop a boot; None when nothing would.
        release: what the release here is to the database; None where none is on record and none can be named.
    """

    database: str
    plan: Plan
    applied_at: Mapping[str, str]
    problem: SupervisorError | None
    release: ReleaseAccount | None = None

    @property
    def held(self) -> bool:
        """Whether a boot would leave the files alone."""
        return self.release is not None and bool(self.release.held)

    @property
    def to_apply(self) -> tuple[SqlFile, ...]:
        """The files that a boot would run."""
        return () if self.held else self.plan.to_apply

    def state(self, one: PlannedFile) -> str:
        """What a file is to a boot."""
        return HELD if self.held and one.state is State.TO_APPLY else one.state.value


def run_plan(environ: Mapping[str, str], cwd: Path, *, as_json: bool, check: bool) -> int:
    """Print what a boot would do with the SQL files.

    Args:
        environ: the process environment.
        cwd: the working directory.
        as_json: one JSON object on stdout, in place of a table.
        check: end with 1 when a file would run.

    Returns:
        0; 1 with `check` when a file would run; the status of the failure that would stop a boot.
    """

    def act() -> int:
        account = anyio.run(_read, find_place(environ, cwd))
        print(as_document(account) if as_json else as_text(account))  # noqa: T201
        if account.problem is not None:
            tell(account.problem)
            return account.problem.exit_code
        if check and account.to_apply:
            say(f"{len(account.to_apply)} to apply")
            return _TO_DO
        return ExitCode.STOPPED

    return told(environ, cwd, act)


async def _read(place: Place) -> Account:
    tree = load_tree(place.settings.sql_dir)
    schema = place.target.main_schema
    async with session(place) as connection:
        # Outside the transaction, which a table that is not there would end.
        release = await read_release(connection, place, tree)
        async with connection.transaction(readonly=True):
            await connection.execute("SET LOCAL timezone = 'UTC'")
            planned = await read_plan(connection, schema, tree.all, place.settings.optional_extensions)
            applied_at = await read_applied_at(connection, schema) if planned.recorded else {}
    account = Account(place.target.label, planned, applied_at, None, release)
    try:
        # A boot that is held makes none of these checks.
        if not account.held:
            refuse(planned)
    except SupervisorError as error:
        return replace(account, problem=error)
    return account


def as_text(account: Account) -> str:
    """One row a file, in the order in which they run; then the rows that have no file; then the sum. Pure."""
    rows = [(account.state(one), one.file.label, _note(one, account)) for one in account.plan.files]
    rows += [("no file", name, "recorded, and not among the files") for name in account.plan.rows_without_file]
    counts = Counter(state for state, _, _ in rows)
    total = ", ".join(f"{number} {state}" for state, number in counts.items()) or "no SQL files"
    lines = [f"{account.database}: {total}", *(account.release.lines if account.release is not None else ())]
    return "\n".join([table(("state", "file", "note"), rows), *lines] if rows else lines)


def _note(one: PlannedFile, account: Account) -> str:
    parts = []
    if one.state in _NOTES:
        parts.append(_NOTES[one.state].format(extension=one.missing_extension))
    if one.state is State.APPLIED:
        parts.append(account.applied_at.get(one.file.name, "").partition(".")[0])
    if one.out_of_order:
        parts.append("out of order: a file after it has run")
    if one.file.directives.repeatable:
        parts.append("repeatable" if one.state is State.APPLIED or not one.recorded else "repeatable, has changed")
    return "; ".join(part for part in parts if part)


def as_document(account: Account) -> str:
    """The same as JSON. Pure."""
    recorded = account.plan.recorded
    return json.dumps(
        {
            "database": account.database,
            "files": [
                {
                    "file": one.file.label,
                    "state": account.state(one).replace(" ", "_"),
                    "repeatable": one.file.directives.repeatable,
                    "out_of_order": one.out_of_order,
                    "missing_extension": one.missing_extension,
                    "checksum": one.file.checksum,
                    "recorded_checksum": recorded.get(one.file.name),
                    "applied_at": account.applied_at.get(one.file.name),
                }
                for one in account.plan.files
            ],
            "rows_without_file": list(account.plan.rows_without_file),
            "to_apply": [file.label for file in account.to_apply],
            "release": account.release and account.release.document,
            "problem": account.problem
            and {
                "code": account.problem.failure.code,
                "message": account.problem.message,
                "remedy": account.problem.remedy,
            },
        },
        indent=2,
        ensure_ascii=False,
    )
