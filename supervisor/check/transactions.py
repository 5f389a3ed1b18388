"""Statements and the transaction that a file runs in: what must not end it, and what cannot run in it. Pure.

The second list is that of PostgreSQL's ``PreventInTransactionBlock``, with TimescaleDB's two.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from supervisor.check import finding
from supervisor.check.grammar import Node, Parsed
from supervisor.check.names import strings
from supervisor.check.source import Source
from supervisor.check.statements import Read
from supervisor.postgres.directives import Directives

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
_PROCEDURES: Final = frozenset({"refresh_continuous_aggregate"})


def check_transactions(source: Source, read: Read, directives: Directives) -> None:
    """Report transaction control, and what needs the directive ``no-transaction`` and does not have it."""
    for word, offset in read.ends_transaction:
        if directives.transaction:
            source.report(finding.TRANSACTION_CONTROL, offset, f"{word} in a DO block, in a file of one transaction")
    for step in read.steps:
        statement = step.statement
        if statement.kind == "TransactionStmt" and statement.node.get("kind", "TRANS_STMT_BEGIN") not in _WITHIN:
            word = _WORDS.get(statement.node.get("kind", ""), "BEGIN")
            where = "that runs in one transaction" if directives.transaction else "whose statements run by themselves"
            remedy = None if directives.transaction else "Take it out, or the directive no-transaction."
            source.report(finding.TRANSACTION_CONTROL, statement.offset, f"{word} in a file {where}", remedy=remedy)
        elif statement.kind == "CopyStmt" and "filename" not in statement.node:
            direction = "FROM STDIN" if statement.node.get("is_from") else "TO STDOUT"
            source.report(finding.COPY_STDIN, statement.offset, f"COPY … {direction} needs psql at its other end")
        elif directives.transaction and (what := outside_only(statement)):
            source.report(
                finding.NEEDS_NO_TRANSACTION, statement.offset, f"{what} cannot run in the transaction of the file"
            )


def outside_only(statement: Parsed) -> str | None:
    """What a statement is called if it cannot run in a transaction; None if it can."""
    judge = _OUTSIDE_ONLY.get(statement.kind)
    return judge(statement.node) if judge is not None else None


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
