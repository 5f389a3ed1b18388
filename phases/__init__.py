"""The boot, in order. This is the one place where the order is written.

Bootstrap comes before the schema: on a fresh database Directus answers a schema apply with "Directus isn't installed"
and exit status 0. SQL that alters tables of the snapshot comes after it.
"""

from __future__ import annotations

from typing import Final

from phases import bootstrap, post_schema, pre_schema, schema_apply, wait_for_postgres
from supervisor.phase import Phase

PHASES: Final[tuple[Phase, ...]] = (
    Phase("wait_for_postgres", wait_for_postgres.run, locked=False),
    Phase("pre_schema", pre_schema.run, look=pre_schema.look, yields=True),
    Phase("bootstrap", bootstrap.run, look=bootstrap.look),
    Phase("schema_apply", schema_apply.run, look=schema_apply.look, yields=True),
    Phase("post_schema", post_schema.run, look=post_schema.look, yields=True),
)
