"""The least that counts as an installed Directus: the system tables that the supervisor looks at."""

import asyncio
import os

import asyncpg

TABLES = """
    CREATE TABLE directus_collections (collection text PRIMARY KEY);
    CREATE TABLE directus_fields (collection text, field text);
    CREATE TABLE directus_relations (many_collection text, many_field text);
    CREATE TABLE directus_users (id int);
    CREATE TABLE directus_migrations (version text PRIMARY KEY);
    INSERT INTO directus_users VALUES (1);
    INSERT INTO directus_migrations VALUES ('20200101A');
"""


async def main() -> None:
    connection = await asyncpg.connect(
        host=os.environ["DB_HOST"],
        port=int(os.environ["DB_PORT"]),
        user=os.environ["DB_USER"],
        password=os.environ["DB_PASSWORD"],
        database=os.environ["DB_DATABASE"],
    )
    await connection.execute(TABLES)
    await connection.close()


asyncio.run(main())
