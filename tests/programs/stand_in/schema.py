"""The stand-in's schema: collections with text fields, read from and written to the database.

usage: schema.py QUESTION, with its argument as JSON on stdin.
"""

import asyncio
import json
import os
import sys
from typing import Any

from session import connect  # type: ignore[import-not-found]

Connection = Any

READ = """
    SELECT c.collection,
           coalesce(array_agg(DISTINCT f.field) FILTER (WHERE f.field IS NOT NULL), '{}') AS fields
      FROM directus_collections c LEFT JOIN directus_fields f USING (collection)
     WHERE to_regclass(quote_ident(c.collection)) IS NOT NULL GROUP BY 1 ORDER BY 1
"""


def field(collection: str, name: str) -> dict[str, Any]:
    return {"collection": collection, "field": name, "type": "string", "meta": {}, "schema": {"data_type": "text"}}


async def read(connection: Connection) -> dict[str, Any]:
    rows = await connection.fetch(READ)
    return {
        "version": 1,
        "collections": [{"collection": row["collection"], "meta": {}, "schema": {}} for row in rows],
        "fields": [field(row["collection"], name) for row in rows for name in row["fields"]],
        "relations": [],
    }


async def apply(connection: Connection, diff: dict[str, Any]) -> None:
    gone = {item["collection"] for item in diff["collections"] if item["diff"][0]["kind"] == "D"}
    async with connection.transaction():
        for item in diff["collections"]:
            name = item["collection"]
            if name in gone:
                await connection.execute(f'DROP TABLE "{name}"')
                await connection.execute("DELETE FROM directus_fields WHERE collection = $1", name)
                await connection.execute("DELETE FROM directus_collections WHERE collection = $1", name)
            elif item["diff"][0]["kind"] == "N":
                await connection.execute(f'CREATE TABLE "{name}" (id serial PRIMARY KEY)')
                await connection.execute("INSERT INTO directus_collections VALUES ($1)", name)
        for item in diff["fields"]:
            name, column = item["collection"], item["field"]
            if item["diff"][0]["kind"] == "D" and name not in gone:
                await connection.execute(f'ALTER TABLE "{name}" DROP COLUMN "{column}"')
                await connection.execute(
                    "DELETE FROM directus_fields WHERE (collection, field) = ($1, $2)", name, column
                )
            elif item["diff"][0]["kind"] == "N":
                await connection.execute(f'ALTER TABLE "{name}" ADD COLUMN IF NOT EXISTS "{column}" text')
                await connection.execute("INSERT INTO directus_fields VALUES ($1, $2)", name, column)


async def main() -> None:
    argument = json.load(sys.stdin)
    if sys.argv[1] == "apply":
        # So that somebody can come in between.
        await asyncio.sleep(float(os.environ.get("STAND_IN_APPLY_S", "0")))
    connection = await connect()
    answer: Any = None
    match sys.argv[1]:
        case "read":
            answer = await read(connection)
        case "apply":
            await apply(connection, argument)
        case "raw":
            answer = [dict(row) for row in await connection.fetch(argument["query"])]
    await connection.close()
    json.dump(answer, sys.stdout)


asyncio.run(main())
