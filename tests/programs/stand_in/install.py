"""The least that counts as an installed Directus: the system tables that the supervisor looks at."""

import asyncio

from session import connect  # type: ignore[import-not-found]

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
    connection = await connect()
    await connection.execute(TABLES)
    await connection.close()


asyncio.run(main())
