"""One sentence of remedy for each frequent SQLSTATE (PostgreSQL documentation, appendix A). Pure."""

from __future__ import annotations

from typing import Final

_GUARD: Final = "It is there already, from another file or made by hand: "

BY_SQLSTATE: Final[dict[str, str]] = {
    "22P02": "Correct the value, which its type cannot hold; or convert the data before the type of the column.",
    "23502": "Fill the empty values by an UPDATE before, or give the column a default.",
    "23503": "Add the rows that are referred to, or remove those that refer to none; the detail names the first one.",
    "23505": "Merge or remove the rows that share a key, or skip them by ON CONFLICT; the detail names the first key.",
    "23514": "Correct the rows that break the check before, or add it as NOT VALID and correct them later.",
    "25001": "Put the statement into a file of its own with `-- supervisor: no-transaction` at its top.",
    "25P01": "Put the statement into a file of its own, without the directive no-transaction.",
    "25006": "The server takes no writes: point DB_HOST at the primary, not at a standby.",
    "2BP01": "Drop what depends on it first, or drop it with CASCADE.",
    "3F000": "Create the schema in an earlier file, or correct its name.",
    "42501": "Let the object's owner grant the right, or make the user of DB_USER the owner (ALTER … OWNER TO).",
    "42601": "Correct the statement at the place named.",
    "42701": _GUARD + "guard it with ADD COLUMN IF NOT EXISTS.",
    "42703": "Correct the column's name, or add the column in an earlier file.",
    "42704": "Correct the name, or create it in an earlier file; for one of an extension, see requires-extension.",
    "42710": _GUARD + "guard it with IF NOT EXISTS, or for a constraint with a look into pg_constraint in a DO block.",
    "42723": _GUARD + "write CREATE OR REPLACE.",
    "42804": "Cast the value to the type that is expected there.",
    "42883": "Correct the name or cast the arguments; for a function of an extension, see requires-extension.",
    "42P01": "Correct the relation's name, or create it in an earlier file.",
    "42P06": _GUARD + "guard it with CREATE SCHEMA IF NOT EXISTS.",
    "42P07": _GUARD + "guard it with IF NOT EXISTS.",
    "53100": "Make room on the server's disk; the next boot runs the file again.",
    "57014": "Raise `-- supervisor: statement-timeout` at the file's top, or the timeout of the server's role.",
    "58P01": "Install on the server what the file needs; the server misses a file of it.",
    "P0001": "The file itself raised this: see its condition at the place named.",
}
"""Remedies by SQLSTATE; a state that is not here has none better than the general one."""


def remedy_for(sqlstate: str | None) -> str | None:
    """The remedy for a SQLSTATE, if there is one."""
    return BY_SQLSTATE.get(sqlstate or "")
