"""One session on the database that the environment names, as Directus would find it."""

import os
from typing import Any

import asyncpg


async def connect() -> Any:  # noqa: ANN401 - the library has no types
    name = {"application_name": os.environ.get("PGAPPNAME", "")}
    address = os.environ.get("DB_CONNECTION_STRING")
    if address:
        return await asyncpg.connect(address.removeprefix("string:"), server_settings=name)
    return await asyncpg.connect(
        host=os.environ["DB_HOST"],
        port=int(os.environ["DB_PORT"]),
        user=os.environ["DB_USER"],
        password=os.environ["DB_PASSWORD"],
        database=os.environ["DB_DATABASE"],
        server_settings=name,
    )
