"""Statements against the session and the transaction that a file runs in: what must not be in it, and what must. Pure.

What cannot run in a transaction is the list of PostgreSQL's ``PreventInTransactionBlock``, with TimescaleDB's two.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from supervisor.check import finding
from supervisor.check.finding import Rule, Severity
from supervisor.check.grammar import Node, Parsed
from supervisor.check.names import constant, strings
from supervisor.check.plpgsql import Step
from supervisor.check.source import Source
from supervisor.check.statements import Read
from supervisor.postgres.directives import Directives
from supervisor.postgres.encoding import is_utf8

_WITHIN: Final = frozenset({"TRANS_STMT_SAVEPOINT", "TRANS_STMT_RELEASE", "TRANS_STMT_ROLLBACK_TO"})
_WORDS: Final = {
    "TRANS_STMT_BEGIN": "BEGIN",
    "TRANS_STMT_START": "START TRANSACTION",
    "TRANS_STMT_COMMIT": "COMMIT",
    "TRANS_STMT_ROLLBACK": "ROLLBACK",
    "TRANS_STMT_PREPARE": "PREPARE TRANSACTION",
    "TRANS_STMT_COMMIT_PREPARED": "COMMIT PREPARED",
    "TRANS_STMT_ROLLBACK_PREPARED": "ROLLBACK PREPARED",
}
_WHOLE: Final = frozenset({"REINDEX_OBJECT_SCHEMA", "REINDEX_OBJECT_SYSTEM", "REINDEX_OBJECT_DATABASE"})
# PostgreSQL's CURSOR_OPT_HOLD.
_HOLD: Final = 0x0020
_PROCEDURES: Final = frozenset({"refresh_continuous_aggregate"})


def check_transactions(source: Source, read: Read, directives: Directives) -> None:
    """Report what does not agree with how the file runs: in one transaction, or statement by statement."""
    for word, offset in read.ends_transaction:
        if directives.transaction:
            source.report(finding.TRANSACTION_CONTROL, offset, f"{word} in a DO block, in a file of one transaction")
    for step in read.steps:
        statement = step.statement
        found = _control(statement, directives) or _session(statement) or _place(step, directives)
        if found is not None:
            rule, message, remedy = found
            source.report(rule, statement.offset, message, remedy=remedy)
        _other_encoding(source, statement)


Found = tuple[Rule, str, str | None]


def _control(statement: Parsed, directives: Directives) -> Found | None:
    if statement.kind != "TransactionStmt" or statement.node.get("kind", "TRANS_STMT_BEGIN") in _WITHIN:
        return None
    word = _WORDS.get(statement.node.get("kind", ""), "BEGIN")
    if directives.transaction:
        return finding.TRANSACTION_CONTROL, f"{word} in a file that runs in one transaction", None
    message = f"{word} in a file whose statements run by themselves"
    return finding.TRANSACTION_CONTROL, message, "Take it out, or the directive no-transaction."


def _session(statement: Parsed) -> Found | None:
    """What the session of the supervisor cannot bear."""
    node = statement.node
    if statement.kind == "CopyStmt" and "filename" not in node:
        direction = "FROM STDIN" if node.get("is_from") else "TO STDOUT"
        return finding.COPY_STDIN, f"COPY … {direction} needs psql at its other end", None
    if statement.kind == "DiscardStmt" and node.get("target", "DISCARD_ALL") == "DISCARD_ALL":
        return finding.RELEASES_LOCK, "DISCARD ALL releases the migration lock", None
    calls = [item.get("ResTarget", {}).get("val", {}).get("FuncCall", {}) for item in node.get("targetList", [])]
    for name in [(strings(call.get("funcname")) or [""])[-1] for call in calls]:
        if name == "pg_advisory_unlock_all":
            return finding.RELEASES_LOCK, f"{name} releases the migration lock", None
    return None


def _other_encoding(source: Source, statement: Parsed) -> None:
    encoding = _encoding(statement)
    if encoding is None or is_utf8(encoding):
        return
    source.report(
        finding.CLIENT_ENCODING,
        statement.offset,
        f"client_encoding is set to {encoding}, and every SQL file is sent as UTF-8",
        severity=Severity.WARNING if source.text[statement.offset :].isascii() else None,
    )


def _encoding(statement: Parsed) -> str | None:
    """The encoding that a statement lets the server expect; None for all other statements."""
    node = statement.node
    if statement.kind == "VariableSetStmt" and node.get("name") == "client_encoding":
        return constant((node.get("args") or [None])[0])
    call = ((node.get("targetList") or [{}])[0].get("ResTarget", {}).get("val") or {}).get("FuncCall", {})
    texts = [constant(argument) for argument in call.get("args") or []]
    is_set = strings(call.get("funcname"))[-1:] == ["set_config"] and len(texts) > 1
    return texts[1] if is_set and (texts[0] or "").lower() == "client_encoding" else None


def _place(step: Step, directives: Directives) -> Found | None:
    """What must not run in a transaction, and what must."""
    statement = step.statement
    what = _OUTSIDE_ONLY[statement.kind](statement.node) if statement.kind in _OUTSIDE_ONLY else None
    if what is not None and step.in_block:
        remedy = (
            "Make it a statement of its own, in a file with `-- supervisor: no-transaction` in its leading comment."
        )
        return finding.NEEDS_NO_TRANSACTION, f"{what} cannot run in a DO block", remedy
    if what is not None and directives.transaction:
        return finding.NEEDS_NO_TRANSACTION, f"{what} cannot run in the transaction of the file", None
    if directives.transaction or step.in_block:
        return None
    if statement.kind == "IndexStmt" and statement.node.get("concurrent") and "idxname" not in statement.node:
        return finding.NAMELESS_INDEX, "the index has no name, by which to find what a failed build leaves", None
    inside = _INSIDE_ONLY.get(statement.kind)
    what = inside(statement.node) if inside is not None else None
    return (finding.NEEDS_TRANSACTION, f"{what} needs a transaction, and this file has none", None) if what else None


def _index(node: Node) -> str | None:
    return "CREATE INDEX CONCURRENTLY" if node.get("concurrent") else None


def _drop(node: Node) -> str | None:
    return "DROP INDEX CONCURRENTLY" if node.get("concurrent") else None


def _reindex(node: Node) -> str | None:
    options = {item.get("DefElem", {}).get("defname") for item in node.get("params", [])}
    if "concurrently" in options:
        return "REINDEX CONCURRENTLY"
    kind = node.get("kind", "")
    return f"REINDEX {kind.rpartition('_')[2]}" if kind in _WHOLE else None


def _vacuum(node: Node) -> str | None:
    return "VACUUM" if node.get("is_vacuumcmd") else None


def _cluster(node: Node) -> str | None:
    return None if "relation" in node else "CLUSTER of all tables"


def _alter_table(node: Node) -> str | None:
    for item in node.get("cmds", []):
        command = item.get("AlterTableCmd", {})
        if command.get("subtype") == "AT_DetachPartition" and command.get("def", {}).get("PartitionCmd", {}).get(
            "concurrent"
        ):
            return "DETACH PARTITION CONCURRENTLY"
    return None


def _alter_database(node: Node) -> str | None:
    names = {item.get("DefElem", {}).get("defname") for item in node.get("options", [])}
    return "ALTER DATABASE SET TABLESPACE" if "tablespace" in names else None


def _subscription(node: Node) -> str | None:
    for item in node.get("options", []):
        option = item.get("DefElem", {})
        is_off = "false" in str(option.get("arg")).lower()
        if option.get("defname") in {"connect", "create_slot"} and is_off:
            return None
    return "CREATE SUBSCRIPTION"


def _continuous_aggregate(node: Node) -> str | None:
    into = node.get("into", {})
    spaces = {item.get("DefElem", {}).get("defnamespace") for item in into.get("options", [])}
    return (
        "CREATE MATERIALIZED VIEW … WITH DATA of TimescaleDB"
        if "timescaledb" in spaces and not into.get("skipData")
        else None
    )


def _call(node: Node) -> str | None:
    name = (strings(node.get("funccall", {}).get("funcname")) or [""])[-1]
    return f"CALL {name}" if name in _PROCEDURES else None


def _within(node: Node) -> str | None:
    kind = node.get("kind", "")
    return kind.removeprefix("TRANS_STMT_").replace("_", " ") if kind in _WITHIN else None


def _cursor(node: Node) -> str | None:
    return None if node.get("options", 0) & _HOLD else "DECLARE CURSOR without HOLD"


_INSIDE_ONLY: Final[dict[str, Callable[[Node], str | None]]] = {
    "DeclareCursorStmt": _cursor,
    "LockStmt": lambda _: "LOCK TABLE",
    "TransactionStmt": _within,
}
_OUTSIDE_ONLY: Final[dict[str, Callable[[Node], str | None]]] = {
    "AlterDatabaseStmt": _alter_database,
    "AlterSystemStmt": lambda _: "ALTER SYSTEM",
    "AlterTableStmt": _alter_table,
    "CallStmt": _call,
    "ClusterStmt": _cluster,
    "CreateSubscriptionStmt": _subscription,
    "CreateTableAsStmt": _continuous_aggregate,
    "CreateTableSpaceStmt": lambda _: "CREATE TABLESPACE",
    "CreatedbStmt": lambda _: "CREATE DATABASE",
    "DropStmt": _drop,
    "DropSubscriptionStmt": lambda _: "DROP SUBSCRIPTION",
    "DropTableSpaceStmt": lambda _: "DROP TABLESPACE",
    "DropdbStmt": lambda _: "DROP DATABASE",
    "IndexStmt": _index,
    "ReindexStmt": _reindex,
    "VacuumStmt": _vacuum,
}
