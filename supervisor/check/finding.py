"""What `check` can find: the catalogue of rules, and one finding with its place. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """Whether a finding fails the check by itself, or only with ``--strict``."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing that `check` looks for.

    Attributes:
        code: stable name, also the heading of its section in ``docs/check.md``.
        severity: of its findings, unless the place knows better.
        remedy: one sentence on what to do, unless the place knows better.
    """

    code: str
    severity: Severity
    remedy: str


@dataclass(frozen=True, slots=True)
class Finding:
    """One mistake at one place.

    Attributes:
        file: as it is shown.
        line: counted from 1.
        column: in characters, counted from 1.
        code: of the rule.
        severity: error or warning.
        message: one sentence on what is wrong.
        remedy: one sentence on what to do; may be empty for a finding of another tool.
        relation: the table that is concerned, if one is.
    """

    file: str
    line: int
    column: int
    code: str
    severity: Severity
    message: str
    remedy: str
    relation: str | None = None


RULES: dict[str, Rule] = {}


def _rule(code: str, severity: Severity, remedy: str) -> Rule:
    rule = Rule(code, severity, remedy)
    RULES[code] = rule
    return rule


# The order of the boot
NEEDS_SNAPSHOT = _rule("needs-snapshot", Severity.ERROR, "Move the file to sql/post-schema/.")
NEEDS_DIRECTUS = _rule("needs-directus", Severity.ERROR, "Move the file to sql/post-schema/.")
NEEDS_LATER_FILE = _rule(
    "needs-later-file", Severity.ERROR, "Give this file a number after that one, and the same folder."
)
UNKNOWN_RELATION = _rule(
    "unknown-relation",
    Severity.ERROR,
    "Correct the name, create the relation before, or pass `--assume NAME` if something else creates it.",
)
DROPPED_RELATION = _rule("dropped-relation", Severity.ERROR, "Use it before it is dropped, or create it again.")
GHOST_COLLECTION = _rule(
    "ghost-collection",
    Severity.ERROR,
    "Let one of the two create it: take the collection out of the snapshot, or the statement out of the SQL file.",
)

# Files
FILE_NAME = _rule("file-name", Severity.ERROR, "Call it NNN_name.sql, with the next free number.")
DUPLICATE_NUMBER = _rule("duplicate-number", Severity.ERROR, "Give one of them the next free number.")
DUPLICATE_NAME = _rule("duplicate-name", Severity.ERROR, "Rename one of them; names are unique over both folders.")
UNREADABLE = _rule("unreadable", Severity.ERROR, "Make it a file that this user can read.")
ENCODING = _rule("encoding", Severity.ERROR, "Save the file as UTF-8.")
NUL = _rule("nul", Severity.ERROR, "Save the file as UTF-8 (UTF-16 has NUL bytes); PostgreSQL takes no NUL.")
BYTE_ORDER_MARK = _rule("byte-order-mark", Severity.WARNING, "Save the file as UTF-8 without a byte order mark.")
CRLF = _rule("crlf", Severity.WARNING, "Save the file with LF; `*.sql text eol=lf` in .gitattributes keeps it so.")
DIRECTIVE = _rule("directive", Severity.ERROR, "See docs/sql-files.md for the directives.")
SNAPSHOT = _rule("snapshot", Severity.ERROR, "Export it again from a live Directus: `node cli.js schema snapshot`.")

# Statements
SYNTAX = _rule("syntax", Severity.ERROR, "Correct the statement.")
UNREAD_BODY = _rule(
    "unread-body", Severity.WARNING, "Look yourself whether the relations in it exist when the file runs."
)
PSQL_COMMAND = _rule("psql-command", Severity.ERROR, "Write plain SQL: the files are not run by psql.")
COPY_STDIN = _rule("copy-stdin", Severity.ERROR, "Write the rows as INSERT statements.")
TRANSACTION_CONTROL = _rule(
    "transaction-control",
    Severity.ERROR,
    "Take BEGIN and COMMIT out: each file and its record are one transaction already.",
)
NEEDS_NO_TRANSACTION = _rule(
    "needs-no-transaction",
    Severity.ERROR,
    "Put it into a file of its own with `-- supervisor: no-transaction` in its leading comment.",
)
NEEDS_TRANSACTION = _rule(
    "needs-transaction",
    Severity.ERROR,
    "Put it into a file of its own, without the directive no-transaction.",
)
RELEASES_LOCK = _rule(
    "releases-lock",
    Severity.ERROR,
    "Take it out: the files run under the migration lock, and what they SET is reset after each.",
)
NAMELESS_INDEX = _rule(
    "nameless-index", Severity.ERROR, "Give it a name: CREATE INDEX CONCURRENTLY IF NOT EXISTS name ON …"
)
CLIENT_ENCODING = _rule("client-encoding", Severity.ERROR, "Take the statement out, and save the file as UTF-8.")
UNGUARDED = _rule("unguarded", Severity.WARNING, "Guard it by IF NOT EXISTS, or in a DO block that looks first.")
